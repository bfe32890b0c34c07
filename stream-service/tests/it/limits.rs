//! What operators see of the limits and change of them, in one process and in several.

use crate::app::{App, OPERATOR, SOON, USER, on_each_app, on_each_app_with, on_one_app_with, start_service};
use common::{
    config::{ByteSize, Config},
    db::Backend,
    testing::eventually,
    testing::raw::{Raw, through},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use stream_service::limit::{conn::ConnLimits, refusals::Reason};

const LIMITS: &str = "/api/v1/limits";

async fn call(app: &App, base: &str, method: Method, token: &str, body: Option<Value>) -> Response {
    let mut request = app.http.request(method, format!("{base}{LIMITS}"));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap()
}

async fn view_of(app: &App, base: &str) -> Value {
    let answer = call(app, base, Method::GET, OPERATOR, None).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    answer.json().await.unwrap()
}

async fn view(app: &App) -> Value {
    view_of(app, &app.running.public).await
}

async fn patch(app: &App, body: Value) -> Response {
    call(app, &app.running.public, Method::PATCH, OPERATOR, Some(body)).await
}

#[test]
fn only_operators_see_and_set_limits() {
    on_each_app(|app| async move {
        let base = app.running.public.clone();
        for method in [Method::GET, Method::PATCH] {
            for (token, status, code) in [
                ("", 401, "unauthenticated"),
                ("nobody's", 401, "unauthenticated"),
                (USER, 403, "forbidden"),
            ] {
                let body = (method == Method::PATCH).then(|| json!({ "rate": 1 }));
                let refused = App::problem(call(&app, &base, method.clone(), token, body).await).await;
                assert_eq!((refused.0, refused.1.as_str()), (status, code), "{method} {token}");
            }
        }
        let other = call(&app, &base, Method::DELETE, OPERATOR, None).await;
        assert_eq!(
            (other.status().as_u16(), &other.headers()["allow"]),
            (405, &"GET, HEAD, PATCH".parse().unwrap())
        );
        assert_eq!(view(&app).await["settings"]["rate"]["value"], 100_000);
    });
}

/// Whoever may connect there is an edge, which says for whom it asks; by TCP only trusted proxies are believed.
#[test]
fn who_comes_through_the_socket_is_whom_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let tune = |config: &mut Config| {
        config.stream.max_streams_per_client = 1;
        config.server.socket_dir = folder.display().to_string();
    };
    on_one_app_with(tune, |app| async move {
        let (video, _) = app.stored(40_000_000).await;
        let mut grant = app.play_grant(&video);
        grant.user = None;
        let path = format!("/media/{}/{video}/file", app.sign(&grant));
        let status = async |viewer: &str| {
            let mut client = Raw::connect(&app.running.public).await;
            let text = format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {viewer}\r\n\r\n");
            client.send(&text).await;
            let status = client.head().await.status;
            (client, status)
        };
        let (first, one) = status("203.0.113.1").await;
        let (second, same) = status("203.0.113.2").await;
        assert_eq!((one, same), (200, 429), "by TCP both are the peer");
        drop((first, second));
        app.nothing_is_held().await;
        let _through = through(&app.running.public, folder);
        let (_first, one) = status("203.0.113.1").await;
        let (_second, other) = status("203.0.113.2").await;
        let (_third, same) = status("203.0.113.2").await;
        assert_eq!((one, other, same), (200, 200, 429));
    });
}

#[test]
fn operators_see_who_holds_what_and_who_was_refused_and_why() {
    let tune = |config: &mut Config| config.stream.max_streams_per_client = 1;
    on_each_app_with(tune, |app| async move {
        let (video, _) = app.stored(6_000_000).await;
        app.state.limits.pace.store(100_000, Ordering::Relaxed);
        let grant = app.play_grant(&video);
        let user = grant.user.clone().unwrap();
        let url = format!("{}/media/{}/{video}/file", app.running.public, app.sign(&grant));
        let ask = || app.http.get(&url).header("x-operation-id", "watch-1").send();
        let playing = ask().await.unwrap();
        let refused = app
            .http
            .get(&url)
            .header("x-operation-id", "watch-2")
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 429);
        let seen = eventually("bytes are seen", SOON, || async {
            let seen = view(&app).await;
            (seen["streams"]["holders"][0]["bytes"].as_u64() > Some(100_000)).then_some(seen)
        })
        .await;
        let streams = &seen["streams"];
        assert_eq!(
            (&streams["held"], &streams["mostPerClient"], &streams["more"]),
            (&json!(1), &json!(1), &json!(0))
        );
        let holder = &streams["holders"][0];
        assert_eq!(
            (&holder["client"]["userID"], &holder["videoID"]),
            (&json!(user), &json!(video))
        );
        assert_eq!(holder["operationID"], "watch-1");
        let refusal = &seen["refusals"]["latest"][0];
        assert_eq!(
            (&refusal["limit"], &refusal["count"]),
            (&json!("streams_per_client"), &json!(1))
        );
        assert_eq!((&refusal["reached"], &refusal["most"]), (&json!(1), &json!(1)));
        assert_eq!(
            (&refusal["client"]["userID"], &refusal["operationID"]),
            (&json!(user), &json!("watch-2"))
        );
        assert_eq!(seen["refusals"]["counts"]["streams_per_client"], 1);
        assert_eq!(seen["instances"][0]["refused"], 1);
        let metrics = app.running.platform.metrics.encode();
        assert!(metrics.contains("sluice_stream_refused_total{limit=\"streams_per_client\"} 1"));
        assert!(metrics.contains("sluice_stream_refused_total{limit=\"egress\"} 0"));
        drop(playing);
        eventually("nobody holds anything", SOON, || async {
            (view(&app).await["streams"]["holders"] == json!([])).then_some(())
        })
        .await;
    });
}

#[test]
fn operators_see_uploads_empty_buckets_and_budgets() {
    let tune = |config: &mut Config| config.stream.egress_per_address_day = ByteSize(1 << 30);
    on_each_app_with(tune, |app| async move {
        let (video, bytes) = app.stored(50_000).await;
        let mut grant = app.play_grant(&video);
        grant.user = None;
        let url = format!("{}/media/{}/{video}/file", app.running.public, app.sign(&grant));
        app.http.get(&url).send().await.unwrap().bytes().await.unwrap();
        let top = eventually("the database knows", SOON, || async {
            let egress = view(&app).await["egress"].take();
            (egress["top"] != json!([])).then_some(egress)
        })
        .await;
        let expected = json!([{ "client": { "network": "127.0.0.1" }, "bytes": bytes.len(), "budget": 1 << 30 }]);
        assert_eq!(top["top"], expected);
        assert!(top["until"].as_str().unwrap().ends_with("T00:00:00.000Z"));
        // An upload that has sent a part of its body.
        let (sender, body) = crate::progress::dripping();
        sender.send(bytes[..20_000].to_vec()).unwrap();
        let another = common::ids::VideoId::random();
        let request = app
            .http
            .put(app.put_url(&another))
            .bearer_auth(app.upload_token(&another));
        let sending = tokio::task::spawn_local(request.body(body).send());
        let seen = eventually("the upload is seen", SOON, || async {
            let uploads = view(&app).await["uploads"].take();
            (uploads["holders"][0]["bytes"].as_u64() == Some(20_000)).then_some(uploads)
        })
        .await;
        assert_eq!(
            (&seen["holders"][0]["videoID"], &seen["held"]),
            (&json!(another), &json!(1))
        );
        drop(sender);
        assert_eq!(sending.await.unwrap().unwrap().status(), 415);
        // A rate of one in a long while.
        assert_eq!(patch(&app, json!({ "rate": 1, "burst": 1 })).await.status(), 200);
        app.http.get(&url).send().await.unwrap();
        assert_eq!(app.http.get(&url).send().await.unwrap().status(), 429);
        let rate = view(&app).await["rate"].take();
        assert_eq!(rate["empty"][0]["client"], json!({ "network": "127.0.0.1" }));
        assert!(
            (1..=1000).contains(&rate["empty"][0]["waitMs"].as_u64().unwrap()),
            "{rate}"
        );
    });
}

#[test]
fn a_change_counts_at_once_is_kept_and_can_be_taken_back() {
    on_each_app(|app| async move {
        let changed = patch(
            &app,
            json!({ "maxStreamsPerClient": 3, "pace": "2 MiB", "egressPerUserDay": 5_000_000_000_u64 }),
        );
        let changed: Value = changed.await.json().await.unwrap();
        let limits = &app.state.limits;
        let streams = ConnLimits {
            total: 2000,
            per_client: 3,
        };
        assert_eq!(
            (limits.streams.limits(), limits.pace.load(Ordering::Relaxed)),
            (streams, 2 << 20)
        );
        assert_eq!(limits.egress.budgets().user, 5_000_000_000);
        let pace = &changed["settings"]["pace"];
        assert_eq!(
            (&pace["value"], &pace["text"], &pace["from"]),
            (&json!(2 << 20), &json!("2 MiB"), &json!("operator"))
        );
        assert_eq!(
            (&pace["configured"], &pace["key"], &pace["changedBy"]),
            (&json!(0), &json!("stream.pace"), &json!("opal"))
        );
        let rate = &changed["settings"]["rate"];
        assert_eq!(
            (&rate["from"], &rate["changedBy"]),
            (&json!("configuration"), &Value::Null)
        );
        // A process that starts later has it from its first request on, whatever its configuration says.
        let mut config = app.running.config.clone();
        let dir = tempfile::tempdir().unwrap();
        config.server.data_dir = dir.path().display().to_string();
        config.stream.pace = ByteSize(77 << 10);
        let (later, state) = start_service(config).await;
        assert_eq!(
            (state.limits.pace.load(Ordering::Relaxed), state.limits.streams.limits()),
            (2 << 20, streams)
        );
        drop(state);
        later.stop().await;
        // Given back, one by one.
        let back: Value = patch(&app, json!({ "pace": null, "maxUploads": null }))
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(
            (&back["settings"]["pace"]["from"], &back["settings"]["pace"]["value"]),
            (&json!("configuration"), &json!(0))
        );
        assert_eq!(app.state.limits.pace.load(Ordering::Relaxed), 0);
        assert_eq!(back["settings"]["maxStreamsPerClient"]["value"], 3);
    });
}

#[test]
fn a_wrong_change_changes_nothing_and_names_every_mistake() {
    on_each_app(|app| async move {
        let before = view(&app).await["settings"].take();
        let wrong = json!({ "rate": 0, "maxStreams": "many", "pace": "2 gib", "max_uploads": 3, "a/b": 1, "burst": 5 });
        let (status, code, problem) = App::problem(patch(&app, wrong).await).await;
        assert_eq!((status, code.as_str()), (422, "invalid"));
        let errors = problem["errors"].as_array().unwrap();
        let of = |pointer: &str| {
            let error = errors.iter().find(|error| error["pointer"] == pointer);
            error.unwrap_or_else(|| panic!("{pointer}: {problem}"))["detail"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(errors.len(), 5);
        assert!(of("/rate").contains("at least 1"));
        assert!(of("/maxStreams").contains("whole number"));
        assert!(of("/pace").contains("is not a size"));
        assert!(of("/max_uploads").contains("maxUploadsPerUser"));
        assert!(of("/a~1b").contains("is not a limit"));
        for body in [json!({}), json!([1]), json!("rate")] {
            assert_eq!(App::problem(patch(&app, body).await).await.0, 422);
        }
        assert_eq!(view(&app).await["settings"], before);
        let list = app.http.get(format!("{}{LIMITS}?limit=0", app.running.public));
        let refused = list.bearer_auth(OPERATOR).send().await.unwrap();
        assert_eq!(App::problem(refused).await.2["errors"][0]["pointer"], "/limit");
    });
}

#[test]
fn every_copy_takes_a_change_over_and_the_view_says_which_copies_there_are() {
    on_each_app(|app| async move {
        if app.db.backend() == Backend::Sqlite {
            // A SQLite file has one process.
            assert_eq!(view(&app).await["instances"].as_array().unwrap().len(), 1);
            return;
        }
        let (other, state) = start_service(app.running.config.clone()).await;
        patch(&app, json!({ "maxUploads": 7 })).await;
        eventually("the other copy has it", SOON, || async {
            (state.limits.uploads.limits().total == 7).then_some(())
        })
        .await;
        state.limits.refusals.note(stream_service::limit::refusals::Refused {
            client: stream_service::limit::client::ClientKey::V4([192, 0, 2, 1]),
            reason: Reason::Rate,
            reached: 1,
            most: 1,
            video: None,
            operation: None,
        });
        let seen = eventually("each knows of the other", SOON, || async {
            let seen = view(&app).await;
            (seen["instances"].as_array().unwrap().len() == 2 && seen["instances"][1]["refused"] == 1).then_some(seen)
        })
        .await;
        assert_eq!(seen["instance"], json!(app.state.instance));
        assert_eq!(
            (&seen["instances"][0]["here"], &seen["instances"][1]["here"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(seen["instances"][1]["id"], json!(state.instance));
        assert_eq!(
            seen["refusals"]["latest"],
            json!([]),
            "what the other one refused is the other one's"
        );
        let from_there = view_of(&app, &other.public).await;
        assert_eq!(from_there["refusals"]["counts"]["rate"], 1);
        drop(state);
        other.stop().await;
        assert_eq!(
            view(&app).await["instances"].as_array().unwrap().len(),
            1,
            "who ends says so"
        );
    });
}
