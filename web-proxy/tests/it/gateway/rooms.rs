//! Rooms: every entry once and in order, whatever the bus does; how they are pushed; who is counted.

use std::time::{Duration, Instant};

use common::ids::VideoId;
use common::messages::RoomEntryKind;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::{Client, Knock, data_of, seqs};
use super::site::Site;
use crate::frames::Random;

/// Reads entries until number `last`; they must be all from `first` on, in order, each once.
pub async fn expect_entries(client: &mut Client, first: i64, last: i64) -> Vec<Value> {
    let mut entries: Vec<Value> = Vec::new();
    while entries.last().is_none_or(|entry| entry["seq"] != last) {
        entries.extend(client.entries().await);
        let expected: Vec<i64> = (first..first + entries.len() as i64).collect();
        assert_eq!(seqs(&entries), expected);
    }
    entries
}

/// A member in each form, on both threads.
async fn crowd(site: &Site, room: &VideoId) -> Vec<Client> {
    let mut clients = Vec::new();
    for (number, batch) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        let user = site.api.user("ann");
        let mut client = Knock::by(&user).enter(site.base()).await;
        client.as_text = number >= 2;
        client.login().await;
        let operation = format!("join{number}");
        let data = json!({"videoID": room});
        let data = if client.as_text { json!(data.to_string()) } else { data };
        let frame = json!({"reqFuncName": "JoinRoom", "operationID": operation, "data": data, "batchMsg": batch});
        client.say(&frame.to_string()).await;
        assert_eq!(client.answer(&operation).await["errCode"], 0);
        clients.push(client);
    }
    clients
}

#[actix_web::test]
async fn every_entry_once_and_in_order_whatever_the_bus_loses_repeats_and_reorders() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut clients = crowd(&site, &room).await;
    let mut random = Random::new();
    const COUNT: i64 = 300;
    let mut waiting = Vec::new();
    for number in 1..=COUNT {
        let entry = site.unpublished(&room, &format!("\"{number}\" 漢字 \\"));
        for _ in 0..*random.pick(&[0, 1, 1, 1, 2]) {
            let at = random.below(waiting.len() + 1);
            waiting.insert(at, entry.clone());
        }
        while waiting.len() > 5 || (number == COUNT && !waiting.is_empty()) {
            site.publish(&waiting.remove(0));
        }
        if random.once_in(10) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    // The very last must arrive by itself: what is lost at the end is another test.
    site.danmaku(&room, "end");
    for client in &mut clients {
        let entries = expect_entries(client, 1, COUNT + 1).await;
        assert_eq!(entries[4]["data"]["text"], "\"5\" 漢字 \\");
        client.is_alive().await;
    }
    for client in clients {
        client.leave().await;
    }
    site.stop().await;
}

#[actix_web::test]
async fn a_gap_is_read_from_the_log_before_anything_after_it_is_pushed() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut client = site.member(&site.api.user("ann"), &room).await;
    site.danmaku(&room, "1");
    expect_entries(&mut client, 1, 1).await;
    let log = format!("/internal/videos/{room}/events?afterSeq=1");
    assert_eq!(site.api.count(&log), 0);
    // The first reading fails.
    site.api.fail_with(&log, common::error::Code::Internal);
    site.unpublished(&room, "2");
    site.unpublished(&room, "3");
    site.danmaku(&room, "4");
    site.api.until_count(&log, 1).await;
    client.is_alive().await;
    assert!(client.kept().iter().all(|event| event["event"] != "OnRecvDanmaku"));
    site.api.recover();
    expect_entries(&mut client, 2, 4).await;
    client.leave().await;
    site.stop().await;
}

/// The bus keeps 1,024 messages for who is slow to fetch them.
#[actix_web::test]
async fn a_bus_that_is_too_fast_costs_nothing_but_a_reading() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut client = site.member(&site.api.user("ann"), &room).await;
    for number in 0..2500 {
        site.danmaku(&room, &number.to_string());
    }
    expect_entries(&mut client, 1, 2500).await;
    client.leave().await;
    site.stop().await;
}

/// Nothing tells of these but the question how far all rooms are, which is asked every few seconds.
#[actix_web::test]
async fn what_is_lost_at_the_end_is_found_and_a_purged_room_closes() {
    let site = Site::new().await;
    let (room, purged) = (site.api.room(), site.api.room());
    let mut client = site.member(&site.api.user("ann"), &room).await;
    client.join(&purged).await;
    site.danmaku(&room, "1");
    site.unpublished(&room, "2");
    site.api.purge(&purged);
    let closed = client.event("OnRoomClosed").await["data"].clone();
    assert_eq!(
        (&closed["videoID"], &closed["data"]["reason"]),
        (&json!(purged), &json!("purged"))
    );
    expect_entries(&mut client, 1, 2).await;
    assert_eq!(client.refused("JoinRoom", json!({"videoID": purged})).await, 2004);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn each_kind_is_an_event_of_its_own_with_the_operation_that_caused_it() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut client = site.member(&site.api.user("ann"), &room).await;
    let kinds = [
        (RoomEntryKind::Danmaku, "OnRecvDanmaku"),
        (RoomEntryKind::Comment, "OnRecvComment"),
        (RoomEntryKind::Info, "OnRoomInfoChanged"),
        (RoomEntryKind::Revoked, "OnMessageRevoked"),
        (RoomEntryKind::Closed, "OnRoomClosed"),
    ];
    for (number, (kind, name)) in kinds.into_iter().enumerate() {
        let mut entry = site
            .api
            .append(&room, kind, json!({"seq": 1, "reason": "trashed", "x": name}));
        entry.operation = common::operation::OperationId::parse(&format!("cause-{number}"));
        site.publish(&entry);
        let event = client.event(name).await;
        assert_eq!(event["data"], serde_json::to_value(&entry).unwrap());
        assert_eq!(event["operationID"], format!("cause-{number}"));
        assert_eq!((&event["errCode"], &event["errMsg"]), (&json!(0), &json!("")));
    }
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_busy_room_is_sent_in_frames_of_at_most_50_entries_or_16_kib() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut clients = crowd(&site, &room).await;
    for number in 0..150 {
        site.danmaku(&room, &"x".repeat(if number % 3 == 0 { 900 } else { 10 }));
    }
    for batched in [1, 3] {
        let client = &mut clients[batched];
        let (mut count, mut frames, mut largest) = (0, 0, 0);
        while count < 150 {
            let event = client.event("OnRecvNewMessages").await;
            let entries = data_of(&event);
            let entries = entries.as_array().unwrap();
            assert!(entries.len() <= 50, "{}", entries.len());
            assert!(event.to_string().len() <= 16 * 1024, "{}", event.to_string().len());
            for entry in entries {
                count += 1;
                assert_eq!(entry["seq"], count);
            }
            frames += 1;
            largest = largest.max(entries.len());
        }
        assert!(largest > 1 && frames < 150, "{frames} frames of up to {largest}");
    }
    for mut client in clients {
        let kept = client.kept();
        assert!(kept.iter().all(|event| event["event"] != "OnRecvDanmaku") || !kept.is_empty());
        client.leave().await;
    }
    site.stop().await;
}

#[actix_web::test]
async fn batch_is_accepted_for_batch_msg_and_is_asked_for_at_login_too() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut client = site.enter(&site.api.user("ann")).await;
    let login = json!({"reqFuncName": "Login", "operationID": "l", "data": {"rooms": [{"videoID": room}]}, "batch": 1});
    client.say(&login.to_string()).await;
    assert_eq!(client.answer("l").await["errCode"], 0);
    site.danmaku(&room, "one");
    let event = client.event("OnRecvNewMessages").await;
    assert_eq!(event["data"][0]["seq"], 1);
    client.leave().await;
    site.stop().await;
}

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
    assert_eq!(client.refused("JoinRoom", all[100].clone()).await, 2019);
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
async fn entries_that_were_taken_back_have_no_words_any_more() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut client = site.member(&site.api.user("ann"), &room).await;
    site.danmaku(&room, "regrettable");
    site.danmaku(&room, "fine");
    expect_entries(&mut client, 1, 2).await;
    let revoked = site.api.revoke(&room, 1);
    site.publish(&revoked);
    let event = client.event("OnMessageRevoked").await;
    assert_eq!(event["data"]["data"]["seq"], 1);
    let mut late = site.logged_in(&site.api.user("bob")).await;
    let joined = late.call("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await;
    let events = joined["events"].as_array().unwrap();
    assert_eq!(seqs(events), [1, 2, 3]);
    assert_eq!(
        (&events[0]["kind"], &events[0]["data"]),
        (&json!("danmaku"), &Value::Null)
    );
    assert!(!joined.to_string().contains("regrettable"));
    client.leave().await;
    late.leave().await;
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

/// A video that came back from the trash: its log has an end in the middle, which is history.
#[actix_web::test]
async fn a_room_that_was_closed_and_opened_again_can_be_joined_from_before() {
    let site = Site::new().await;
    let room = site.api.room();
    let mut client = site.member(&site.api.user("ann"), &room).await;
    site.danmaku(&room, "1");
    site.close_room(&room, "trashed");
    expect_entries(&mut client, 1, 2).await;
    let back = site.api.append(
        &room,
        RoomEntryKind::Info,
        json!({"title": "t", "visibility": "public"}),
    );
    site.publish(&back);
    let mut late = site.logged_in(&site.api.user("bob")).await;
    for client in [&mut client, &mut late] {
        // Live or from the log, as it comes.
        let joined = client.call("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await;
        let mut seen = seqs(joined["events"].as_array().unwrap());
        while seen.len() < 3 {
            seen.extend(seqs(&client.entries().await));
        }
        assert_eq!(seen, [1, 2, 3]);
    }
    site.danmaku(&room, "4");
    for client in [&mut client, &mut late] {
        assert_eq!(seqs(&client.entries().await), [4]);
    }
    assert_eq!(
        client.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        2
    );
    client.leave().await;
    late.leave().await;
    site.stop().await;
}
