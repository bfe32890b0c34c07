//! Who may be in a room: whom api-service lets read its log, asked again whenever the room closes.

use common::ids::VideoId;
use futures_util::future::join_all;
use serde_json::json;

use super::site::Site;

#[actix_web::test]
async fn a_private_room_is_404_to_all_but_its_owner() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let room = site.api.private_room(&ann);
    let mut owner = site.member(&ann, &room).await;
    let mut stranger = site.logged_in(&bob).await;
    for _ in 0..2 {
        assert_eq!(stranger.refused("JoinRoom", json!({"videoID": room})).await, 2004);
        assert_eq!(
            stranger
                .refused("JoinRoom", json!({"videoID": room, "afterSeq": 0}))
                .await,
            2004
        );
        assert_eq!(
            stranger.refused("GetRoomMemberCount", json!({"videoID": room})).await,
            2004
        );
    }
    assert_eq!(
        stranger
            .refused("JoinRoom", json!({"videoID": VideoId::random()}))
            .await,
        2004
    );
    site.danmaku(&room, "secret");
    assert_eq!(owner.entries().await[0]["data"]["text"], "secret");
    stranger.is_alive().await;
    assert!(
        stranger
            .kept()
            .iter()
            .all(|event| !event.to_string().contains("secret"))
    );
    assert_eq!(
        owner.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        1
    );
    owner.leave().await;
    stranger.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_closed_room_puts_everybody_out_and_access_is_asked_again() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let room = site.api.room();
    let mut owner = site.member(&ann, &room).await;
    let mut others = join_all((0..6).map(|_| site.member(&bob, &room))).await;
    site.danmaku(&room, "1");
    site.api.make_private(&room, &ann);
    site.close_room(&room, "private");
    for client in others.iter_mut().chain([&mut owner]) {
        assert_eq!(client.entries().await[0]["seq"], 1);
        let closed = client.event("OnRoomClosed").await;
        assert_eq!(closed["data"]["data"]["reason"], "private");
    }
    for client in &mut others {
        // At once: no answer of before is good any more.
        assert_eq!(client.refused("JoinRoom", json!({"videoID": room})).await, 2004);
    }
    let joined = owner.call("JoinRoom", json!({"videoID": room, "afterSeq": 2})).await;
    assert_eq!((&joined["memberCount"], &joined["events"]), (&json!(1), &json!([])));
    site.danmaku(&room, "3");
    assert_eq!(owner.entries().await[0]["seq"], 3);
    for client in &mut others {
        client.is_alive().await;
        assert!(client.kept().iter().all(|event| event["event"] != "OnRecvDanmaku"));
    }
    site.api.make_public(&room);
    assert_eq!(
        others[0]
            .call("JoinRoom", json!({"videoID": room, "afterSeq": 2}))
            .await["events"][0]["seq"],
        3
    );
    drop((owner, others));
    site.stop().await;
}

#[actix_web::test]
async fn a_join_that_was_allowed_before_the_room_closed_is_asked_about_again() {
    let site = Site::with(|config| config.gateway.workers = 1).await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let room = site.api.room();
    let mut owner = site.member(&ann, &room).await;
    let mut other = site.logged_in(&bob).await;
    let question = format!("/api/v1/videos/{room}/events");
    // The answer that let the owner in is good for everybody for a moment: this room has been closed since.
    site.close_room(&room, "trashed");
    owner.event("OnRoomClosed").await;
    let before = site.api.count(&question);
    let held = site.api.hold_answers(&question);
    let join = other.begin("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await;
    site.api.until_count(&question, before + 1).await;
    // It was answered with yes, and is on its way.
    owner.call("Ping", json!({})).await;
    site.api.make_private(&room, &ann);
    let mut witness = owner;
    site.close_room(&room, "private");
    // Nobody is in the room to see it: its own log tells.
    common::testing::eventually("the room knows of its end", super::client::PATIENCE, || async {
        (site.metric("sluice_gateway_rooms") == 1).then_some(())
    })
    .await;
    witness.is_alive().await;
    drop(held);
    let answer = other.answer(&join).await;
    assert_eq!(answer["errCode"], 2004, "{answer}");
    witness.leave().await;
    other.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_crowd_that_comes_back_costs_one_question_for_each_thread() {
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 200).await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let question = format!("/api/v1/videos/{room}/events");
    let clients = join_all((0..100).map(|_| site.member(&ann, &room))).await;
    assert!(site.api.count(&question) <= 2, "{}", site.api.count(&question));
    assert!(site.api.count(&format!("/internal/videos/{room}/events")) <= 2);
    drop(clients);
    site.stop().await;
}

/// Also the first of a room waits: for its log, and then for the answer.
#[actix_web::test]
async fn a_room_that_can_not_be_read_is_refused_and_begun_again_by_the_next() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut client = site.logged_in(&ann).await;
    site.api.fail_with("/internal/videos/", common::error::Code::Internal);
    assert_eq!(client.refused("JoinRoom", json!({"videoID": room})).await, 2026);
    site.api.recover();
    site.api.fail_with("/api/v1/videos/", common::error::Code::Internal);
    assert_eq!(client.refused("JoinRoom", json!({"videoID": room})).await, 2025);
    site.api.recover();
    assert_eq!(client.join(&room).await["memberCount"], 1);
    client.leave().await;
    site.stop().await;
}
