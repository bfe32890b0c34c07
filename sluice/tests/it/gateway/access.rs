//! Who may be in a room, and what is no longer to be read there: private videos, the trash, closed accounts.

use reqwest::Method;
use serde_json::json;

use super::rooms::{all_answers, couple, seqs};
use super::socket::Socket;
use crate::person::Person;
use crate::site::Home;

#[tokio::test]
async fn promise_12_and_13_a_video_made_private_puts_strangers_out_and_lets_its_owner_back_in() {
    let home = Home::new();
    let site = home.serve(&[]);
    let (ann, bob, id) = couple(&site).await;
    let (mut anns, mut bobs) = (Socket::logged_in(&ann).await, Socket::logged_in(&bob).await);
    for socket in [&mut anns, &mut bobs] {
        socket.ok("JoinRoom", json!({ "videoID": id })).await;
    }
    let path = format!("/api/v1/videos/{id}");
    ann.call(Method::PATCH, &path, json!({ "visibility": "private" }))
        .await
        .expect(200);
    for socket in [&mut anns, &mut bobs] {
        let closed = socket.event("OnRoomClosed").await;
        assert_eq!(
            (&closed["kind"], &closed["data"]),
            (&json!("closed"), &json!({ "reason": "private" }))
        );
    }
    let not_found = u64::from(common::error::Code::NotFound.entry().number);
    assert_eq!(bobs.refused("JoinRoom", json!({ "videoID": id })).await, not_found);
    assert_eq!(
        bobs.refused("GetRoomMemberCount", json!({ "videoID": id })).await,
        not_found
    );
    let says = json!({ "videoID": id, "text": "let me in", "atMs": 0 });
    assert_eq!(bobs.refused("SendDanmaku", says).await, not_found);
    bob.get(&format!("{path}/events")).await.problem(404, "not_found");
    let back = anns.ok("JoinRoom", json!({ "videoID": id, "afterSeq": 0 })).await;
    assert_eq!((&back["memberCount"], &back["complete"]), (&json!(1), &json!(true)));
    anns.ok("PostComment", json!({ "videoID": id, "text": "by myself" }))
        .await;
    assert_eq!(anns.event("OnRecvComment").await["data"]["text"], "by myself");
    bobs.is_alive().await;
    assert!(
        bobs.kept().all(|event| !event.to_string().contains("by myself")),
        "who was put out hears nothing more"
    );
    // Public again: everybody may come back, and reads what was said meanwhile.
    ann.call(Method::PATCH, &path, json!({ "visibility": "public" }))
        .await
        .expect(200);
    let back = bobs.ok("JoinRoom", json!({ "videoID": id, "afterSeq": 0 })).await;
    assert!(back.to_string().contains("by myself"), "{back}");
    let events = back["events"].as_array().unwrap();
    assert_eq!(seqs(events), (1..=events.len() as u64).collect::<Vec<_>>());
    site.stop();
}

/// Whoever closes their account takes back what they said, everywhere.
#[tokio::test]
async fn what_somebody_said_who_closed_their_account_is_gone() {
    let home = Home::new();
    let site = home.serve(&[]);
    let (_ann, bob, id) = couple(&site).await;
    let carol = Person::register(&site.base, "carol").await;
    let (mut bobs, mut carols) = (Socket::logged_in(&bob).await, Socket::logged_in(&carol).await);
    for socket in [&mut bobs, &mut carols] {
        socket.ok("JoinRoom", json!({ "videoID": id })).await;
    }
    for n in 0..3 {
        carols
            .ok(
                "PostComment",
                json!({ "videoID": id, "text": format!("carols words {n}") }),
            )
            .await;
        carols
            .ok(
                "SendDanmaku",
                json!({ "videoID": id, "text": format!("carols line {n}"), "atMs": n }),
            )
            .await;
    }
    bobs.ok("PostComment", json!({ "videoID": id, "text": "bobs words" }))
        .await;
    assert_eq!(seqs(&bobs.entries(7).await), (1..=7).collect::<Vec<_>>());
    let close = json!({ "password": crate::person::PASSWORD });
    carol.call(Method::DELETE, "/api/v1/users/me", close).await.expect(202);
    let taken_back = bobs.entries(6).await;
    assert_eq!(seqs(&taken_back), (8..=13).collect::<Vec<_>>());
    let mut which: Vec<u64> = taken_back
        .iter()
        .map(|entry| entry["data"]["seq"].as_u64().unwrap())
        .collect();
    which.sort_unstable();
    assert_eq!(which, [1, 2, 3, 4, 5, 6]);
    let answers = all_answers(&bob, &mut bobs, &id).await;
    assert!(
        answers.contains("bobs words") && !answers.contains("carols"),
        "{answers}"
    );
    site.stop();
}

/// Out of the trash again: the log goes on where it was.
#[tokio::test]
async fn a_room_that_was_in_the_trash_goes_on() {
    let home = Home::new();
    let site = home.serve(&[]);
    let (ann, bob, id) = couple(&site).await;
    let mut bobs = Socket::logged_in(&bob).await;
    bobs.ok("JoinRoom", json!({ "videoID": id })).await;
    bobs.ok("PostComment", json!({ "videoID": id, "text": "before" })).await;
    ann.delete(&format!("/api/v1/videos/{id}")).await.expect(202);
    let closed = bobs.event("OnRoomClosed").await;
    assert_eq!(
        (&closed["seq"], &closed["data"]["reason"]),
        (&json!(2), &json!("trashed"))
    );
    let not_found = u64::from(common::error::Code::NotFound.entry().number);
    assert_eq!(
        bobs.refused("JoinRoom", json!({ "videoID": id, "afterSeq": 0 })).await,
        not_found
    );
    ann.post(&format!("/api/v1/videos/{id}/restore"), json!({}))
        .await
        .expect(200);
    let back = bobs.ok("JoinRoom", json!({ "videoID": id, "afterSeq": 1 })).await;
    let events = back["events"].as_array().unwrap();
    assert_eq!(seqs(events), [2, 3], "{back}");
    assert_eq!(events[1]["kind"], "info");
    bobs.ok("PostComment", json!({ "videoID": id, "text": "after" })).await;
    let after = bobs
        .matching("what was said after", |event| event["data"]["seq"] == 4)
        .await;
    assert_eq!(after["data"]["data"]["text"], "after");
    // For good: the room is told, and is no more.
    ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
        .await
        .expect(202);
    bobs.event("OnRoomClosed").await;
    ann.receipt(&id).await;
    assert_eq!(bobs.refused("JoinRoom", json!({ "videoID": id })).await, not_found);
    site.stop();
}
