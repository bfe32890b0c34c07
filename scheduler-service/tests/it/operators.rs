//! The operators' routes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{FAR, PAST, check, text};
use crate::world::video_id;

#[test]
fn only_operators_see_jobs() {
    check(|app| async move {
        let ask = |token: &'static str| {
            let app = &app;
            async move {
                let mut answers = Vec::new();
                for (method, path) in [
                    (Method::GET, "/api/v1/jobs"),
                    (Method::GET, "/api/v1/jobs/summary"),
                    (Method::POST, "/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057/retry"),
                ] {
                    let (status, body) = app.call(&app.service.public, token, method, path, None).await;
                    answers.push((status.as_u16(), text(&body["code"]).to_owned()));
                }
                answers.dedup();
                answers
            }
        };
        assert_eq!(ask("user").await, [(403, "forbidden".into())]);
        assert_eq!(ask("nobody").await, [(401, "unauthenticated".into())]);
        let bare = app
            .http
            .get(format!("{}/api/v1/jobs", app.service.public))
            .send()
            .await
            .unwrap();
        assert_eq!(bare.status(), 401);
        app.world.things().broken.push(("tokens/parse".into(), 500));
        assert_eq!(ask("operator").await, [(503, "upstream_unavailable".into())]);
        app.stop().await;
    });
}

/// A browser sends its cookie whoever made the page.
#[test]
fn a_cookie_of_another_site_changes_nothing() {
    check(|app| async move {
        let post = |site: &'static str| {
            app.http
                .post(format!("{}/api/v1/jobs", app.service.public))
                .header("cookie", "sluice_session=operator")
                .header("sec-fetch-site", site)
                .json(&json!({ "kind": "reconcile", "dryRun": true }))
                .send()
        };
        assert_eq!(post("cross-site").await.unwrap().status(), 403);
        assert_eq!(post("same-origin").await.unwrap().status(), 202);
        app.stop().await;
    });
}

#[test]
fn the_list_filters_and_pages_newest_first() {
    check(|app| async move {
        let mut ids = Vec::new();
        for n in 0..5 {
            let (status, job) = app.put(video_id(n).as_str(), FAR).await;
            assert_eq!((status, &job["state"]), (StatusCode::CREATED, &json!("scheduled")));
            ids.push(text(&job["id"]).to_owned());
        }
        ids.reverse();
        let mut seen = Vec::new();
        let mut cursor = String::new();
        for expected in [2, 2, 1] {
            let page = app.get(&format!("/api/v1/jobs?kind=purge&limit=2{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert_eq!(items.len(), expected);
            seen.extend(items.iter().map(|job| text(&job["id"]).to_owned()));
            cursor = page["next"]
                .as_str()
                .map(|next| format!("&cursor={next}"))
                .unwrap_or_default();
        }
        assert_eq!((seen, cursor.as_str()), (ids, ""));
        assert_eq!(
            app.get("/api/v1/jobs?state=dead").await,
            json!({ "items": [], "next": null })
        );
        assert_eq!(
            app.get("/api/v1/jobs?state=scheduled&kind=reconcile").await["items"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        for (query, status) in [
            ("?limit=0", 422),
            ("?limit=101", 422),
            ("?state=finished", 400),
            ("?kind=x", 400),
            ("?cursor=x", 400),
            ("?colour=red", 400),
        ] {
            let (answered, body) = app.operator(Method::GET, &format!("/api/v1/jobs{query}"), None).await;
            assert_eq!(answered.as_u16(), status, "{query}: {body}");
        }
        app.stop().await;
    });
}

#[test]
fn a_job_shows_all_that_is_known_of_it() {
    check(|app| async move {
        let video = app.world.trashed(1, 42);
        let (_, job) = app.put(video.as_str(), PAST).await;
        let done = app.until(text(&job["id"]), "done").await;
        assert_eq!((text(&done["kind"]), text(&done["key"])), ("purge", video.as_str()));
        assert_eq!(
            (&done["attempts"], &done["result"]),
            (&json!(1), &json!({ "objects": 2, "bytes": 42 }))
        );
        assert_eq!((text(&done["runAt"]), text(&done["operationID"])), (PAST, "op-1"));
        assert!(done["finishedAt"].is_string() && done["createdAt"].is_string() && done["lastError"].is_null());
        for path in [
            "/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057",
            "/api/v1/jobs/x",
            "/api/v1/jobs/x/y",
        ] {
            assert_eq!(app.operator(Method::GET, path, None).await.0, 404, "{path}");
        }
        assert_eq!(
            app.operator(Method::DELETE, &format!("/api/v1/jobs/{}", text(&job["id"])), None)
                .await
                .0,
            405
        );
        app.stop().await;
    });
}

#[test]
fn jobs_are_cancelled_and_retried() {
    check(|app| async move {
        let video = app.world.trashed(1, 42);
        let (_, job) = app.put(video.as_str(), FAR).await;
        let path = format!("/api/v1/jobs/{}", text(&job["id"]));
        for _ in 0..2 {
            let (status, cancelled) = app.post(&format!("{path}/cancel")).await;
            assert_eq!((status.as_u16(), text(&cancelled["state"])), (200, "cancelled"));
        }
        assert_eq!(app.post(&format!("{path}/retry")).await.0, 200);
        app.until(text(&job["id"]), "done").await;
        assert_eq!(app.post(&format!("{path}/cancel")).await.0, 409, "what is done is done");
        // What runs can neither be cancelled nor retried.
        let stuck = app.world.trashed(2, 42);
        let (mut arrived, go) = app.world.gate("purge/begin", false);
        let (_, job) = app.put(stuck.as_str(), PAST).await;
        arrived.recv().await.unwrap();
        for verb in ["cancel", "retry"] {
            let (status, body) = app.post(&format!("/api/v1/jobs/{}/{verb}", text(&job["id"]))).await;
            assert_eq!((status.as_u16(), text(&body["code"])), (409, "conflict"));
            assert!(text(&body["detail"]).contains("running"));
        }
        go.send(()).unwrap();
        app.until(text(&job["id"]), "done").await;
        assert_eq!(
            app.post("/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057/retry")
                .await
                .0,
            404
        );
        app.stop().await;
    });
}

#[test]
fn operators_start_sweeps_and_read_what_they_found() {
    check(|app| async move {
        app.world.media(1, 10);
        let start = |body: Value| app.operator(Method::POST, "/api/v1/jobs", Some(body));
        let (status, job) = start(json!({ "kind": "reconcile", "dryRun": true })).await;
        assert_eq!(status, 202);
        let done = app.until(text(&job["id"]), "done").await;
        assert_eq!(
            (&done["result"]["dryRun"], &done["result"]["unknownMedia"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(app.world.calls("DELETE"), 0);
        for (body, expected) in [
            (json!({ "kind": "purge" }), 422),
            (json!({ "kind": "dance" }), 422),
            (json!({ "kind": "reconcile", "color": 1 }), 422),
            (json!({ "kind": "scrub", "dryRun": true }), 422),
            (json!({}), 422),
            (json!([]), 422),
        ] {
            let (status, answer) = start(body.clone()).await;
            assert_eq!(status.as_u16(), expected, "{body}: {answer}");
        }
        app.stop().await;
    });
}

#[test]
fn the_summary_counts_by_state_and_kind() {
    check(|app| async move {
        app.put(video_id(1).as_str(), FAR).await;
        let video = app.world.trashed(2, 1);
        let (_, job) = app.put(video.as_str(), PAST).await;
        app.until(text(&job["id"]), "done").await;
        let summary = app.get("/api/v1/jobs/summary").await;
        // The periodic ones wait too.
        assert_eq!(
            (&summary["states"]["scheduled"], &summary["states"]["done"]),
            (&json!(5), &json!(1))
        );
        assert_eq!(summary["states"]["dead"], 0);
        assert_eq!(summary["kinds"]["purge"], json!({ "scheduled": 1, "done": 1 }));
        assert!(summary["oldestReadyAt"].is_null());
        app.stop().await;
    });
}
