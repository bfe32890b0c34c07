//! Promise 17 of promises.md: what other services are told because of a change.

use std::collections::HashSet;
use std::time::Duration;

use common::testing::eventually;
use serde_json::{Value, json};

use crate::app::{App, each_database};
use crate::neighbours::Neighbours;

/// What the neighbours were told about `video`, without what belongs to other calls.
fn told(neighbours: &Neighbours, video: &str) -> Vec<String> {
    let calls = neighbours.calls().into_iter().filter(|(call, _)| call.contains(video));
    calls.map(|(call, _)| call.replace(video, "ID")).collect()
}

const HIDE: &str = "PUT /internal/media/ID/hidden";
const PUT_JOB: &str = "PUT /internal/jobs/purge/ID";
const DELETE_JOB: &str = "DELETE /internal/jobs/purge/ID";

const PENDING: &str = "SELECT COUNT(*) AS n FROM outbox";

async fn delivered(app: &App) {
    eventually("the outbox is empty", Duration::from_secs(20), || async {
        (app.count(PENDING).await == 0).then_some(())
    })
    .await;
}

#[test]
fn promise_17_a_change_and_the_job_it_causes_commit_together() {
    each_database(async |db, url| {
        // Nobody delivers: this service has no neighbours.
        let app = App::start(db, url, |_| {}).await;
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        assert_eq!(app.count(PENDING).await, 0);
        let trashed = ann.trash(&id).await.expect(202);
        assert_eq!(app.count(PENDING).await, 2);
        // A change that fails leaves no message.
        app.register("bob").await.trash(&id).await.problem(404, "not_found");
        ann.restore("000000000000").await.problem(404, "not_found");
        assert_eq!(app.count(PENDING).await, 2);
        app.stop().await;

        // The process ended between commit and delivery; the next one finds the messages, without any bus.
        let neighbours = Neighbours::start().await;
        let next = App::start(db, url, |config| neighbours.meet(config)).await;
        delivered(&next).await;
        assert_eq!(told(&neighbours, &id), [HIDE, PUT_JOB]);
        let calls = neighbours.calls();
        assert_eq!(calls[0].1, json!({ "hidden": true, "version": 1, "min_grant": 0 }));
        assert_eq!(calls[1].1["runAt"], trashed["video"]["purgeAt"]);
        assert_eq!(calls[1].1["payload"], json!({}));
        assert!(calls[1].1["operationID"].is_string());
        next.stop().await;
        neighbours.stop().await;
    });
}

/// To neighbours of the version before ours, too.
#[test]
fn promise_17_messages_of_many_videos_are_carried_together() {
    each_database(async |db, url| {
        for before_batches in [false, true] {
            let neighbours = Neighbours::start().await;
            if before_batches {
                neighbours.are_before_batches();
            }
            let name = if before_batches { "bob" } else { "ann" };
            // Nobody delivers yet, so that there are many at once.
            let app = App::start(db, url, |_| {}).await;
            let person = app.register(name).await;
            let mut ids = Vec::new();
            for n in 0..20 {
                let id = person.publish(&format!("{n}")).await;
                person.trash(&id).await.expect(202);
                ids.push(id);
            }
            app.stop().await;
            let next = App::start(db, url, |config| neighbours.meet(config)).await;
            delivered(&next).await;
            for id in &ids {
                assert_eq!(told(&neighbours, id), [HIDE, PUT_JOB]);
            }
            assert_eq!(neighbours.batches() > 0, !before_batches);
            let operations: HashSet<String> = neighbours.operations().into_iter().collect();
            assert_eq!(operations.len(), 20, "each is part of the request that caused it");
            next.stop().await;
            neighbours.stop().await;
        }
    });
}

#[test]
fn promise_17_messages_of_a_video_arrive_in_order_and_survive_a_neighbour_that_is_away() {
    each_database(async |db, url| {
        let neighbours = Neighbours::start().await;
        let app = App::start(db, url, |config| neighbours.meet(config)).await;
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        neighbours.refuse(503);
        ann.trash(&id).await.expect(202);
        ann.restore(&id).await.expect(200);
        ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
            .await
            .expect(202);
        assert_eq!(app.count(PENDING).await, 6);
        neighbours.refuse(0);
        delivered(&app).await;
        assert_eq!(told(&neighbours, &id), [HIDE, PUT_JOB, HIDE, DELETE_JOB, HIDE, PUT_JOB]);
        let calls = neighbours
            .calls()
            .into_iter()
            .filter(|(call, _)| call.contains("hidden"));
        let seen: Vec<Value> = calls.map(|(_, body)| body).collect();
        let hidden = |hidden: bool, version: i64| json!({ "hidden": hidden, "version": version, "min_grant": 0 });
        assert_eq!(seen, [hidden(true, 1), hidden(false, 2), hidden(true, 3)]);
        app.stop().await;
        neighbours.stop().await;
    });
}

#[test]
fn promise_17_no_refusal_settles_a_message() {
    each_database(async |db, url| {
        let neighbours = Neighbours::start().await;
        let app = App::start(db, url, |config| neighbours.meet(config)).await;
        let ann = app.register("ann").await;
        for status in [404, 409, 410] {
            neighbours.refuse(status);
            let id = ann.publish("x").await;
            ann.trash(&id).await.expect(202);
            let refused = "SELECT COUNT(*) AS n FROM outbox WHERE last_error IS NOT NULL";
            eventually("a message was refused", Duration::from_secs(20), || async {
                (app.count(refused).await > 0).then_some(())
            })
            .await;
            assert_eq!(app.count(PENDING).await, 2, "{status}");
            neighbours.refuse(0);
            delivered(&app).await;
            assert_eq!(told(&neighbours, &id), [HIDE, PUT_JOB]);
        }
        app.stop().await;
        neighbours.stop().await;
    });
}

#[test]
fn promise_13_links_of_a_video_that_becomes_private_are_taken_back() {
    each_database(async |db, url| {
        let neighbours = Neighbours::start().await;
        let app = App::start(db, url, |config| neighbours.meet(config)).await;
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}");
        let grant = async || {
            let body = ann.get(&format!("{path}/playback")).await.expect(200);
            let url = body["sources"][0]["url"].as_str().unwrap();
            let text = url.strip_prefix("/media/").unwrap().split_once('/').unwrap().0;
            let grants = &app.running.platform.grants;
            grants.verify(text, common::time::Timestamp::now()).unwrap().version
        };
        let become_ = async |visibility: &str| {
            ann.patch(&path, json!({ "visibility": visibility })).await.expect(200);
        };
        assert_eq!(grant().await, 0);
        let mut changes = app.running.platform.bus.subscribe(&common::bus::Subject::MediaChanged);
        become_("unlisted").await;
        assert_eq!(app.count(PENDING).await, 0, "whoever has the link may still see it");
        become_("private").await;
        let change: common::messages::MediaChanged = changes.next().await.unwrap().decode().unwrap();
        assert_eq!(change.video.as_str(), id);
        assert_eq!(grant().await, 1, "its owner plays it with a new link");
        become_("private").await;
        become_("public").await;
        assert_eq!(grant().await, 1);
        become_("private").await;
        // Also behind the trash, where it stays hidden.
        ann.trash(&id).await.expect(202);
        become_("public").await;
        become_("private").await;
        ann.restore(&id).await.expect(200);
        assert_eq!(grant().await, 3);
        delivered(&app).await;
        let calls = neighbours.calls().into_iter();
        let seen: Vec<Value> = calls
            .filter(|(call, _)| call.ends_with("/hidden"))
            .map(|(_, body)| body)
            .collect();
        let told = |hidden: bool, version: i64, least: i64| json!({ "hidden": hidden, "version": version, "min_grant": least });
        let expected = [
            told(false, 1, 1),
            told(false, 2, 2),
            told(true, 3, 2),
            told(true, 4, 3),
            told(false, 5, 3),
        ];
        assert_eq!(seen, expected);
        let page = app
            .internal(reqwest::Method::GET, "/internal/videos", json!(null))
            .await
            .expect(200);
        let record = &page["items"][0];
        assert_eq!((&record["version"], &record["minGrant"]), (&json!(5), &json!(3)));
        app.stop().await;
        neighbours.stop().await;
    });
}
