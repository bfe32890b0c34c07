//! Rooms: every entry once and in order, whatever the bus does; how they are pushed; who is counted.

use std::time::Duration;

use common::ids::VideoId;
use common::messages::RoomEntryKind;
use serde_json::{Value, json};

use super::client::{Client, data_of, seqs};
use super::knock::Knock;
use super::site::Site;
use common::testing::random::Random;

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
    let mut random = Random::from_clock();
    const COUNT: i64 = 300;
    let mut waiting = Vec::new();
    for number in 1..=COUNT {
        let entry = site.unpublished(&room, &format!("\"{number}\" 漢字 \\"));
        for _ in 0..random.pick(&[0, 1, 1, 1, 2]) {
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
        // Promise 22: a newer api-service says what this gateway does not know.
        (RoomEntryKind::from_name("poll"), "OnRoomEntry"),
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
