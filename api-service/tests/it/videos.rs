//! `/api/v1/videos` and `/api/v1/videos/{id}`: created, shown, changed.

use common::grant::Permission;
use common::time::Timestamp;
use serde_json::json;

use crate::app::{each, each_with, media};

#[test]
fn a_new_video_waits_for_its_upload_with_a_ticket() {
    each(async |app| {
        let ann = app.register("ann").await;
        let draft = json!({ "title": " A bear ", "description": "Brown.", "visibility": "unlisted" });
        let body = ann.post("/api/v1/videos", draft).await.expect(201);
        let video = &body["video"];
        let id = video["id"].as_str().unwrap();
        assert_eq!(id.len(), 12);
        let expected = json!({
            "id": id, "title": "A bear", "description": "Brown.", "visibility": "unlisted", "state": "awaiting_upload",
            "author": { "username": "ann", "displayName": "ann" }, "sizeBytes": null, "durationMs": null, "width": null,
            "height": null, "codecs": [], "createdAt": video["createdAt"], "readyAt": null, "commentCount": 0,
        });
        assert_eq!(*video, expected);
        assert_eq!(ann.video(id).await.expect(200), expected);

        let upload = &body["upload"];
        assert_eq!(upload["url"], format!("/uploads/by-video/{id}"));
        let max = app.running.config.stream.max_upload.0;
        assert_eq!(upload["maxBytes"], max);
        let grant = app
            .running
            .platform
            .grants
            .verify(upload["grant"].as_str().unwrap(), Timestamp::now())
            .unwrap();
        assert_eq!(grant.video.as_str(), id);
        assert_eq!(grant.user.unwrap().as_str(), ann.id);
        let session = ann.session.parse().unwrap();
        assert_eq!(
            grant.permission,
            Permission::Upload {
                max_bytes: max,
                session
            }
        );
        assert_eq!(upload["expiresAt"], json!(Timestamp(grant.expires_ms)));
    });
}

#[test]
fn links_carry_the_public_address() {
    let public = |config: &mut common::config::Config| config.server.public_url = "https://video.example".into();
    each_with(public, async |app| {
        let ann = app.register("ann").await;
        let body = ann.post("/api/v1/videos", json!({ "title": "x" })).await.expect(201);
        let id = body["video"]["id"].as_str().unwrap();
        assert_eq!(
            body["upload"]["url"],
            format!("https://video.example/uploads/by-video/{id}")
        );
    });
}

#[test]
fn a_lost_ticket_is_replaced_while_the_video_waits() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.create(json!({ "title": "x" })).await;
        let path = format!("/api/v1/videos/{id}/upload");
        app.sql("UPDATE videos SET upload_until = 1").await;
        let upload = &ann.post(&path, json!({})).await.expect(200)["upload"];
        let grant = app
            .running
            .platform
            .grants
            .verify(upload["grant"].as_str().unwrap(), Timestamp::now())
            .unwrap();
        assert_eq!(grant.video.as_str(), id);
        assert_eq!(
            app.count("SELECT upload_until AS n FROM videos").await,
            grant.expires_ms
        );
        bob.post(&path, json!({})).await.problem(404, "not_found");
        app.post(&path, json!({})).await.problem(401, "unauthenticated");
        app.media_ready(&id).await.expect(200);
        ann.post(&path, json!({})).await.problem(409, "conflict");
    });
}

#[test]
fn every_refused_field_is_named_and_nothing_is_made() {
    each(async |app| {
        let ann = app.register("ann").await;
        let check = async |draft: serde_json::Value, pointers: &[&str]| {
            ann.post("/api/v1/videos", draft).await.invalid(pointers);
        };
        check(json!({ "title": "" }), &["/title"]).await;
        check(json!({ "title": "x".repeat(201) }), &["/title"]).await;
        check(
            json!({ "title": "a\u{0}b", "description": "a\u{7}b" }),
            &["/title", "/description"],
        )
        .await;
        check(json!({ "title": "a\r\nSet-Cookie: x=1" }), &["/title"]).await;
        check(
            json!({ "title": "ok", "description": "x".repeat(5001) }),
            &["/description"],
        )
        .await;
        check(json!({ "description": "no title" }), &["/title"]).await;
        ann.post("/api/v1/videos", json!({ "title": 5 }))
            .await
            .problem(422, "invalid");
        ann.post("/api/v1/videos", json!({ "title": "x", "visibility": "secret" }))
            .await
            .problem(422, "invalid");
        app.post("/api/v1/videos", json!({ "title": "x" }))
            .await
            .problem(401, "unauthenticated");
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM videos").await, 0);
        // The longest that is allowed, counted in characters.
        let long = json!({ "title": "熊".repeat(200), "description": "🐻".repeat(5000) });
        ann.create(long).await;
    });
}

#[test]
fn who_may_see_a_video() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let check = async |visibility: &str, ready: bool, others: u16| {
            let id = ann.create(json!({ "title": "x", "visibility": visibility })).await;
            if ready {
                app.media_ready(&id).await.expect(200);
            }
            let path = format!("/api/v1/videos/{id}");
            ann.video(&id).await.expect(200);
            assert_eq!(bob.video(&id).await.status, others, "{visibility} {ready}");
            assert_eq!(app.get(&path).await.status, others, "{visibility} {ready}");
        };
        check("public", true, 200).await;
        check("unlisted", true, 200).await;
        check("private", true, 404).await;
        check("public", false, 404).await;
        check("unlisted", false, 404).await;
        for id in ["000000000000", "nonsense", "%00", "..%2f..", "AAAAAAAAAAAA"] {
            ann.video(id).await.problem(404, "not_found");
        }
    });
}

#[test]
fn a_ready_video_shows_its_facts() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("A bear").await;
        let video = app.get(&format!("/api/v1/videos/{id}")).await.expect(200);
        for member in ["sizeBytes", "durationMs", "width", "height", "codecs"] {
            assert_eq!(video[member], media()[member], "{member}");
        }
        assert_eq!(video["state"], "ready");
        assert!(video["readyAt"].as_str().unwrap() >= video["createdAt"].as_str().unwrap());
    });
}

#[test]
fn a_patch_changes_what_it_names() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("Before").await;
        let path = format!("/api/v1/videos/{id}");
        ann.patch(&path, json!({ "description": "Text" })).await.expect(200);
        let changed = ann
            .patch(&path, json!({ "title": " After ", "visibility": "unlisted" }))
            .await
            .expect(200);
        assert_eq!(
            (&changed["title"], &changed["description"]),
            (&json!("After"), &json!("Text"))
        );
        assert_eq!(ann.video(&id).await.expect(200), changed);
        assert_eq!(ann.patch(&path, json!({})).await.expect(200), changed);
        let cleared = ann.patch(&path, json!({ "description": null })).await.expect(200);
        assert_eq!(cleared["description"], "");
        assert_eq!(
            app.get("/api/v1/videos").await.expect(200)["items"],
            json!([]),
            "unlisted now"
        );
        ann.patch(&path, json!({ "visibility": "public" })).await.expect(200);
        let found = app.get("/api/v1/videos?q=after").await.expect(200);
        assert_eq!(
            crate::app::members(&found, "id"),
            std::slice::from_ref(&id),
            "the search follows the title"
        );

        ann.patch(&path, json!({ "title": null })).await.invalid(&["/title"]);
        ann.patch(&path, json!({ "visibility": null, "title": "" }))
            .await
            .invalid(&["/title", "/visibility"]);
        ann.patch(&path, json!({ "titel": "typo" })).await.invalid(&["/titel"]);
        ann.patch(&path, json!({ "state": "ready" })).await.invalid(&["/state"]);
        bob.patch(&path, json!({ "title": "Mine now" }))
            .await
            .problem(404, "not_found");
        app.send(app.request(reqwest::Method::PATCH, &path).json(&json!({})))
            .await
            .problem(401, "unauthenticated");
        assert_eq!(ann.video(&id).await.expect(200)["title"], "After");
    });
}
