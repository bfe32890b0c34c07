//! Many writers in one room, on both backends: the log has no gap and no twin, whoever reads it and whenever, and the bus
//! told what the log says.

use std::collections::BTreeMap;

use common::bus::{Message, Subject, Subscription};
use common::db::Backend;
use common::messages::{RoomEntry, RoomEntryKind};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::Value;

use crate::app::{App, each_with};
use crate::person::Person;

const WRITERS: usize = 50;
/// What each writer does: it posts five times and takes two of them back.
const ENTRIES_EACH: usize = 7;

pub fn listen(app: &App, video: &str) -> Subscription {
    let room = Subject::Video(video.parse().unwrap());
    app.running.platform.bus.subscribe(&room)
}

/// What has come by now, whatever this task has done before; nothing may have been lost.
pub fn heard(room: &mut Subscription) -> Vec<RoomEntry> {
    let mut entries = Vec::new();
    while let Some(Some(message)) = tokio::task::unconstrained(room.next()).now_or_never() {
        assert!(!matches!(message, Message::Missed(_)), "the queue was too short");
        entries.push(message.decode().unwrap());
    }
    entries
}

async fn write(person: &Person<'_>, video: &str, n: usize) {
    let id = |body: Value| body["id"].as_str().unwrap().to_owned();
    let first = id(person.danmaku(video, &format!("{n} a"), 1).await.expect(201));
    let second = id(person.comment(video, &format!("{n} b")).await.expect(201));
    person.danmaku(video, &format!("{n} c"), 2).await.expect(201);
    person.delete(&format!("/api/v1/danmaku/{first}")).await.expect(204);
    person.comment(video, &format!("{n} d")).await.expect(201);
    person.delete(&format!("/api/v1/comments/{second}")).await.expect(204);
    person.danmaku(video, &format!("{n} e"), 3).await.expect(201);
}

/// Follows the log in pages of 7 until it has `most` entries; each page goes on where the one before ended.
async fn follow(app: &App, video: &str, most: usize) -> Vec<RoomEntry> {
    let mut entries: Vec<RoomEntry> = Vec::new();
    for _ in 0..100_000 {
        let path = format!("/api/v1/videos/{video}/events?limit=7&afterSeq={}", entries.len());
        let page = app.get(&path).await.expect(200);
        let items: Vec<RoomEntry> = serde_json::from_value(page["items"].clone()).unwrap();
        let full = items.len() == 7;
        for entry in items {
            assert_eq!(entry.seq, entries.len() as i64 + 1, "a gap or a twin");
            entries.push(entry);
        }
        let head = page["seq"].as_i64().unwrap();
        assert_eq!(
            page["next"].as_i64(),
            (head > entries.len() as i64).then_some(entries.len() as i64)
        );
        assert!(full || head == entries.len() as i64, "a page ended before the log did");
        if entries.len() >= most {
            return entries;
        }
    }
    panic!("the log ended at {} of {most}", entries.len());
}

#[test]
fn fifty_writers_in_one_room_leave_no_gap_and_no_twin() {
    let workers = |config: &mut common::config::Config| config.server.workers = 4;
    each_with(workers, async |app| {
        let mut people = Vec::new();
        for name in ["ann", "bob", "cat", "dan", "eve"] {
            people.push(app.register(name).await);
        }
        let (id, other) = (people[0].publish("Crowded").await, people[1].publish("Other").await);
        let mut room = listen(app, &id);
        let most = WRITERS * ENTRIES_EACH;
        let writers = join_all((0..WRITERS).map(|n| write(&people[n % people.len()], &id, n)));
        let elsewhere = join_all((0..3).map(|n| write(&people[n], &other, n)));
        let (_, _, while_written) = tokio::join!(writers, elsewhere, follow(app, &id, most));
        let log = follow(app, &id, most).await;
        assert_eq!(
            (log.len(), while_written.len()),
            (most, most),
            "each change is one entry"
        );
        follow(app, &other, 3 * ENTRIES_EACH).await;

        let mut told = heard(&mut room);
        if app.backend() == Backend::Sqlite {
            assert!(told.is_sorted_by_key(|entry| entry.seq), "told in the order of commits");
        }
        told.sort_by_key(|entry| entry.seq);
        let mut taken_back = BTreeMap::new();
        for entry in told.iter().filter(|entry| entry.kind == RoomEntryKind::Revoked) {
            let seq = entry.data["seq"].as_i64().unwrap();
            assert_eq!(
                taken_back.insert(seq, entry.data["id"].clone()),
                None,
                "taken back twice"
            );
        }
        assert_eq!(taken_back.len(), 2 * WRITERS);
        for (entry, told) in log.iter().zip(&told) {
            let mut expected = told.clone();
            if let Some(id) = taken_back.get(&entry.seq) {
                assert_eq!(told.data["id"], *id, "an entry names another post than it took back");
                expected.data = Value::Null;
            }
            assert_eq!(*entry, expected);
        }
        assert_eq!(told.len(), log.len());

        let count = async |table: &str| {
            app.count(&format!("SELECT COUNT(*) AS n FROM {table} WHERE video_id = '{id}'"))
                .await
        };
        assert_eq!((count("danmaku").await, count("comments").await), (100, 50));
        let counted = format!("SELECT danmaku_count * 1000 + comment_count AS n FROM videos WHERE id = '{id}'");
        assert_eq!(app.count(&counted).await, 100_050);
    });
}

#[test]
fn a_post_that_is_taken_back_by_many_at_once_is_taken_back_once() {
    each_with(
        |_| {},
        async |app| {
            let (ann, bob) = (app.register("ann").await, app.register("bob").await);
            let id = ann.publish("x").await;
            let danmaku = bob.danmaku(&id, "x", 0).await.expect(201);
            let path = format!("/api/v1/danmaku/{}", danmaku["id"].as_str().unwrap());
            let ended = join_all((0..20).map(|n| {
                if n % 2 == 0 {
                    ann.delete(&path)
                } else {
                    bob.delete(&path)
                }
            }))
            .await;
            let statuses: Vec<u16> = ended.iter().map(|answer| answer.status).collect();
            assert_eq!(
                statuses.iter().filter(|status| **status == 204).count(),
                1,
                "{statuses:?}"
            );
            assert!(
                statuses.iter().all(|status| matches!(status, 204 | 404)),
                "{statuses:?}"
            );
            assert_eq!(follow(app, &id, 2).await.len(), 2);
        },
    );
}
