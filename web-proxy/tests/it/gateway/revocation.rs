//! Sessions that end close their sockets, told by the bus or found by asking (promise 13).

use std::time::Duration;

use common::ids::Id;
use futures_util::future::join_all;
use serde_json::json;

use super::site::Site;

#[actix_web::test]
async fn promise_13_a_session_that_ends_closes_its_sockets_and_no_others() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let other = site.api.again(&ann);
    let room = site.api.room();
    let mut kicked = join_all((0..6).map(|_| site.member(&ann, &room))).await;
    kicked.push(site.enter(&ann).await);
    let mut stays = site.member(&other, &room).await;
    // One is in the middle of calls.
    let _held = site.api.hold("users/me");
    for _ in 0..10 {
        kicked[0].begin("GetSelfUserInfo", json!({})).await;
    }
    site.api.until_count("users/me", 8).await;
    site.revoke(&ann);
    for client in &mut kicked {
        let event = client.event("OnKickedOffline").await;
        assert_eq!(event["data"], json!({"reason": "signed_out"}));
        assert_eq!(client.closed_well().await, 4401);
    }
    assert_eq!(
        stays.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        1
    );
    site.until_metric(r#"sluice_gateway_closed_total{code="4401"}"#, 7)
        .await;
    stays.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn promise_13_a_revocation_that_no_bus_tells_of_is_found_by_asking() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let stays = site.logged_in(&site.api.again(&ann)).await;
    site.api.end_session(&ann.owner.session);
    client.event("OnKickedOffline").await;
    assert_eq!(client.closed_well().await, 4401);
    stays.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_session_whose_time_is_over_is_told_so() {
    let site = Site::new().await;
    let ann = site.api.sign_in("ann", Id::now(), Duration::from_millis(1500));
    let mut client = site.logged_in(&ann).await;
    let event = client.event("OnUserTokenExpired").await;
    assert_eq!(event["data"], json!({}));
    assert_eq!(client.closed_well().await, 4401);
    site.stop().await;
}

#[actix_web::test]
async fn logout_with_the_session_ends_it_everywhere() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let mut second = site.logged_in(&ann).await;
    let answer = client.ask("Logout", json!({"session": true})).await;
    assert_eq!(answer["errCode"], 0);
    for client in [&mut client, &mut second] {
        client.event("OnKickedOffline").await;
        assert_eq!(client.closed_well().await, 4401);
    }
    assert_eq!(super::knock::Knock::by(&ann).refused(site.base()).await.status, 401);
    site.stop().await;
}

#[actix_web::test]
async fn a_logout_whose_session_can_not_be_ended_changes_nothing() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    site.api.fail_with("sessions/current", common::error::Code::Internal);
    assert_eq!(client.refused("Logout", json!({"session": true})).await, 2025);
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 3);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn promise_13_who_reads_nothing_and_answers_nothing_is_put_out_as_well() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mute = site.member(&ann, &room).await;
    site.revoke(&ann);
    site.until_metric(super::site::CONNECTIONS, 0).await;
    drop(mute);
    site.stop().await;
}
