//! `GET /api/v1/videos/{id}/playback`: who may play what.

use common::grant::Permission;
use common::time::Timestamp;
use serde_json::json;

use crate::app::each;

#[test]
fn a_ready_video_is_played_by_whoever_may_see_it() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let check = async |visibility: &str, others: u16| {
            let id = ann.create(json!({ "title": "x", "visibility": visibility })).await;
            app.media_ready(&id).await.expect(200);
            let path = format!("/api/v1/videos/{id}/playback");
            assert_eq!(app.get(&path).await.status, others, "{visibility}");
            assert_eq!(bob.get(&path).await.status, others, "{visibility}");
            ann.get(&path).await.expect(200);
        };
        check("public", 200).await;
        check("unlisted", 200).await;
        check("private", 404).await;
    });
}

#[test]
fn the_address_carries_a_grant_for_this_video_and_viewer() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}/playback");
        for (answer, viewer) in [(app.get(&path).await, None), (bob.get(&path).await, Some(&bob.id))] {
            let body = answer.expect(200);
            let source = &body["sources"][0];
            assert_eq!(
                (&source["type"], &source["mime"]),
                (&json!("file"), &json!("video/mp4"))
            );
            assert_eq!(body["poster"], json!(null));
            let url = source["url"].as_str().unwrap();
            let (grant, rest) = url.strip_prefix("/media/").unwrap().split_once('/').unwrap();
            assert_eq!(rest, format!("{id}/file"));
            let grant = app.running.platform.grants.verify(grant, Timestamp::now()).unwrap();
            assert_eq!(
                (&grant.permission, grant.video.as_str()),
                (&Permission::Play, id.as_str())
            );
            assert_eq!(
                grant.user.as_ref().map(|user| user.as_str()),
                viewer.map(String::as_str)
            );
            assert_eq!(body["expiresAt"], json!(Timestamp(grant.expires_ms)));
            let left = grant.expires_ms - Timestamp::now().millis();
            assert!((5 * 3_600_000..=6 * 3_600_000).contains(&left), "{left}");
        }
    });
}

#[test]
fn what_is_not_ready_is_not_played() {
    each(async |app| {
        let ann = app.register("ann").await;
        let waits = ann.create(json!({ "title": "x" })).await;
        let trashed = ann.publish("y").await;
        ann.trash(&trashed).await.expect(202);
        for id in [waits, trashed] {
            let path = format!("/api/v1/videos/{id}/playback");
            ann.get(&path).await.problem(409, "conflict");
            app.get(&path).await.problem(404, "not_found");
        }
    });
}
