//! The internal routes: reports of stream-service, sweeps, records.

use std::time::Duration;

use common::bus::Subject;
use common::messages::UserEvent;
use reqwest::Method;
use serde_json::json;

use crate::app::{App, Person, each, media};

async fn failed(app: &App, id: &str, reason: &str) -> crate::app::Answer {
    app.report(
        &format!("/internal/videos/{id}/media-failed"),
        json!({ "reason": reason }),
    )
    .await
}

async fn state(ann: &Person<'_>, id: &str) -> String {
    ann.video(id).await.expect(200)["state"].as_str().unwrap().to_owned()
}

#[test]
fn internal_routes_need_the_internal_token_and_are_not_public() {
    each(async |app| {
        let url = format!("{}/internal/videos", app.running.internal);
        app.send(app.http.get(&url)).await.problem(401, "unauthenticated");
        app.send(app.http.get(&url).bearer_auth("wrong"))
            .await
            .problem(401, "unauthenticated");
        app.internal(Method::GET, "/internal/videos", json!(null))
            .await
            .expect(200);
        app.get("/internal/videos").await.problem(404, "not_found");
    });
}

#[test]
fn a_report_may_come_twice() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let first = ann.video(&id).await.expect(200);
        app.media_ready(&id).await.expect(200);
        assert_eq!(ann.video(&id).await.expect(200), first, "readyAt does not move");
        let mut other = media();
        other["sha256"] = json!("00");
        app.report(&format!("/internal/videos/{id}/media-ready"), other)
            .await
            .problem(409, "conflict");
        app.media_ready("000000000000").await.problem(404, "not_found");
        app.media_ready("nonsense").await.problem(404, "not_found");
        app.report(&format!("/internal/videos/{id}/media-ready"), json!({}))
            .await
            .invalid(&["/sizeBytes"]);
        let mut huge = media();
        huge["sizeBytes"] = json!(u64::MAX);
        let waits = ann.create(json!({ "title": "x" })).await;
        app.report(&format!("/internal/videos/{waits}/media-ready"), huge)
            .await
            .problem(422, "invalid");
        assert_eq!(state(&ann, &waits).await, "awaiting_upload");
    });
}

#[test]
fn a_failure_is_shown_until_media_comes_after_all() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.create(json!({ "title": "x" })).await;
        failed(app, &id, "This is a text file.").await.expect(200);
        failed(app, &id, "Something else.").await.expect(200);
        let video = ann.video(&id).await.expect(200);
        assert_eq!(
            (&video["state"], &video["failure"]),
            (&json!("failed"), &json!("This is a text file."))
        );
        app.media_ready(&id).await.expect(200);
        let video = ann.video(&id).await.expect(200);
        assert_eq!((&video["state"], &video["failure"]), (&json!("ready"), &json!(null)));
        // Media that was lost: the reconciler reports it as failed.
        failed(app, &id, "The file is gone.").await.expect(200);
        assert_eq!(state(&ann, &id).await, "failed");
        app.get(&format!("/api/v1/videos/{id}")).await.problem(404, "not_found");
        failed(app, "000000000000", "x").await.problem(404, "not_found");
    });
}

#[test]
fn the_owner_is_told_what_happens_to_a_video_once() {
    each(async |app| {
        let ann = app.register("ann").await;
        let mut heard = app
            .running
            .platform
            .bus
            .subscribe(&Subject::User(ann.id.parse().unwrap()));
        let mut changes = app.running.platform.bus.subscribe(&Subject::MediaChanged);
        let id = ann.publish("x").await;
        app.media_ready(&id).await.expect(200);
        ann.trash(&id).await.expect(202);
        ann.trash(&id).await.expect(202);
        ann.restore(&id).await.expect(200);
        failed(app, &id, "lost").await.expect(200);
        ann.purge(&id).await;
        let expected = [
            "OnVideoReady",
            "OnVideoTrashed",
            "OnVideoRestored",
            "OnVideoFailed",
            "OnVideoTrashed",
            "OnVideoPurged",
        ];
        for name in expected {
            let message = tokio::time::timeout(Duration::from_secs(5), heard.next())
                .await
                .unwrap()
                .unwrap();
            let event: UserEvent = message.decode().unwrap();
            assert_eq!(
                (event.event.as_str(), event.data["videoID"].as_str()),
                (name, Some(id.as_str()))
            );
            assert!(event.operation.is_some());
        }
        for _ in 0..3 {
            let message = tokio::time::timeout(Duration::from_secs(5), changes.next())
                .await
                .unwrap()
                .unwrap();
            let change: common::messages::MediaChanged = message.decode().unwrap();
            assert_eq!(change.video.as_str(), id);
        }
    });
}

#[test]
fn records_come_in_pages_in_the_order_of_ids() {
    each(async |app| {
        let ann = app.register("ann").await;
        let mut ids = Vec::new();
        for n in 0..5 {
            ids.push(ann.create(json!({ "title": n.to_string() })).await);
        }
        ids.sort_unstable();
        ann.trash(&ids[0]).await.expect(202);
        ann.restore(&ids[0]).await.expect(200);
        ann.trash(&ids[0]).await.expect(202);
        let (mut seen, mut path) = (Vec::new(), "/internal/videos?limit=2".to_owned());
        loop {
            let page = app.internal(Method::GET, &path, json!(null)).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => path = format!("/internal/videos?limit=2&after={next}"),
                None => break,
            }
        }
        assert_eq!(
            seen.iter().map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>(),
            ids
        );
        assert_eq!((&seen[0]["state"], &seen[0]["version"]), (&json!("trashed"), &json!(3)));
        assert!(seen[0]["purgeAt"].is_string());
        assert_eq!(
            (&seen[1]["state"], &seen[1]["version"]),
            (&json!("awaiting_upload"), &json!(0))
        );
        let records: common::messages::RecordPage<common::messages::VideoRecord> = serde_json::from_value(
            app.internal(Method::GET, "/internal/videos?limit=5000", json!(null))
                .await
                .expect(200),
        )
        .unwrap();
        assert_eq!(records.items.len(), 5);
    });
}

#[test]
fn an_upload_that_never_arrives_is_given_up() {
    each(async |app| {
        let ann = app.register("ann").await;
        let (late, waits, trashed) = (
            ann.create(json!({ "title": "late" })).await,
            ann.create(json!({ "title": "waits" })).await,
            ann.create(json!({ "title": "trashed" })).await,
        );
        ann.trash(&trashed).await.expect(202);
        // The grant ended; an upload that began before has an hour more.
        app.sql(&format!(
            "UPDATE videos SET upload_until = $now - 3500000 WHERE id = '{waits}'"
        ))
        .await;
        for id in [&late, &trashed] {
            app.sql(&format!(
                "UPDATE videos SET upload_until = $now - 3700000 WHERE id = '{id}'"
            ))
            .await;
        }
        let sweep = async |dry: bool| {
            let answer = app
                .report("/internal/videos/expire", json!({ "dryRun": dry }))
                .await
                .expect(200);
            answer["count"].as_u64().unwrap()
        };
        assert_eq!(sweep(true).await, 1);
        assert_eq!(state(&ann, &late).await, "awaiting_upload");
        assert_eq!((sweep(false).await, sweep(false).await), (1, 0));
        let video = ann.video(&late).await.expect(200);
        assert_eq!(
            (&video["state"], &video["failure"]),
            (&json!("failed"), &json!("The upload never arrived."))
        );
        assert_eq!(state(&ann, &waits).await, "awaiting_upload");
        assert_eq!(state(&ann, &trashed).await, "trashed");
        // It arrived after all, acknowledged: nothing is lost.
        app.media_ready(&late).await.expect(200);
        assert_eq!(state(&ann, &late).await, "ready");
    });
}
