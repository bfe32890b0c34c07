//! A database of before danmaku and the log: it is brought up to date with what is in it, and a binary of before goes on
//! beside the new one (promise 22).

use common::db::{Backend, Db, DbError};
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use serde_json::json;

use crate::app::{App, each, each_database, members};
use crate::rooms::kinds;

/// Takes the migrations back that made the log.
async fn to_before_the_log(db: &Db) {
    let down = match db.backend() {
        Backend::Sqlite => [
            include_str!("../../migrations/sqlite/2026-11-21-000002_taken_back/down.sql"),
            include_str!("../../migrations/sqlite/2026-11-21-000001_rooms/down.sql"),
        ],
        Backend::Postgres => [
            include_str!("../../migrations/postgres/2026-11-21-000002_taken_back/down.sql"),
            include_str!("../../migrations/postgres/2026-11-21-000001_rooms/down.sql"),
        ],
    };
    let undone = db.write(move |conn| {
        for step in down {
            conn.batch_execute(step)?;
        }
        let forget = "DELETE FROM __diesel_schema_migrations WHERE version IN ('20261121000001', '20261121000002')";
        Ok::<_, DbError>(diesel::sql_query(forget).execute(conn)?)
    });
    assert_eq!(undone.await.unwrap(), 2);
}

#[test]
fn what_was_written_before_the_log_stays_and_can_be_taken_back() {
    each_database(async |db, url| {
        let app = App::start(db, url, |_| {}).await;
        let ann = app.register("ann").await;
        let token = ann.token.clone();
        let id = ann.publish("x").await;
        let old = ann.comment(&id, "from before").await.expect(201);
        app.stop().await;
        to_before_the_log(db).await;
        assert!(
            db.read(|conn| Ok::<_, DbError>(conn.batch_execute("SELECT room_seq FROM videos")?))
                .await
                .is_err()
        );

        let app = App::start(db, url, |_| {}).await;
        let signed_in = |method: reqwest::Method, path: String| app.request(method, &path).bearer_auth(&token);
        let comments = app.get(&format!("/api/v1/videos/{id}/comments")).await.expect(200);
        assert_eq!(members(&comments, "text"), ["from before"]);
        let path = format!("/api/v1/videos/{id}/danmaku");
        let danmaku = signed_in(reqwest::Method::POST, path).json(&json!({ "text": "new", "atMs": 0 }));
        app.send(danmaku).await.expect(201);
        let path = format!("/api/v1/comments/{}", old["id"].as_str().unwrap());
        app.send(signed_in(reqwest::Method::DELETE, path)).await.expect(204);
        let log = app.get(&format!("/api/v1/videos/{id}/events")).await.expect(200);
        assert_eq!(kinds(&log["items"]), ["danmaku 1", "revoked 2"]);
        assert_eq!(
            log["items"][1]["data"],
            json!({ "id": old["id"], "kind": "comment", "seq": null })
        );
        app.stop().await;
    });
}

/// A binary of before the log knows nothing of these tables.
#[test]
fn an_older_binary_can_purge_and_comment() {
    each(async |app| {
        let ann = app.register("ann").await;
        let (id, gone) = (ann.publish("x").await, ann.publish("y").await);
        ann.danmaku(&gone, "said", 0).await.expect(201);
        app.sql(&format!("DELETE FROM videos WHERE id = '{gone}'")).await;
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM danmaku").await, 0);
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM room_log").await, 0);
        let old = common::ids::Id::now();
        app.sql(&format!(
            "INSERT INTO comments (id, video_id, author_id, text, created_at) VALUES ('{old}', '{id}', '{}', 'old', 0)",
            ann.id
        ))
        .await;
        app.sql(&format!("UPDATE videos SET comment_count = 1 WHERE id = '{id}'"))
            .await;
        ann.delete(&format!("/api/v1/comments/{old}")).await.expect(204);
        let entries = ann.events(&id).await;
        assert_eq!(kinds(&entries), ["revoked 1"]);
        assert_eq!(entries[0]["data"], json!({ "id": old, "kind": "comment", "seq": null }));
        assert_eq!(ann.video(&id).await.expect(200)["commentCount"], 0);
    });
}

/// It removes the row of a post and has never heard of the log, where the text stands, too.
#[test]
fn what_an_older_binary_removes_is_gone_from_the_log() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        ann.comment(&id, "stays").await.expect(201);
        let comment = ann.comment(&id, "to forget").await.expect(201);
        let danmaku = ann.danmaku(&id, "to forget", 0).await.expect(201);
        for (table, body) in [("comments", &comment), ("danmaku", &danmaku)] {
            let row = body["id"].as_str().unwrap();
            app.sql(&format!("DELETE FROM {table} WHERE id = '{row}'")).await;
        }
        let left = "SELECT COUNT(*) AS n FROM room_log WHERE payload LIKE '%to forget%'";
        assert_eq!(app.count(left).await, 0);
        let entries = ann.events(&id).await;
        assert_eq!(kinds(&entries), ["comment 1", "comment 2", "danmaku 3"]);
        assert_eq!(entries[0]["data"]["text"], "stays");
        assert!(entries[1]["data"].is_null() && entries[2]["data"].is_null());
    });
}
