//! Places are taken in one step and come back, whatever happens to who took them.

use std::time::Duration;

use common::testing::eventually;
use futures_util::future::join_all;
use serde_json::json;

use super::api::User;
use super::client::{Client, PATIENCE, text};
use super::knock::Knock;
use super::site::{CONNECTIONS, Site};

const LIMIT: usize = 10;

#[actix_web::test]
async fn two_hundred_handshakes_at_once_get_exactly_as_many_places_as_there_are() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    for round in 0..3 {
        // The check is slow: all of them have passed every look at the limit that comes before it.
        let held = site.api.hold("tokens/parse");
        // Another session each time, which nobody has asked about yet.
        let session = site.api.again(&ann);
        let knocking = join_all((0..200).map(|_| {
            let (knock, base) = (Knock::by(&session), site.base().to_owned());
            async move { knock.try_enter(&base).await }
        }));
        let release = async {
            site.api.until_count("tokens/parse", round + 1).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(held);
        };
        let (outcomes, ()) = futures_util::future::join(knocking, release).await;
        let mut entered = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(client) => entered.push(client),
                Err(refused) => refused.check_problem(429, "too_many_connections"),
            }
        }
        assert_eq!(entered.len(), LIMIT);
        drop(entered);
        site.until_metric(CONNECTIONS, 0).await;
    }
    site.stop().await;
}

/// Leaves at every moment; then all places are there again, and no room counts anybody.
#[actix_web::test]
async fn places_memberships_and_counts_come_back_from_who_leaves_at_any_moment() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut stayed = site.member(&site.api.user("bob"), &room).await;
    // During the handshake, before its answer is read.
    for _ in 0..LIMIT {
        let mut raw = common::testing::raw::Raw::connect(site.base()).await;
        raw.send(&Knock::by(&ann).text()).await;
    }
    drop(all_places(&site, &ann).await);
    site.until_metric(CONNECTIONS, 1).await;
    // During a login that joins a room.
    let held = site.api.hold("/internal/videos/");
    let other = site.api.room();
    let mut leaving = Vec::new();
    for _ in 0..LIMIT {
        let mut client = site.enter(&ann).await;
        client
            .begin("Login", json!({"rooms": [{"videoID": other}, {"videoID": room}]}))
            .await;
        leaving.push(client);
    }
    site.api.until_count(&format!("/internal/videos/{other}"), 1).await;
    drop(leaving);
    site.until_metric(CONNECTIONS, 1).await;
    drop(held);
    // During a call, and in the middle of a frame.
    let held = site.api.hold("users/me");
    let mut leaving = Vec::new();
    for _ in 0..LIMIT {
        let mut client = site.member(&ann, &room).await;
        client.begin("GetSelfUserInfo", json!({})).await;
        client.send(&text("half a frame")[..5]).await;
        leaving.push(client);
    }
    site.api.until_count("users/me", LIMIT).await;
    drop(leaving);
    site.until_metric(CONNECTIONS, 1).await;
    drop(held);
    // During a push: what they were sent is never read, which resets the connection.
    let mut leaving = Vec::new();
    for _ in 0..LIMIT {
        leaving.push(site.member(&ann, &room).await);
    }
    for _ in 0..50 {
        site.danmaku(&room, &"x".repeat(2000));
        if leaving.len() > 1 {
            leaving.pop();
        }
        tokio::task::yield_now().await;
    }
    drop(leaving);
    site.until_metric(CONNECTIONS, 1).await;
    let mut seen = 0;
    while seen < 50 {
        for entry in stayed.entries().await {
            seen += 1;
            assert_eq!(entry["seq"], seen);
        }
    }
    assert_eq!(
        stayed.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        1
    );
    assert_eq!(
        stayed.call("GetRoomMemberCount", json!({"videoID": other})).await["count"],
        0
    );
    let again = all_places(&site, &ann).await;
    assert_eq!(Knock::by(&ann).refused(site.base()).await.status, 429);
    drop((again, stayed));
    site.stop().await;
}

/// Takes all places of a user, as soon as those who left are noticed.
async fn all_places(site: &Site, user: &User) -> Vec<Client> {
    eventually("all places are there", PATIENCE, || async {
        let entering = (0..LIMIT).map(|_| async { Knock::by(user).try_enter(site.base()).await.ok() });
        join_all(entering).await.into_iter().collect()
    })
    .await
}
