//! Who is in a room: counted once, told seldom, bounded, and out of it at once.

use std::time::Instant;

use common::ids::VideoId;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::Client;
use super::rooms::expect_entries;
use super::site::Site;

#[actix_web::test]
async fn counts_are_told_at_most_once_a_second_and_the_last_one_is_right() {
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 100).await;
    let room = site.api.room();
    let mut observer = site.member(&site.api.user("observer"), &room).await;
    let began = Instant::now();
    let ann = site.api.user("ann");
    for _ in 0..3 {
        let clients = join_all((0..20).map(|_| site.member(&ann, &room))).await;
        site.danmaku(&room, "x");
        observer.entries().await;
        drop(clients);
    }
    let mut told = 0;
    loop {
        let event = observer.event("OnRoomMemberCount").await;
        told += 1;
        assert_eq!(event["data"]["videoID"], json!(room));
        assert!(event["data"]["seq"].as_i64().unwrap() <= 3);
        if event["data"]["count"] == 1 && event["data"]["seq"] == 3 {
            break;
        }
    }
    let bound = began.elapsed().as_secs() + 3;
    assert!(told <= bound, "{told} counts in {bound} s for 120 changes");
    observer.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_connection_is_in_at_most_100_rooms() {
    let site = Site::new().await;
    let rooms: Vec<VideoId> = (0..101).map(|_| site.api.room()).collect();
    let mut client = site.enter(&site.api.user("ann")).await;
    let all: Vec<Value> = rooms.iter().map(|room| json!({"videoID": room})).collect();
    assert_eq!(client.refused("Login", json!({"rooms": all})).await, 1001);
    let login = client.call("Login", json!({"rooms": all[..100]})).await;
    assert!(
        login["rooms"]
            .as_array()
            .unwrap()
            .iter()
            .all(|room| room["errCode"] == 0),
        "{login}"
    );
    assert_eq!(client.refused("JoinRoom", all[100].clone()).await, 1004);
    // One it is in already is none more.
    client.call("JoinRoom", all[99].clone()).await;
    client.call("LeaveRoom", all[0].clone()).await;
    assert_eq!(client.join(&rooms[100]).await["memberCount"], 1);
    for room in [&rooms[0], &rooms[100], &rooms[57]] {
        site.danmaku(room, "x");
    }
    let mut got = [client.entries().await, client.entries().await];
    got.sort_by_key(|entries| entries[0]["videoID"] == json!(rooms[100]));
    assert_eq!(got[0][0]["videoID"], json!(rooms[57]));
    assert_eq!(got[1][0]["videoID"], json!(rooms[100]));
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn who_leaves_or_logs_out_is_not_counted_and_hears_no_more() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut observer = site.member(&site.api.user("observer"), &room).await;
    let count = async |observer: &mut Client| {
        observer.call("GetRoomMemberCount", json!({"videoID": room})).await["count"]
            .as_u64()
            .unwrap()
    };
    let mut client = site.member(&site.api.user("ann"), &room).await;
    assert_eq!(count(&mut observer).await, 2);
    // Joining twice is being there once.
    assert_eq!(client.join(&room).await["memberCount"], 2);
    site.danmaku(&room, "1");
    expect_entries(&mut client, 1, 1).await;
    client.call("LeaveRoom", json!({"videoID": room})).await;
    client.call("LeaveRoom", json!({"videoID": room})).await;
    assert_eq!(count(&mut observer).await, 1);
    site.danmaku(&room, "2");
    assert_eq!(client.join(&room).await["memberCount"], 2);
    client.call("Logout", json!({})).await;
    assert_eq!(count(&mut observer).await, 1);
    site.danmaku(&room, "3");
    expect_entries(&mut observer, 1, 3).await;
    client.login().await;
    let events = client.kept();
    let heard = events.iter().filter(|event| event["event"] == "OnRecvDanmaku").count();
    assert!(heard <= 1, "the second may have gone out after the join: {events:?}");
    client.leave().await;
    observer.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_room_that_is_asked_for_many_times_at_once_is_joined_once() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut client = site.enter(&site.api.user("ann")).await;
    let twice = json!({"rooms": [{"videoID": room}, {"videoID": room, "afterSeq": 0}]});
    let login = client.call("Login", twice).await;
    assert!(
        login["rooms"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["memberCount"] == 1),
        "{login}"
    );
    let mut operations = Vec::new();
    for _ in 0..8 {
        operations.push(client.begin("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await);
    }
    for operation in operations {
        assert_eq!(client.answer(&operation).await["data"]["memberCount"], 1);
    }
    site.danmaku(&room, "1");
    site.danmaku(&room, "2");
    expect_entries(&mut client, 1, 2).await;
    client.is_alive().await;
    assert!(client.kept().iter().all(|event| event["event"] != "OnRecvDanmaku"));
    client.leave().await;
    site.stop().await;
}
