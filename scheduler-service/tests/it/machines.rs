//! What other services and machines ask: internal routes, health, metrics, the description; and what does not start.

use std::time::Duration;

use common::bus::Subject;
use common::db::{Db, DbOptions};
use common::testing::{INTERNAL_TOKEN, eventually, spawn, test_config};
use common::time::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::app::{FAR, PAST, check, check_with, text};
use crate::worker::{SOON, arm, purge_request};
use crate::world::video_id;

#[test]
fn internal_calls_are_safe_to_repeat_and_checked() {
    check(|app| async move {
        let key = video_id(9);
        let path = format!("/internal/jobs/purge/{key}");
        let (first, one) = app.put(key.as_str(), FAR).await;
        let (second, two) = app.put(key.as_str(), FAR).await;
        assert_eq!((first.as_u16(), second.as_u16(), &one["id"]), (201, 200, &two["id"]));
        for _ in 0..2 {
            assert_eq!(app.internal(Method::DELETE, &path, None).await.0, 204);
        }
        assert_eq!(
            app.internal(Method::DELETE, &format!("/internal/jobs/purge/{}", video_id(10)), None)
                .await
                .0,
            204
        );
        assert_eq!(
            app.get("/api/v1/jobs?state=cancelled").await["items"][0]["id"],
            one["id"]
        );
        let good = json!({ "runAt": FAR });
        for (path, body, status) in [
            ("/internal/jobs/dance/k", good.clone(), 422),
            ("/internal/jobs/purge/a%20b", good.clone(), 422),
            ("/internal/jobs/purge/a", json!({ "runAt": "soon" }), 422),
            ("/internal/jobs/purge/a", json!({}), 422),
        ] {
            let (answered, answer) = app.internal(Method::PUT, path, Some(body.clone())).await;
            let expected = if status == 400 { [400, 422] } else { [status, status] };
            assert!(
                expected.contains(&answered.as_u16()),
                "{path} {body}: {answered} {answer}"
            );
            assert!(answer["code"].is_string());
        }
        let call = |kind: &str, key: &str| {
            let job = json!({ "runAt": FAR, "operationID": "of-the-job" });
            json!({ "operationID": "op", "kind": kind, "key": key, "job": job })
        };
        let many = json!({ "calls": [call("purge", "one"), call("dance", "two"), call("purge", "three")] });
        for _ in 0..2 {
            let (status, answer) = app.internal(Method::POST, "/internal/jobs", Some(many.clone())).await;
            let outcomes = &answer["outcomes"];
            assert_eq!((status.as_u16(), &outcomes[0]), (200, &json!({ "done": {} })));
            assert_eq!(
                (&outcomes[1]["problem"]["code"], &outcomes[2]),
                (&json!("invalid"), &json!({ "done": {} }))
            );
        }
        let armed = app.get("/api/v1/jobs?state=scheduled&kind=purge").await;
        let mut armed: Vec<_> = armed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["key"].as_str().unwrap())
            .collect();
        armed.sort_unstable();
        assert_eq!(armed, ["one", "three"]);
        let refused = app
            .call(&app.service.internal, "wrong", Method::PUT, &path, Some(good.clone()))
            .await;
        assert_eq!(refused.0, 401);
        // Nothing internal is at the edge.
        assert_eq!(
            app.call(&app.service.public, INTERNAL_TOKEN, Method::PUT, &path, Some(good))
                .await
                .0,
            404
        );
        app.stop().await;
    });
}

/// The calls of the typed clients fit the routes.
#[test]
fn the_typed_client_speaks_to_these_routes() {
    check(|app| async move {
        let mut config = test_config();
        config.internal.scheduler = vec![app.service.internal.clone()];
        let scheduler = common::clients::Clients::new(&config).unwrap().scheduler;
        let video = app.world.trashed(1, 9);
        let job = common::messages::JobRequest {
            payload: json!({}),
            run_at: common::time::Timestamp(1),
            operation: common::operation::OperationId::parse("from-api"),
        };
        scheduler.put_job("purge", video.as_str(), &job).await.unwrap();
        eventually("purged", SOON, || async {
            app.world.things().purged.get(video.as_str()).copied()
        })
        .await;
        assert!(app.world.things().operations.contains(&"from-api".to_owned()));
        scheduler.delete_job("purge", video.as_str()).await.unwrap();
        let refused = scheduler.put_job("dance", "k", &job).await.unwrap_err();
        assert_eq!(refused.status(), Some(422));
        app.stop().await;
    });
}

/// With an hour between two looks: a PUT wakes the runner, a later job runs when it is due, and a message on the bus makes it
/// look for what another process wrote.
#[test]
fn the_runner_is_woken_and_wakes_for_the_next_job() {
    check_with(Duration::from_secs(3600), |app, url| async move {
        let now = app.world.trashed(1, 1);
        let (_, job) = app.put(now.as_str(), PAST).await;
        app.until(text(&job["id"]), "done").await;
        let later = app.world.trashed(2, 1);
        let due = (Timestamp::now() + Duration::from_millis(1500)).to_string();
        let (_, job) = app.put(later.as_str(), &due).await;
        assert_eq!(job["state"], "scheduled");
        app.until(text(&job["id"]), "done").await;
        let elsewhere = app.world.trashed(3, 1);
        let db = Db::open(&url.parse().unwrap(), &DbOptions::default()).unwrap();
        let armed = arm(&db, purge_request(elsewhere.as_str())).await;
        drop(db);
        app.service.platform.bus.publish(&Subject::JobsReady, &());
        app.until(armed.id.as_str(), "done").await;
        app.stop().await;
    });
}

#[test]
fn health_tells_of_the_database_and_the_description_names_every_route() {
    check(|app| async move {
        let ready = app
            .http
            .get(format!("{}/readyz?verbose", app.service.internal))
            .send()
            .await
            .unwrap();
        assert_eq!(ready.status(), 200);
        assert!(ready.text().await.unwrap().contains("scheduler_database"));
        let metrics = app
            .http
            .get(format!("{}/metrics", app.service.internal))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(metrics.contains("sluice_jobs_running 0"), "{metrics}");
        let described = serde_json::to_value(scheduler_service::openapi()).unwrap();
        let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
        assert_eq!(
            paths,
            [
                "/api/v1/jobs",
                "/api/v1/jobs/summary",
                "/api/v1/jobs/{id}",
                "/api/v1/jobs/{id}/cancel",
                "/api/v1/jobs/{id}/retry"
            ]
        );
        app.stop().await;
    });
}

#[test]
fn a_wrong_database_url_does_not_start_and_names_its_key() {
    for url in [
        "postgress://u:s3cret@h/d",
        "sqlite:/nowhere/at/all.db",
        "postgres://u:s3cret@127.0.0.1:1/d",
    ] {
        let error = actix_web::rt::System::new().block_on(async {
            let mut config = test_config();
            config.database.scheduler = url.into();
            let spawned = spawn(config, |config, platform| async move {
                scheduler_service::start(&config, &platform).await
            });
            spawned.await.err().unwrap().to_string()
        });
        assert!(
            error.starts_with("database.scheduler: ") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
