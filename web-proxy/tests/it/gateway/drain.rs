//! The end of the process (promise 19): everybody is told and closed with 1012, nobody new is let in, and it ends.

use common::testing::raw::Raw;
use futures_util::future::join_all;
use serde_json::json;

use super::knock::Knock;
use super::site::Site;

#[actix_web::test]
async fn promise_19_a_drain_tells_everybody_and_closes_with_1012() {
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 100).await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut clients = join_all((0..50).map(|_| site.member(&ann, &room))).await;
    clients.push(site.enter(&ann).await);
    // One of them has stopped reading, one never answers, one is waiting for an answer.
    let mute = site.member(&ann, &room).await;
    let held = site.api.hold("users/me");
    clients[7].begin("GetSelfUserInfo", json!({})).await;
    site.api.until_count("users/me", 1).await;
    let base = site.base().to_owned();
    let metrics = site.edge.platform.metrics.clone();
    let ending = tokio::task::spawn_local(site.edge.stop());
    for client in &mut clients {
        let told = client.event("OnServerDraining").await;
        assert!(told["data"]["closeWithinMs"].is_u64(), "{told}");
        assert_eq!(client.closed_well().await, 1012);
    }
    ending.await.unwrap();
    drop((mute, held));
    let page = metrics.encode();
    assert!(page.contains("sluice_gateway_connections 0\n"), "{page}");
    assert!(page.contains("sluice_gateway_rooms 0\n"), "{page}");
    // Nobody listens any more.
    assert!(
        tokio::net::TcpStream::connect(base.strip_prefix("http://").unwrap())
            .await
            .is_err()
    );
}

#[actix_web::test]
async fn a_handshake_that_the_drain_overtakes_is_refused() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let held = site.api.hold("tokens/parse");
    let mut early = Raw::connect(site.base()).await;
    early.send(&Knock::by(&ann).text()).await;
    site.api.until_count("tokens/parse", 1).await;
    site.edge.platform.drain.begin();
    drop(held);
    early.answer().await.check_problem(503, "overloaded");
    assert_eq!(early.rest().await, b"");
    site.edge.stop().await;
}

#[actix_web::test]
async fn an_empty_gateway_drains_at_once() {
    for _ in 0..3 {
        Site::new().await.stop().await;
    }
}

/// What runs is finished: its answer comes before the goodbye.
#[actix_web::test]
async fn promise_19_a_call_that_runs_when_the_drain_begins_is_answered_first() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let held = site.api.hold("users/me");
    let operation = client.begin("GetSelfUserInfo", json!({})).await;
    site.api.until_count("users/me", 1).await;
    let mut idle = site.enter(&ann).await;
    let ending = tokio::task::spawn_local(site.edge.stop());
    assert_eq!(idle.closed_well().await, 1012);
    client.event("OnServerDraining").await;
    drop(held);
    let answer = client.answer(&operation).await;
    assert_eq!(
        (&answer["errCode"], &answer["event"]),
        (&json!(0), &json!("GetSelfUserInfo"))
    );
    assert_eq!(client.closed_well().await, 1012);
    ending.await.unwrap();
}
