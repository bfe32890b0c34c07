//! api-service away: who is connected stays, who comes is told to come back, and rooms catch up.

use std::time::Duration;

use serde_json::json;

use super::knock::Knock;
use super::rooms::expect_entries;
use super::site::Site;

#[actix_web::test]
async fn open_connections_live_through_an_outage_and_rooms_catch_up_after_it() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let (room, other) = (site.api.room(), site.api.room());
    let mut client = site.member(&ann, &room).await;
    site.danmaku(&room, "1");
    expect_entries(&mut client, 1, 1).await;
    site.api.set_away(true);
    let asked = site.api.count("sessions/check");
    Knock::by(&bob)
        .refused(site.base())
        .await
        .check_problem(503, "upstream_unavailable");
    assert_eq!(client.refused("GetSelfUserInfo", json!({})).await, 2026);
    assert_eq!(client.refused("JoinRoom", json!({"videoID": other})).await, 2026);
    // What the bus brings goes on, as long as nothing is missing.
    site.danmaku(&room, "2");
    expect_entries(&mut client, 2, 2).await;
    site.unpublished(&room, "3");
    site.danmaku(&room, "4");
    // Longer than it takes to notice sessions that ended: nobody is put out for a question without an answer.
    site.api.until_count("sessions/check", asked + 3).await;
    client.is_alive().await;
    assert!(client.kept().iter().all(|event| event["event"] != "OnRecvDanmaku"));
    site.api.set_away(false);
    expect_entries(&mut client, 3, 4).await;
    assert_eq!(client.call("GetSelfUserInfo", json!({})).await["username"], "ann");
    assert_eq!(client.join(&other).await["memberCount"], 1);
    let mut late = site.logged_in(&bob).await;
    late.call("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await;
    // Somebody who was signed out meanwhile is put out now.
    site.api.end_session(&bob.owner.session);
    assert_eq!(late.closed_well().await, 4401);
    client.leave().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.stop().await;
}

/// It takes connections and says nothing.
#[actix_web::test]
async fn an_api_service_that_hangs_costs_each_a_deadline_and_no_more() {
    let site = Site::with(|config| config.internal.timeout = common::config::Span(Duration::from_millis(600))).await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let room = site.api.room();
    let mut client = site.member(&ann, &room).await;
    let held = site.api.hold("/internal/");
    Knock::by(&bob)
        .refused(site.base())
        .await
        .check_problem(503, "upstream_unavailable");
    assert_eq!(
        client.refused("JoinRoom", json!({"videoID": site.api.room()})).await,
        2026
    );
    site.danmaku(&room, "1");
    expect_entries(&mut client, 1, 1).await;
    drop(held);
    site.logged_in(&bob).await.leave().await;
    client.leave().await;
    site.stop().await;
}
