//! `/api/v1/videos/{id}/events`, its internal twin and `/internal/rooms/heads`: the log of a room.

use common::db::DbError;
use diesel::connection::SimpleConnection;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, each};
use crate::crowd::{heard, listen};

/// `kind seq` of each entry.
pub fn kinds(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|entry| format!("{} {}", entry["kind"].as_str().unwrap(), entry["seq"]))
        .collect()
}

async fn log(app: &App, video: &str, query: &str) -> Value {
    let path = format!("/internal/videos/{video}/events?{query}");
    app.internal(Method::GET, &path, json!(null)).await.expect(200)
}

#[test]
fn whatever_is_said_is_one_log_in_order() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("Bears").await;
        assert_eq!(
            app.get(&format!("/api/v1/videos/{id}/events")).await.text,
            r#"{"items":[],"next":null,"seq":0}"#
        );
        let comment = bob.comment(&id, "What a bear!").await.expect(201);
        let danmaku = bob.danmaku(&id, "熊", 7).await.expect(201);
        let entries = app.get(&format!("/api/v1/videos/{id}/events")).await.expect(200);
        assert_eq!(entries["seq"], 2);
        let entries = &entries["items"];
        assert_eq!(kinds(entries), ["comment 1", "danmaku 2"]);
        assert_eq!((&entries[0]["data"], &entries[1]["data"]), (&comment, &danmaku));
        assert_eq!(entries[0]["videoID"], id.as_str());
        assert_eq!(entries[1]["at"], danmaku["createdAt"]);
        let path = format!("/api/v1/comments/{}", comment["id"].as_str().unwrap());
        let removal = app.request(Method::DELETE, &path).bearer_auth(&ann.token);
        let removal = removal.header("x-operation-id", "taking-it-back");
        app.send(removal).await.expect(204);
        let entries = bob.events(&id).await;
        assert_eq!(kinds(&entries), ["comment 1", "danmaku 2", "revoked 3"]);
        assert_eq!(entries[0]["data"], json!(null));
        assert_eq!(
            entries[2]["data"],
            json!({ "id": comment["id"], "kind": "comment", "seq": 1 })
        );
        assert_eq!(entries[2]["operationID"], "taking-it-back");
    });
}

#[test]
fn the_log_is_read_in_pages_from_either_end() {
    each(async |app| {
        let ann = app.register("ann").await;
        let (id, other) = (ann.publish("x").await, ann.publish("y").await);
        for n in 0..9 {
            ann.danmaku(&id, &n.to_string(), n).await.expect(201);
        }
        let path = format!("/api/v1/videos/{id}/events");
        let check = async |query: &str, seqs: std::ops::Range<i64>, next: Value| {
            let page = app.get(&format!("{path}?{query}")).await.expect(200);
            assert_eq!(page, log(app, &id, query).await, "{query}");
            let found: Vec<i64> = page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["seq"].as_i64().unwrap())
                .collect();
            assert_eq!(
                (found, &page["next"], &page["seq"]),
                (seqs.collect(), &next, &json!(9)),
                "{query}"
            );
        };
        check("", 1..10, json!(null)).await;
        check("limit=4", 1..5, json!(4)).await;
        check("limit=4&afterSeq=4", 5..9, json!(8)).await;
        check("limit=4&afterSeq=8", 9..10, json!(null)).await;
        check("limit=9", 1..10, json!(null)).await;
        check("afterSeq=9", 0..0, json!(null)).await;
        check(&format!("afterSeq={}", i64::MAX), 0..0, json!(null)).await;
        let tail = log(app, &id, "last=3").await;
        assert_eq!(
            (kinds(&tail["items"]), &tail["next"]),
            (
                vec!["danmaku 7".into(), "danmaku 8".into(), "danmaku 9".into()],
                &json!(null)
            )
        );
        assert_eq!(log(app, &id, "last=1000").await["items"].as_array().unwrap().len(), 9);
        assert_eq!(log(app, &other, "last=5").await["items"], json!([]));
        for (query, field) in [
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("afterSeq=-1", "/afterSeq"),
        ] {
            app.get(&format!("{path}?{query}")).await.invalid(&[field]);
        }
        app.get(&format!("{path}?afterSeq=x")).await.problem(400, "bad_request");
        let heads = json!({ "videos": [other, "000000000000", id] });
        let mut heads = app.report("/internal/rooms/heads", heads).await.expect(200);
        heads["heads"]
            .as_array_mut()
            .unwrap()
            .sort_by_key(|head| head["seq"].as_i64());
        let expected = json!([{ "videoID": other, "seq": 0 }, { "videoID": id, "seq": 9 }]);
        assert_eq!(heads["heads"], expected);
        let many = json!({ "videos": vec![id.as_str(); 1001] });
        app.report("/internal/rooms/heads", many).await.invalid(&["/videos"]);
    });
}

#[test]
fn changes_of_the_room_are_entries_and_old_titles_are_kept_nowhere() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("First title").await;
        let change = async |change: Value| {
            ann.patch(&format!("/api/v1/videos/{id}"), change).await.expect(200);
        };
        let last = async || {
            let entries = ann.events(&id).await;
            let last = entries.as_array().unwrap().last().cloned().unwrap_or_default();
            (last["seq"].clone(), last["kind"].clone(), last["data"].clone())
        };
        change(json!({ "description": "Not shown in rooms" })).await;
        change(json!({ "title": "First title", "visibility": "public" })).await;
        assert_eq!(ann.events(&id).await, json!([]), "nothing of it has changed");
        let info = |title: &str, visibility: &str| json!({ "title": title, "visibility": visibility });
        change(json!({ "title": "Second title" })).await;
        assert_eq!(last().await, (json!(1), json!("info"), info("Second title", "public")));
        change(json!({ "visibility": "unlisted" })).await;
        assert_eq!(
            last().await,
            (json!(2), json!("info"), info("Second title", "unlisted"))
        );
        // Whoever is sent out does not learn what the video is called from now on.
        change(json!({ "title": "Third title", "visibility": "private" })).await;
        assert_eq!(
            last().await,
            (json!(3), json!("closed"), json!({ "reason": "private" }))
        );
        change(json!({ "title": "Fourth title" })).await;
        assert_eq!(last().await, (json!(4), json!("info"), info("Fourth title", "private")));
        ann.trash(&id).await.expect(202);
        assert_eq!(
            last().await,
            (json!(5), json!("closed"), json!({ "reason": "trashed" }))
        );
        ann.trash(&id).await.expect(202);
        ann.restore(&id).await.expect(200);
        assert_eq!(last().await, (json!(6), json!("info"), info("Fourth title", "private")));
        for old in ["First", "Second", "Third"] {
            let kept = format!("SELECT COUNT(*) AS n FROM room_log WHERE payload LIKE '%{old}%'");
            assert_eq!(app.count(&kept).await, 0, "{old}");
        }
    });
}

#[test]
fn a_purge_closes_the_room_and_takes_everything_along() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let (id, other) = (ann.publish("x").await, ann.publish("y").await);
        for video in [&id, &other] {
            bob.danmaku(video, "said", 0).await.expect(201);
            bob.comment(video, "said").await.expect(201);
        }
        // More than one transaction removes.
        app.sql(&format!(
            "INSERT INTO room_log (video_id, seq, kind, operation_id, created_at, payload) \
             SELECT '{id}', n.i, 'info', 'x', 0, NULL FROM \
             (WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n) n"
        ))
        .await;
        app.sql(&format!(
            "INSERT INTO comments (id, video_id, author_id, room_seq, text, created_at) \
             SELECT '01890a5d-ac96-7b00-a000-0000' || CAST(10000000 + n.i AS TEXT), '{id}', '{}', 2500 + n.i, 'more', 0 FROM \
             (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2100) SELECT i FROM n) n",
            bob.id
        ))
        .await;
        app.sql(&format!("UPDATE videos SET room_seq = 2500 WHERE id = '{id}'"))
            .await;
        let mut room = listen(app, &id);
        ann.purge(&id).await;
        let closed: Vec<(i64, Value)> = heard(&mut room)
            .into_iter()
            .map(|entry| (entry.seq, entry.data))
            .collect();
        let because = |reason: &str| json!({ "reason": reason });
        assert_eq!(closed, [(2501, because("trashed")), (2502, because("purged"))]);
        for table in ["danmaku", "comments", "room_log"] {
            let left = async |which: &str| {
                let query = format!("SELECT COUNT(*) AS n FROM {table} WHERE video_id = '{which}'");
                app.count(&query).await
            };
            assert_eq!(left(&id).await, 0, "{table}");
            assert!(left(&other).await > 0, "{table}");
        }
        app.get(&format!("/api/v1/videos/{id}/events"))
            .await
            .problem(404, "not_found");
        let path = format!("/internal/videos/{id}/events");
        app.internal(Method::GET, &path, json!(null)).await.problem(410, "gone");
        let never = "/internal/videos/000000000000/events";
        app.internal(Method::GET, never, json!(null))
            .await
            .problem(404, "not_found");
    });
}

#[test]
fn a_room_whose_purge_has_begun_is_over_for_the_gateways() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
            .await
            .expect(202);
        let heads = json!({ "videos": [id] });
        let trashed = app.report("/internal/rooms/heads", heads.clone()).await.expect(200);
        assert_eq!(trashed["heads"], json!([{ "videoID": id, "seq": 1 }]));
        assert_eq!(kinds(&log(app, &id, "").await["items"]), ["closed 1"]);
        let begin = format!("/internal/videos/{id}/purge/begin");
        for _ in 0..2 {
            app.report(&begin, json!({})).await.expect(200);
        }
        let path = format!("/internal/videos/{id}/events");
        app.internal(Method::GET, &path, json!(null)).await.problem(410, "gone");
        let heads = app.report("/internal/rooms/heads", heads).await.expect(200);
        assert_eq!(heads["heads"], json!([]));
        let entries = format!("SELECT COUNT(*) AS n FROM room_log WHERE video_id = '{id}'");
        assert_eq!(app.count(&entries).await, 2, "a repetition writes nothing");
    });
}

#[test]
fn what_was_taken_back_is_gone_from_every_table_and_from_the_file() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let (short, long) = ("a-word-to-forget", "a-text-to-forget ".repeat(110));
        let danmaku = ann.danmaku(&id, short, 0).await.expect(201);
        let comment = ann.comment(&id, &long).await.expect(201);
        let file = app.url.strip_prefix("sqlite:").map(std::path::PathBuf::from);
        let holds = |text: &str| {
            let bytes = std::fs::read(file.as_ref().unwrap()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        let flush = async || {
            app.db
                .read(|conn| Ok::<_, DbError>(conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?))
                .await
                .unwrap();
        };
        if file.is_some() {
            flush().await;
            assert!(
                holds(short) && holds("a-text-to-forget"),
                "the test can see what is stored"
            );
        }
        for (kind, body) in [("danmaku", &danmaku), ("comments", &comment)] {
            let path = format!("/api/v1/{kind}/{}", body["id"].as_str().unwrap());
            ann.delete(&path).await.expect(204);
        }
        for (table, column) in [("danmaku", "text"), ("comments", "text"), ("room_log", "payload")] {
            let kept = format!("SELECT COUNT(*) AS n FROM {table} WHERE {column} LIKE '%to-forget%'");
            assert_eq!(app.count(&kept).await, 0, "{table}");
        }
        let authors = "SELECT COUNT(*) AS n FROM room_log WHERE author_id IS NOT NULL";
        assert_eq!(app.count(authors).await, 0);
        if file.is_some() {
            flush().await;
            assert!(!holds("to-forget"), "the bytes are overwritten");
        }
    });
}

#[test]
fn promise_22_an_entry_of_a_newer_version_keeps_its_place() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        ann.danmaku(&id, "before", 0).await.expect(201);
        app.sql(&format!(
            "INSERT INTO room_log (video_id, seq, kind, ref_id, author_id, operation_id, created_at, payload) \
             SELECT video_id, 2, 'poll', ref_id, author_id, 'x', 0, '{{\"question\":\"?\"}}' FROM room_log WHERE video_id = '{id}'"
        ))
        .await;
        app.sql(&format!("UPDATE videos SET room_seq = 2 WHERE id = '{id}'"))
            .await;
        ann.danmaku(&id, "after", 0).await.expect(201);
        let entries = log(app, &id, "afterSeq=0").await["items"].clone();
        assert_eq!(kinds(&entries), ["danmaku 1", "poll 2", "danmaku 3"]);
        assert_eq!(entries[1]["data"], json!({ "question": "?" }));
        assert_eq!(kinds(&ann.events(&id).await), kinds(&entries));
    });
}
