//! What bounds the log of a room: bytes of an answer, changes of a user; what is left of a deleted text; what strangers learn.

use std::path::PathBuf;
use std::time::Duration;

use common::testing::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, each, each_database, each_with};

const SOON: Duration = Duration::from_secs(60);

fn seqs(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|entry| entry["seq"].as_i64().unwrap()).collect()
}

#[test]
fn a_page_ends_at_384_kib_and_says_where_to_read_on() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        for _ in 0..120 {
            ann.comment(&id, &"🐻".repeat(2000)).await.expect(201);
        }
        let (public, internal) = (
            format!("/api/v1/videos/{id}/events"),
            format!("/internal/videos/{id}/events"),
        );
        let bounded = |answer: &crate::app::Answer| {
            assert!(
                (256 << 10..400 << 10).contains(&answer.text.len()),
                "{}",
                answer.text.len()
            );
        };
        let first = app.get(&format!("{public}?limit=1000")).await;
        bounded(&first);
        let path = format!("{internal}?limit=1000");
        let same = app.internal(Method::GET, &path, json!(null)).await;
        assert_eq!(same.text, first.text);
        let (mut page, mut all) = (first.expect(200), Vec::new());
        loop {
            all.extend(seqs(&page));
            assert_eq!(page["seq"], 120);
            let Some(next) = page["next"].as_i64() else { break };
            assert_eq!(all.last(), Some(&next));
            page = app
                .get(&format!("{public}?limit=1000&afterSeq={next}"))
                .await
                .expect(200);
        }
        assert_eq!(all, (1..=120).collect::<Vec<_>>());
        // From its end: the newest that fit, without a gap up to the head.
        let path = format!("{internal}?last=1000");
        let tail = app.internal(Method::GET, &path, json!(null)).await;
        bounded(&tail);
        let tail = tail.expect(200);
        let found = seqs(&tail);
        assert_eq!(found, (found[0]..=120).collect::<Vec<_>>());
        assert!(found[0] > 1 && tail["next"].is_null());
    });
}

#[test]
fn changes_of_videos_count_into_the_limit_of_posts() {
    let slow = |config: &mut common::config::Config| {
        config.api.posts_per_second = 1;
        config.api.post_burst = 12;
    };
    each_with(slow, async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("x").await;
        let video = format!("/api/v1/videos/{id}");
        let comment = bob.comment(&id, "said").await.expect(201);
        // What could not be changed anyway is not counted.
        for _ in 0..30 {
            ann.patch(&video, json!({ "title": "" })).await.invalid(&["/title"]);
        }
        let mut refused = None;
        // At one a second nobody gets this many through.
        for n in 0..200 {
            let answer = ann.patch(&video, json!({ "title": n.to_string() })).await;
            if answer.status != 200 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("a flood is refused");
        refused.problem(429, "too_many_requests");
        assert_eq!(refused.header("ratelimit-policy"), "\"posts\";q=12;w=12");
        assert_eq!(
            (refused.header("retry-after"), refused.header("ratelimit")),
            ("1", "\"posts\";r=0;t=1")
        );
        // Others are not concerned, and deleting is never refused.
        bob.danmaku(&id, "x", 0).await.expect(201);
        let path = format!("/api/v1/comments/{}", comment["id"].as_str().unwrap());
        ann.delete(&path).await.expect(204);
    });
}

#[test]
fn what_was_deleted_is_in_no_file_some_seconds_later_and_after_the_end() {
    each_database(async |db, url| {
        let Some(file) = url.strip_prefix("sqlite:") else {
            return;
        };
        let files = [PathBuf::from(file), PathBuf::from(format!("{file}-wal"))];
        let holds = |text: &str| {
            let held = |file: &PathBuf| {
                let bytes = std::fs::read(file).unwrap_or_default();
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            };
            files.iter().any(held)
        };
        let app = App::start(db, url, |_| {}).await;
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let say_and_delete = async |text: &str| {
            let said = ann.danmaku(&id, text, 0).await.expect(201);
            assert!(holds(text), "the test can see what is stored");
            let path = format!("/api/v1/danmaku/{}", said["id"].as_str().unwrap());
            ann.delete(&path).await.expect(204);
        };
        say_and_delete("first-to-forget").await;
        let gone = || async { (!holds("first-to-forget")).then_some(()) };
        eventually("the log is emptied while the service runs", SOON, gone).await;
        say_and_delete("second-to-forget").await;
        app.stop().await;
        assert!(!holds("second-to-forget"), "the log is emptied at the end");
    });
}

#[test]
fn strangers_can_not_tell_a_private_video_from_none() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let (private, trashed) = (ann.publish("x").await, ann.publish("y").await);
        let change = json!({ "visibility": "private" });
        ann.patch(&format!("/api/v1/videos/{private}"), change)
            .await
            .expect(200);
        ann.trash(&trashed).await.expect(202);
        for id in [private.as_str(), &trashed, "000000000000"] {
            let path = format!("/api/v1/videos/{id}/events");
            for answer in [app.get(&path).await, bob.get(&path).await] {
                answer.problem(404, "not_found");
                assert_eq!(answer.body["detail"], "There is no such video.", "{id}");
            }
        }
        let path = "/internal/videos/000000000000/events";
        let never = app.internal(Method::GET, path, json!(null)).await;
        never.problem(404, "not_found");
        assert_eq!(never.body["detail"], "There is no such video.");
    });
}
