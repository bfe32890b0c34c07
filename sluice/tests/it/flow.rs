//! Limits that people can see and operators can change: without a restart, over restarts, embedded and through the edge.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Response};
use rustix::process::Signal;
use serde_json::json;

use crate::media;
use crate::person::{Answer, Person};
use crate::site::{ADMIN_PASSWORD, Home, Site};

const SOON: Duration = Duration::from_secs(10);

/// Everything in one process, with a configuration file.
fn serve(home: &Home, file: &Path) -> Site {
    let args = ["--listen", "127.0.0.1:0", "--config", file.to_str().unwrap()];
    let started = home.start("serve", &args, &[], &[]);
    let (process, line) = started.unwrap_or_else(|log| panic!("the platform starts:\n{log}"));
    let base = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    Site {
        base: base.to_owned(),
        processes: vec![process],
    }
}

/// Opens the video and reads its head only.
async fn hold(person: &Person, source: &str) -> Result<Response, Answer> {
    let response = person.http.get(source).send().await.unwrap();
    if response.status() == 200 {
        Ok(response)
    } else {
        Err(Answer::read(response).await.unwrap())
    }
}

/// Writes the file, sends SIGHUP, and waits for the line in the log.
async fn reload(site: &Site, file: &Path, text: &str, line: &str) {
    std::fs::write(file, text).unwrap();
    site.processes[0].signal(Signal::HUP);
    common::testing::eventually(line, SOON, || async { site.log().contains(line).then_some(()) }).await;
}

#[tokio::test]
async fn sighup_reads_the_file_again_and_a_wrong_one_changes_nothing() {
    let home = Home::new();
    let file = home.dir.path().join("sluice.toml");
    let with =
        |streams: u32, more: &str| format!("[stream]\npace = \"50 KiB\"\nmax_streams_per_client = {streams}\n{more}");
    std::fs::write(&file, with(1, "")).unwrap();
    let site = serve(&home, &file);
    let ann = Person::register(&site.base, "ann").await;
    let id = ann.publish("Long", &media::clip("ordinary/bear-1280x720.mp4")).await;
    let source = ann.source(&id).await;
    let first = hold(&ann, &source).await.unwrap();
    hold(&ann, &source).await.unwrap_err().problem(429, "too_many_streams");
    reload(
        &site,
        &file,
        &with(2, ""),
        "stream.max_streams_per_client is 2 now, it was 1",
    )
    .await;
    let second =
        common::testing::eventually("a second stream", SOON, || async { hold(&ann, &source).await.ok() }).await;
    // Wrong in each way: nothing changes, and whoever looks finds out.
    for (wrong, words) in [
        (with(0, ""), "stream.max_streams_per_client: must be at least 1"),
        (
            with(9, "ratte = 1\n"),
            "stream.ratte: unknown key; did you mean `rate`?",
        ),
        (with(9, "[log]\nlevel = \"loud\"\n"), "log.level: `loud` is not one of"),
        ("[stream".to_owned(), "is not TOML"),
    ] {
        reload(&site, &file, &wrong, words).await;
        hold(&ann, &source).await.unwrap_err().problem(429, "too_many_streams");
    }
    assert_eq!(site.log().matches("is wrong; nothing changes").count(), 4);
    // What needs a restart is said; what does not counts: the level of the log too.
    let workers = with(3, "[server]\nworkers = 1\n[log]\nlevel = \"warn\"\n");
    reload(
        &site,
        &file,
        &workers,
        "what changed of server.workers counts after a restart",
    )
    .await;
    let third = common::testing::eventually("a third stream", SOON, || async { hold(&ann, &source).await.ok() }).await;
    ann.get("/api/v1/asked-while-warn").await.problem(404, "not_found");
    reload(&site, &file, &with(3, ""), "log.level is \"info\" now").await;
    ann.get("/api/v1/asked-while-info").await.problem(404, "not_found");
    common::testing::eventually("requests are logged again", SOON, || async {
        site.log().contains("GET /api/v1/asked-while-info 404").then_some(())
    })
    .await;
    assert!(!site.log().contains("asked-while-warn"), "the level was `warn`");
    drop((first, second, third));
    site.stop();
}

#[tokio::test]
async fn the_budget_of_a_day_survives_a_restart() {
    let home = Home::new();
    let clip = media::clip("ordinary/testvid_1022ms.mp4");
    let budget = format!("stream.egress_per_user_day={} B", clip.bytes.len() + 1);
    let site = home.serve(&[&budget]);
    let ann = Person::register(&site.base, "ann").await;
    let id = ann.publish("Seen once", &clip).await;
    let seen = ann.http.get(ann.source(&id).await).send().await.unwrap();
    let left = seen.headers()["ratelimit"].to_str().unwrap().to_owned();
    assert!(
        left.contains(&format!("\"egress\";r={};", clip.bytes.len() + 1)),
        "{left}"
    );
    assert_eq!(seen.bytes().await.unwrap(), clip.bytes);
    site.stop();
    let site = home.serve(&[&budget]);
    let ann = Person {
        base: site.base.clone(),
        ..ann
    };
    let source = ann.source(&id).await;
    let one = ann.http.get(&source).header("range", "bytes=0-0").send().await.unwrap();
    let left = one.headers()["ratelimit"].to_str().unwrap().to_owned();
    assert!(left.contains("\"egress\";r=1;"), "{left}");
    one.bytes().await.unwrap();
    let refused = Answer::read(ann.http.get(&source).send().await.unwrap()).await.unwrap();
    refused.problem(429, "budget_spent");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 86_400);
    site.stop();
}

async fn operators_see_and_change(home: &Home, site: Site) {
    let ann = Person::register(&site.base, "ann").await;
    let operator = Person::sign_in(&site.base, "admin", ADMIN_PASSWORD).await;
    ann.get("/api/v1/limits").await.problem(403, "forbidden");
    let id = ann.publish("Long", &media::clip("ordinary/bear-1280x720.mp4")).await;
    let source = ann.source(&id).await;
    let change = |body| operator.call(Method::PATCH, "/api/v1/limits", body);
    let changed = change(json!({ "maxStreamsPerClient": 1, "pace": "50 KiB" }))
        .await
        .expect(200);
    assert_eq!(changed["settings"]["maxStreamsPerClient"]["changedBy"], "admin");
    let playing = hold(&ann, &source).await.unwrap();
    hold(&ann, &source).await.unwrap_err().problem(429, "too_many_streams");
    let me = ann.get("/api/v1/users/me").await.expect(200);
    let seen = operator.get("/api/v1/limits").await.expect(200);
    let holder = &seen["streams"]["holders"][0];
    assert_eq!(
        (&holder["videoID"], &holder["client"]["userID"]),
        (&json!(id), &me["id"])
    );
    let refusal = &seen["refusals"]["latest"][0];
    assert_eq!(
        (&refusal["limit"], &refusal["client"]["userID"]),
        (&json!("streams_per_client"), &me["id"])
    );
    change(json!({ "rate": 0 })).await.problem(422, "invalid");
    // Over a restart, and then given back.
    drop(playing);
    assert!(site.log().contains("Operator admin sets stream.pace: 50 KiB"));
    site.stop();
    let site = home.serve(&["stream.pace=1 MiB"]);
    let operator = Person::sign_in(&site.base, "admin", ADMIN_PASSWORD).await;
    let seen = operator.get("/api/v1/limits").await.expect(200);
    let pace = &seen["settings"]["pace"];
    assert_eq!(
        (&pace["text"], &pace["configured"], &pace["from"]),
        (&json!("50 KiB"), &json!(1 << 20), &json!("operator"))
    );
    let back = operator
        .call(Method::PATCH, "/api/v1/limits", json!({ "pace": null }))
        .await
        .expect(200);
    assert_eq!(
        (&back["settings"]["pace"]["text"], &back["settings"]["pace"]["from"]),
        (&json!("1 MiB"), &json!("configuration"))
    );
    site.stop();
}

#[tokio::test]
async fn operators_see_and_change_limits_embedded() {
    let home = Home::new();
    let site = home.serve(&[]);
    operators_see_and_change(&home, site).await;
}

#[tokio::test]
async fn operators_see_and_change_limits_through_the_edge() {
    let home = Home::new();
    let site = home.roles(&[]);
    operators_see_and_change(&home, site).await;
}
