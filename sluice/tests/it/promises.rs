//! Promises that only the whole platform can show: a service away, a polite stop, secrets in the logs, a full disk.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::json;

use crate::media;
use crate::person::{Answer, Person, slow_body};
use crate::site::{ADMIN_PASSWORD, Home, Site, files};

#[tokio::test]
async fn promise_19_sigterm_finishes_what_runs_and_ends_with_0() {
    let home = Home::new();
    let mut site = home.serve(&["stream.pace=400 KiB"]);
    let ann = Person::register(&site.base, "ann").await;
    let clip = media::clip("ordinary/bear-1280x720.mp4");
    let id = ann.publish("Running", &clip).await;
    let mut stream = ann.http.get(ann.source(&id).await).send().await.unwrap().bytes_stream();
    let mut received = stream.next().await.unwrap().unwrap().to_vec();
    site.processes[0].signal(Signal::TERM);
    while let Some(piece) = stream.next().await {
        received.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(received, clip.bytes, "the response in flight is whole");
    assert!(site.processes[0].wait().success());
}

#[tokio::test]
async fn promise_19_idle_connections_do_not_hold_the_process_and_a_second_sigterm_ends_at_once() {
    let home = Home::new();
    let mut site = home.serve(&["stream.pace=16 KiB"]);
    let ann = Person::register(&site.base, "ann").await;
    let began = Instant::now();
    let id = ann.publish("Slow", &media::clip("ordinary/bear-1280x720.mp4")).await;
    let mut stream = ann.http.get(ann.source(&id).await).send().await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    site.processes[0].signal(Signal::TERM);
    common::testing::eventually("the drain has begun", Duration::from_secs(10), || async {
        site.log().contains("Stopping").then_some(())
    })
    .await;
    site.processes[0].signal(Signal::TERM);
    let status = site.processes[0].wait();
    assert_eq!(status.code(), Some(143), "after {:?}", began.elapsed());
}

#[tokio::test]
async fn promise_14_no_password_token_or_grant_in_log_or_data() {
    let home = Home::new();
    let site = home.serve(&["log.level=debug"]);
    let ann = Person::register(&site.base, "ann").await;
    let (id, upload) = ann.create("Secret").await;
    ann.upload(&upload, &media::clip("ordinary/testvid_1022ms.mp4"))
        .await
        .expect(201);
    ann.wait_for(&id, "ready").await;
    let source = ann.source(&id).await;
    ann.http.get(&source).send().await.unwrap();
    // Wrong ones must not be written down either.
    let body = json!({ "username": "ann", "password": "mistyped passphrase" });
    ann.post("/api/v1/sessions", body)
        .await
        .problem(401, "wrong_credentials");
    let grant = source.split('/').nth(4).unwrap();
    assert!(grant.len() > 60, "{grant}");
    let log = site.log();
    assert!(log.contains("/media/-/"), "the log names requests for media");
    let token = ann.token.clone();
    let secrets = [
        "a long enough passphrase",
        "mistyped passphrase",
        &token,
        grant,
        upload["grant"].as_str().unwrap(),
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    site.stop();
    for (path, _) in files(&home.data()) {
        let bytes = std::fs::read(&path).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
    }
}

#[tokio::test]
async fn promise_4_an_operator_finds_what_the_disk_has_changed() {
    let home = Home::new();
    let site = home.serve(&[]);
    let ann = Person::register(&site.base, "ann").await;
    let clip = media::clip("ordinary/testvid_1022ms.mp4");
    let id = ann.publish("Damaged", &clip).await;
    let admin = Person::sign_in(&site.base, "admin", ADMIN_PASSWORD).await;
    let everything = json!({ "kind": "scrub", "all": true });
    let whole = admin.run_job(everything.clone()).await;
    assert_eq!(
        (&whole["result"]["objects"], &whole["result"]["damaged"]),
        (&json!(1), &json!(0))
    );
    let (path, _) = files(&home.data().join("media")).remove(0);
    let mut bytes = clip.bytes.to_vec();
    bytes[1_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let damaged = admin.run_job(everything).await;
    assert_eq!(damaged["result"]["damaged"], 1, "{damaged}");
    let named = damaged["result"]["samples"][0].as_str().unwrap();
    assert!(named.starts_with(&id), "{named}");
    site.stop();
}

#[tokio::test]
async fn promise_17_a_service_that_was_away_finds_its_work() {
    let home = Home::new();
    let mut site = home.roles(&[]);
    let ann = Person::register(&site.base, "ann").await;
    let clip = media::clip("ordinary/testvid_1022ms.mp4");
    let id = ann.publish("Deleted while nobody works", &clip).await;
    // stream-service and scheduler-service are killed; the deletion is accepted all the same.
    for role in [1, 2] {
        site.processes[role].signal(Signal::KILL);
        site.processes[role].wait();
    }
    ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
        .await
        .expect(202);
    let away = ann.get("/api/v1/jobs").await;
    assert!([502, 503].contains(&away.status), "{away:?}");
    assert_eq!(away.body["code"], "upstream_unavailable");
    ann.get("/api/v1/videos").await.expect(200);
    site.kill();
    let site = home.roles(&[]);
    let ann = Person {
        base: site.base.clone(),
        ..ann
    };
    let receipt = ann.receipt(&id).await;
    assert_eq!(receipt["bytes"], clip.bytes.len());
    assert_eq!(files(&home.data().join("media")), []);
    site.stop();
}

/// In chunks, and with a length, by which an edge passes it on in another way.
async fn signing_out_ends_a_running_upload(home: &Home, site: Site) {
    let ann = Person::register(&site.base, "ann").await;
    for length in [None, Some(5_000_000)] {
        signing_out_ends_an_upload_of(length, &ann, home, &site).await;
    }
    site.stop();
}

async fn signing_out_ends_an_upload_of(length: Option<u64>, ann: &Person, home: &Home, site: &Site) {
    let ann = &Person::sign_in(&ann.base, "ann", "a long enough passphrase").await;
    let again = Person::sign_in(&site.base, "ann", "a long enough passphrase").await;
    let clip = media::clip("ordinary/bear-1280x720.mp4");
    let (_, upload) = ann.create("Cut").await;
    let (sender, body) = slow_body();
    let put = ann.put(&upload, body);
    let put = match length {
        Some(length) => put.header("content-length", length),
        None => put,
    };
    let running = tokio::spawn(put.send());
    sender.send(clip.bytes[..100_000].to_vec()).unwrap();
    let stored = || files(&home.data().join("media")).len();
    common::testing::eventually("the upload runs", Duration::from_secs(10), || async {
        (stored() > 0).then_some(())
    })
    .await;
    ann.delete("/api/v1/sessions/current").await.expect(204);
    let began = Instant::now();
    common::testing::eventually("nothing of it stays", Duration::from_secs(10), || async {
        (stored() == 0).then_some(())
    })
    .await;
    let ended = running.await.unwrap();
    // The promise is a second; the rest is for a machine that does other things too.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // The status reaches a client that reads while it sends; one that doesn't sees its connection closed.
    if let Ok(response) = ended {
        Answer::read(response).await.unwrap().problem(401, "unauthenticated");
    }
    // The other device is still signed in.
    again.get("/api/v1/users/me").await.expect(200);
    drop(sender);
}

#[tokio::test]
async fn promise_13_signing_out_ends_a_running_upload_embedded() {
    let home = Home::new();
    let site = home.serve(&[]);
    signing_out_ends_a_running_upload(&home, site).await;
}

#[tokio::test]
async fn promise_13_signing_out_ends_a_running_upload_in_four_processes() {
    // By TCP, and by the service's Unix socket.
    for near in [false, true] {
        let home = Home::new();
        let folder = if near {
            home.dir.path().join("sockets").display().to_string()
        } else {
            String::new()
        };
        let site = home.roles(&[&format!("server.socket_dir={folder}")]);
        signing_out_ends_a_running_upload(&home, site).await;
    }
}
