//! What an account that is closed leaves in the rooms of others: nothing that it said, and a log that says so.

use std::time::Duration;

use common::db::Backend;
use common::messages::RoomEntryKind;
use common::testing::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, each};
use crate::crowd::{heard, listen};
use crate::person::Person;

async fn leave(person: &Person<'_>) {
    let body = json!({ "password": PASSWORD });
    person.call(Method::DELETE, "/api/v1/users/me", body).await.expect(202);
}

/// Posts of `person` behind the service's back, more than one transaction takes back: danmaku and comments in `video`, each with its
/// entry.
async fn chatter(app: &App, person: &Person<'_>, video: &str, many: usize) {
    let numbers =
        format!("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) SELECT i FROM n) n");
    let head = app
        .count(&format!("SELECT room_seq AS n FROM videos WHERE id = '{video}'"))
        .await;
    let id = |kind: &str| format!("'01890a5d-ac96-{kind}-a000-0000' || CAST(10000000 + n.i AS TEXT)");
    for statement in [
        format!(
            "INSERT INTO danmaku (id, video_id, author_id, room_seq, at_ms, mode, color, text, created_at) \
             SELECT {}, '{video}', '{}', {head} + n.i, 0, 'scroll', '#ffffff', 'chatter', 0 FROM {numbers}",
            id("7a00"),
            person.id
        ),
        format!(
            "INSERT INTO comments (id, video_id, author_id, room_seq, text, created_at) \
             SELECT {}, '{video}', '{}', {head} + {many} + n.i, 'chatter', 0 FROM {numbers}",
            id("7b00"),
            person.id
        ),
        format!(
            "INSERT INTO room_log (video_id, seq, kind, ref_id, author_id, operation_id, created_at, payload) \
             SELECT video_id, room_seq, 'danmaku', id, author_id, 'x', 0, '{{\"text\":\"chatter\"}}' FROM danmaku WHERE video_id = '{video}' AND text = 'chatter' \
             UNION ALL SELECT video_id, room_seq, 'comment', id, author_id, 'x', 0, '{{\"text\":\"chatter\"}}' FROM comments WHERE video_id = '{video}' AND text = 'chatter'"
        ),
        format!(
            "UPDATE videos SET room_seq = room_seq + 2 * {many}, danmaku_count = danmaku_count + {many}, \
             comment_count = comment_count + {many} WHERE id = '{video}'"
        ),
    ] {
        app.sql(&statement).await;
    }
}

/// The entries of a room that has `head` of them; they must be dense.
async fn entries(app: &App, video: &str, head: usize) -> Vec<Value> {
    let log = app
        .get(&format!("/api/v1/videos/{video}/events?limit=1000"))
        .await
        .expect(200);
    let entries = log["items"].as_array().unwrap().clone();
    let seqs = entries.iter().map(|entry| entry["seq"].as_u64().unwrap());
    assert!(seqs.eq(1..=head as u64), "{} entries of {head}", entries.len());
    entries
}

#[test]
fn what_it_said_is_taken_back_entry_by_entry() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let (id, other) = (ann.publish("x").await, ann.publish("y").await);
        ann.danmaku(&id, "hers stays", 0).await.expect(201);
        bob.danmaku(&id, "his goes", 0).await.expect(201);
        bob.comment(&other, "his goes").await.expect(201);
        chatter(app, &bob, &id, 150).await;
        let (mut room, mut elsewhere) = (listen(app, &id), listen(app, &other));
        leave(&bob).await;
        let log = entries(app, &id, 2 + 300 + 301).await;
        assert_eq!(log[0]["data"]["text"], "hers stays");
        assert!(log[1..302].iter().all(|entry| entry["data"] == json!(null)));
        let mut taken_back: Vec<i64> = log[302..]
            .iter()
            .map(|entry| {
                assert_eq!(entry["kind"], "revoked");
                let seq = entry["data"]["seq"].as_i64().unwrap();
                let of = &log[usize::try_from(seq).unwrap() - 1];
                assert_eq!(entry["data"]["kind"], of["kind"]);
                seq
            })
            .collect();
        taken_back.sort_unstable();
        assert_eq!(taken_back, (2..=302).collect::<Vec<_>>(), "each once");
        let mut told = heard(&mut room);
        told.sort_by_key(|entry| entry.seq);
        assert_eq!(serde_json::to_value(&told).unwrap(), Value::Array(log[302..].to_vec()));
        let told = heard(&mut elsewhere);
        assert_eq!(
            told.iter().map(|entry| (entry.seq, entry.kind)).collect::<Vec<_>>(),
            [(2, RoomEntryKind::Revoked)]
        );
        for (table, column) in [("danmaku", "text"), ("comments", "text"), ("room_log", "payload")] {
            let kept = format!(
                "SELECT COUNT(*) AS n FROM {table} WHERE {column} LIKE '%his goes%' OR {column} LIKE '%chatter%'"
            );
            assert_eq!(app.count(&kept).await, 0, "{table}");
        }
        let counts = format!("SELECT danmaku_count * 1000 + comment_count AS n FROM videos WHERE id = '{id}'");
        assert_eq!(app.count(&counts).await, 1000);
    });
}

/// Makes the video one that can't be changed.
async fn block(app: &App, video: &str) {
    let statement = match app.backend() {
        Backend::Sqlite => format!(
            "CREATE TRIGGER blocked BEFORE UPDATE ON videos WHEN NEW.id = '{video}' BEGIN SELECT RAISE(ABORT, 'no'); END"
        ),
        Backend::Postgres => {
            format!("ALTER TABLE videos ADD CONSTRAINT blocked CHECK (id <> '{video}' OR room_seq < 100000) NOT VALID")
        }
    };
    if app.backend() == Backend::Postgres {
        app.sql(&format!(
            "UPDATE videos SET room_seq = room_seq + 100000 WHERE id = '{video}'"
        ))
        .await;
    }
    app.sql(&statement).await;
}

async fn unblock(app: &App, video: &str) {
    match app.backend() {
        Backend::Sqlite => app.sql("DROP TRIGGER blocked").await,
        Backend::Postgres => {
            app.sql("ALTER TABLE videos DROP CONSTRAINT blocked").await;
            app.sql(&format!(
                "UPDATE videos SET room_seq = room_seq - 100000 WHERE id = '{video}'"
            ))
            .await
        }
    };
}

#[test]
fn it_is_silent_at_once_and_nothing_is_forgotten_though_the_removal_is_interrupted() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("x").await;
        bob.danmaku(&id, "his", 0).await.expect(201);
        bob.comment(&id, "his").await.expect(201);
        let his = bob.publish("his").await;
        ann.comment(&id, "hers").await.expect(201);
        block(app, &id).await;
        leave(&bob).await;
        let kept = "SELECT (SELECT COUNT(*) FROM danmaku) + (SELECT COUNT(*) FROM comments) AS n";
        assert_eq!(app.count(kept).await, 3, "nothing could be removed yet");
        let going = format!("SELECT COUNT(*) AS n FROM videos WHERE id = '{his}' AND state = 'trashed'");
        assert_eq!(app.count(&going).await, 1, "his videos don't wait for that");
        // Nobody is shown any of it, neither by lists nor by the log.
        let path = format!("/api/v1/videos/{id}");
        let danmaku = app.get(&format!("{path}/danmaku")).await.expect(200);
        assert_eq!(danmaku["items"], json!([]));
        let comments = app.get(&format!("{path}/comments")).await.expect(200);
        assert_eq!(crate::app::members(&comments, "text"), ["hers"]);
        let log = app.get(&format!("{path}/events?limit=3")).await.expect(200);
        let texts: Vec<&Value> = log["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["data"]["text"])
            .collect();
        assert_eq!(texts, [&json!(null), &json!(null), &json!("hers")]);
        let sweep = async |dry: bool| {
            let answer = app.report("/internal/videos/expire", json!({ "dryRun": dry })).await;
            (answer.status, answer.body["count"].as_i64())
        };
        assert_eq!(sweep(true).await, (200, Some(2)));
        assert_eq!(sweep(false).await.0, 500, "still blocked");
        unblock(app, &id).await;
        assert_eq!(
            (sweep(false).await, sweep(false).await),
            ((200, Some(2)), (200, Some(0)))
        );
        assert_eq!(app.count(kept).await, 1);
        entries(app, &id, 5).await;
        assert_eq!(ann.video(&id).await.expect(200)["commentCount"], 1);
        // What a process that ended left is found by the next one as it starts.
        app.sql(&format!("UPDATE users SET deleted_at = $now WHERE id = '{}'", ann.id))
            .await;
        let next = app.copy(|_| {}).await;
        eventually("nothing is left", Duration::from_secs(10), || async {
            (app.count(kept).await == 0).then_some(())
        })
        .await;
        next.stop().await;
    });
}

#[test]
fn two_accounts_that_wrote_in_each_others_rooms_leave_at_once() {
    each(async |app| {
        let (ann, bob, eve) = (
            app.register("ann").await,
            app.register("bob").await,
            app.register("eve").await,
        );
        let mut rooms = Vec::new();
        for owner in [&ann, &bob, &eve, &ann, &bob, &eve] {
            rooms.push(owner.publish("x").await);
        }
        for room in &rooms {
            for person in [&ann, &bob, &eve] {
                person.danmaku(room, "said", 0).await.expect(201);
                person.comment(room, "said").await.expect(201);
            }
        }
        tokio::join!(leave(&ann), leave(&bob));
        // Should one of them have been in the other's way, the sweep goes on.
        app.report("/internal/videos/expire", json!({})).await.expect(200);
        let others = format!("author_id <> '{}'", eve.id);
        for table in ["danmaku", "comments"] {
            assert_eq!(
                app.count(&format!("SELECT COUNT(*) AS n FROM {table} WHERE {others}"))
                    .await,
                0
            );
        }
        for room in [&rooms[2], &rooms[5]] {
            entries(app, room, 6 + 4).await;
        }
    });
}
