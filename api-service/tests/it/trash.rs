//! Deleting, bringing back, and the receipt.

use common::time::Timestamp;
use serde_json::{Value, json};

use crate::app::{App, each};

fn millis(value: &Value) -> i64 {
    serde_json::from_value::<Timestamp>(value.clone()).unwrap().millis()
}

async fn begin(app: &App, id: &str) -> crate::app::Answer {
    app.report(&format!("/internal/videos/{id}/purge/begin"), json!({}))
        .await
}

async fn done(app: &App, id: &str, objects: u64, bytes: u64) -> crate::app::Answer {
    let receipt = json!({ "receipt": { "objects": objects, "bytes": bytes } });
    app.report(&format!("/internal/videos/{id}/purge/done"), receipt).await
}

#[test]
fn purges_of_many_videos_are_answered_each_by_itself() {
    each(async |app| {
        let ann = app.register("ann").await;
        let mut ids = Vec::new();
        for title in ["a", "b", "kept"] {
            ids.push(ann.publish(title).await);
        }
        for id in &ids[..2] {
            ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
                .await
                .expect(202);
        }
        let unknown = "000000000000".to_owned();
        let videos = [&ids[0], &ids[2], &unknown, &ids[1]];
        let calls = |more: &Value| {
            let call = |(n, video): (usize, &&String)| {
                let mut call = json!({ "operationID": format!("op-{n}"), "video": video });
                call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                call
            };
            json!({ "calls": videos.iter().enumerate().map(call).collect::<Vec<_>>() })
        };
        let receipt = json!({ "receipt": { "objects": 1, "bytes": 5 } });
        for (path, body) in [
            ("begin", calls(&json!({}))),
            ("done", calls(&receipt)),
            ("done", calls(&receipt)),
        ] {
            let answer = app.report(&format!("/internal/purges/{path}"), body).await.expect(200);
            let outcomes = answer["outcomes"].as_array().unwrap();
            let problems: Vec<_> = outcomes.iter().map(|outcome| &outcome["problem"]["status"]).collect();
            assert_eq!(
                problems,
                [&Value::Null, &json!(409), &json!(404), &Value::Null],
                "{path}"
            );
            assert_eq!(
                (&outcomes[0], &outcomes[3]),
                (&json!({ "done": {} }), &json!({ "done": {} }))
            );
            assert_eq!(outcomes[1]["problem"]["operationID"], "op-1");
        }
        for id in &ids[..2] {
            let deletion = ann.deletion(id).await.expect(200);
            assert_eq!(
                (&deletion["state"], &deletion["receipt"]["bytes"]),
                (&json!("done"), &json!(5))
            );
        }
        ann.video(&ids[2]).await.expect(200);
        let call = json!({ "operationID": "op", "video": ids[2] });
        for none_or_too_many in [0, 129] {
            let body = json!({ "calls": vec![call.clone(); none_or_too_many] });
            app.report("/internal/purges/begin", body).await.problem(422, "invalid");
        }
    });
}

#[test]
fn the_trash_hides_a_video_at_once_and_gives_it_back_whole() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("A bear").await;
        bob.comment(&id, "nice").await.expect(201);
        let before = ann.video(&id).await.expect(200);
        bob.trash(&id).await.problem(404, "not_found");
        app.send(app.request(reqwest::Method::DELETE, &format!("/api/v1/videos/{id}")))
            .await
            .problem(401, "unauthenticated");

        let trashed = ann.trash(&id).await.expect(202);
        assert_eq!(trashed["video"]["state"], "trashed");
        let kept = millis(&trashed["video"]["purgeAt"]) - Timestamp::now().millis();
        assert!((7 * 86_400_000 - 60_000..=7 * 86_400_000).contains(&kept), "{kept}");
        bob.video(&id).await.problem(404, "not_found");
        assert_eq!(app.get("/api/v1/videos").await.expect(200)["items"], json!([]));
        assert_eq!(app.get("/api/v1/users/ann").await.expect(200)["videoCount"], 0);
        assert_eq!(
            ann.trash(&id).await.expect(202),
            trashed,
            "a repetition changes nothing"
        );
        let deletion = ann.deletion(&id).await.expect(200);
        assert_eq!(
            deletion,
            json!({ "state": "scheduled", "purgeAt": trashed["video"]["purgeAt"] })
        );
        bob.deletion(&id).await.problem(404, "not_found");

        bob.restore(&id).await.problem(404, "not_found");
        let restored = ann.restore(&id).await.expect(200);
        assert_eq!(restored["video"], before);
        assert_eq!(bob.video(&id).await.expect(200), before);
        ann.restore(&id).await.problem(409, "conflict");
        ann.deletion(&id).await.problem(404, "not_found");
    });
}

#[test]
fn a_video_comes_back_in_the_state_it_had() {
    each(async |app| {
        let ann = app.register("ann").await;
        let waiting = ann.create(json!({ "title": "x" })).await;
        let failed = ann.create(json!({ "title": "x" })).await;
        let reason = json!({ "reason": "no video track" });
        app.report(&format!("/internal/videos/{failed}/media-failed"), reason)
            .await
            .expect(200);
        for (id, state) in [(waiting, "awaiting_upload"), (failed, "failed")] {
            ann.trash(&id).await.expect(202);
            let restored = ann.restore(&id).await.expect(200);
            assert_eq!(restored["video"]["state"], state);
        }
    });
}

#[test]
fn a_purge_goes_through_its_steps_and_leaves_a_receipt() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("x").await;
        bob.comment(&id, "nice").await.expect(201);
        begin(app, &id).await.problem(409, "conflict");
        done(app, &id, 1, 1).await.problem(409, "conflict");
        ann.trash(&id).await.expect(202);
        begin(app, &id).await.problem(409, "conflict");
        let hastened = ann
            .delete(&format!("/api/v1/videos/{id}?permanent=true"))
            .await
            .expect(202);
        assert!(millis(&hastened["video"]["purgeAt"]) <= Timestamp::now().millis());
        done(app, &id, 1, 1).await.problem(409, "conflict");
        begin(app, &id).await.expect(200);
        begin(app, &id).await.expect(200);
        assert_eq!(ann.deletion(&id).await.expect(200)["state"], "running");
        assert_eq!(ann.video(&id).await.expect(200)["state"], "purging");
        ann.restore(&id).await.problem(409, "conflict");
        ann.patch(&format!("/api/v1/videos/{id}"), json!({ "title": "y" }))
            .await
            .problem(409, "conflict");
        assert_eq!(ann.trash(&id).await.expect(202)["video"]["state"], "purging");
        app.media_ready(&id).await.problem(410, "gone");

        let first = done(app, &id, 3, 12_345).await.expect(200);
        assert_eq!(first["receipt"]["objects"], 3);
        assert_eq!(
            done(app, &id, 0, 0).await.expect(200),
            first,
            "the receipt of the first time"
        );
        let deletion = ann.deletion(&id).await.expect(200);
        assert_eq!(
            (&deletion["state"], &deletion["receipt"]),
            (&json!("done"), &first["receipt"])
        );
        assert_eq!(deletion["receipt"]["bytes"], 12_345);
        bob.deletion(&id).await.problem(404, "not_found");
        begin(app, &id).await.problem(410, "gone");
        app.media_ready(&id).await.problem(410, "gone");
        ann.video(&id).await.problem(404, "not_found");
        ann.trash(&id).await.problem(404, "not_found");
        ann.restore(&id).await.problem(409, "conflict");
        bob.restore(&id).await.problem(404, "not_found");
        for table in ["videos", "comments"] {
            assert_eq!(
                app.count(&format!("SELECT COUNT(*) AS n FROM {table}")).await,
                0,
                "{table}"
            );
        }
        begin(app, "000000000000").await.problem(404, "not_found");
        done(app, "000000000000", 0, 0).await.problem(404, "not_found");
    });
}

#[test]
fn for_good_needs_no_stop_in_the_trash() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}?permanent=true");
        let first = ann.delete(&path).await.expect(202);
        assert_eq!(first["video"]["state"], "trashed");
        let messages = "SELECT COUNT(*) AS n FROM outbox";
        let written = app.count(messages).await;
        assert_eq!(ann.delete(&path).await.expect(202), first);
        assert_eq!(app.count(messages).await, written, "a repetition tells nobody");
        // Until the purge begins it can still be brought back.
        ann.restore(&id).await.expect(200);
        ann.purge(&id).await;
        assert_eq!(ann.deletion(&id).await.expect(200)["state"], "done");
        ann.delete(&format!("/api/v1/videos/{id}?permanent=perhaps"))
            .await
            .problem(400, "bad_request");
    });
}

#[test]
fn of_a_restore_and_a_purge_that_meet_one_happens_whole() {
    each(async |app| {
        let ann = app.register("ann").await;
        let (mut restored, mut purged) = (0, 0);
        for round in 0..6 {
            let id = ann.publish(&format!("round {round}")).await;
            ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
                .await
                .expect(202);
            // 50 at once; who is first in line differs from round to round.
            let attempts = (0..50).map(|n| {
                let (ann, id) = (&ann, &id);
                async move {
                    let restores = (n + round) % 2 == 0;
                    let answer = if restores {
                        ann.restore(id).await
                    } else {
                        begin(app, id).await
                    };
                    (restores, answer.status)
                }
            });
            let ended = futures_util::future::join_all(attempts).await;
            let count = |restores: bool, status: u16| ended.iter().filter(|end| **end == (restores, status)).count();
            let state = ann.video(&id).await.expect(200)["state"].clone();
            if state == "ready" {
                assert_eq!(
                    (count(true, 200), count(true, 409), count(false, 409)),
                    (1, 24, 25),
                    "{ended:?}"
                );
                ann.deletion(&id).await.problem(404, "not_found");
                restored += 1;
            } else {
                assert_eq!(state, "purging");
                assert_eq!((count(true, 409), count(false, 200)), (25, 25), "{ended:?}");
                assert_eq!(ann.deletion(&id).await.expect(200)["state"], "running");
                purged += 1;
            }
        }
        assert_eq!(restored + purged, 6);
    });
}

#[test]
fn media_that_arrives_while_a_video_is_in_the_trash_is_there_when_it_comes_back() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.create(json!({ "title": "x" })).await;
        ann.trash(&id).await.expect(202);
        app.media_ready(&id).await.expect(200);
        app.media_ready(&id).await.expect(200);
        assert_eq!(ann.video(&id).await.expect(200)["state"], "trashed");
        let restored = ann.restore(&id).await.expect(200);
        assert_eq!(
            (&restored["video"]["state"], &restored["video"]["sizeBytes"]),
            (&json!("ready"), &json!(1000))
        );
        app.get(&format!("/api/v1/videos/{id}/playback")).await.expect(200);
    });
}
