//! What is said at one page shows at the other, in order; what is taken back is gone; who may not see the video is put out.

use reqwest::Method;
use serde_json::{Value, json};

use super::socket::{Heard, PATIENCE, Socket};
use crate::media;
use crate::person::Person;
use crate::site::{Home, Site};

/// Two people and a video of the first.
pub async fn couple(site: &Site) -> (Person, Person, String) {
    let ann = Person::register(&site.base, "ann").await;
    let bob = Person::register(&site.base, "bob").await;
    let id = ann.publish("A room", &media::clip("ordinary/testvid_1022ms.mp4")).await;
    (ann, bob, id)
}

fn seqs(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

/// Everything that a reader can be told about a room: its log in both ways, its comments and its danmaku.
async fn all_answers(person: &Person, socket: &mut Socket, video: &str) -> String {
    let join = socket.ok("JoinRoom", json!({ "videoID": video, "afterSeq": 0 })).await;
    let comments = socket
        .ok("ListComments", json!({ "videoID": video, "limit": 100 }))
        .await;
    let danmaku = socket
        .ok("ListDanmaku", json!({ "videoID": video, "limit": 500 }))
        .await;
    let mut answers = vec![join, comments, danmaku];
    for what in ["events?limit=1000", "comments?limit=100", "danmaku?limit=500"] {
        answers.push(person.get(&format!("/api/v1/videos/{video}/{what}")).await.expect(200));
    }
    Value::Array(answers).to_string()
}

async fn talk(site: &Site) {
    let (ann, bob, id) = couple(site).await;
    let (mut anns, mut bobs) = (Socket::logged_in(&ann).await, Socket::logged_in(&bob).await);
    let joined = anns.ok("JoinRoom", json!({ "videoID": id })).await;
    assert_eq!((&joined["events"], &joined["complete"]), (&json!([]), &json!(true)));
    assert_eq!(joined["seq"], 0, "nothing has been said yet: {joined}");
    assert_eq!(bobs.ok("JoinRoom", json!({ "videoID": id })).await["memberCount"], 2);

    // Three ways to say something, and both hear all of it, who said it too.
    let danmaku = json!({ "videoID": id, "text": "first!", "atMs": 250, "color": "#ff0000", "mode": "top" });
    let danmaku = bobs.ok("SendDanmaku", danmaku).await;
    let comment = anns
        .ok("PostComment", json!({ "videoID": id, "text": "by socket" }))
        .await;
    let over_http = bob
        .post(&format!("/api/v1/videos/{id}/comments"), json!({ "text": "over HTTP" }))
        .await;
    let over_http = over_http.expect(201);
    for socket in [&mut anns, &mut bobs] {
        let heard = socket.entries(3).await;
        assert_eq!(seqs(&heard), [1, 2, 3]);
        assert_eq!(
            heard.iter().map(|entry| &entry["kind"]).collect::<Vec<_>>(),
            ["danmaku", "comment", "comment"]
        );
        assert_eq!([&heard[0]["data"], &heard[1]["data"]], [&danmaku, &comment]);
        assert_eq!(heard[2]["data"], over_http);
        assert!(heard.iter().all(|entry| entry["videoID"] == id.as_str()), "{heard:?}");
    }

    // Taken back: by its author over the socket, by the owner of the video over HTTP.
    anns.ok("DeleteComment", json!({ "commentID": comment["id"] })).await;
    let danmaku_id = danmaku["id"].as_str().unwrap();
    ann.delete(&format!("/api/v1/danmaku/{danmaku_id}")).await.expect(204);
    for socket in [&mut anns, &mut bobs] {
        let heard = socket.entries(2).await;
        assert_eq!(seqs(&heard), [4, 5]);
        let gone = |id: &Value, kind: &str, seq: u64| json!({ "id": id, "kind": kind, "seq": seq });
        assert_eq!(heard[0]["data"], gone(&comment["id"], "comment", 2));
        assert_eq!(heard[1]["data"], gone(&danmaku["id"], "danmaku", 1));
        assert!(socket.kept().all(|event| event["event"] == "OnRoomMemberCount"));
    }
    let mut carol = Socket::logged_in(&bob).await;
    for (person, socket) in [(&ann, &mut anns), (&bob, &mut carol)] {
        let answers = all_answers(person, socket, &id).await;
        assert!(answers.contains("over HTTP"), "{answers}");
        for gone in ["first!", "by socket"] {
            assert!(!answers.contains(gone), "{gone} is gone from every answer: {answers}");
        }
    }

    // A title is told, too; and nobody who left hears it.
    assert_eq!(bobs.ok("LeaveRoom", json!({ "videoID": id })).await["videoID"], id);
    anns.ok("UpdateVideo", json!({ "videoID": id, "title": "Renamed" }))
        .await;
    let renamed = anns.entry().await;
    assert_eq!((&renamed["kind"], &renamed["seq"]), (&json!("info"), &json!(6)));
    assert_eq!(renamed["data"]["title"], "Renamed");
    bobs.is_alive().await;
    assert!(bobs.kept().all(|event| event["event"] == "OnRoomMemberCount"));
}

#[tokio::test]
async fn two_pages_of_one_video_hear_each_other_embedded() {
    let home = Home::new();
    let site = home.serve(&[]);
    talk(&site).await;
    site.stop();
}

/// Without a bus between the processes the gateway asks how far its rooms are; what is said arrives all the same.
#[tokio::test]
async fn promise_17_two_pages_of_one_video_hear_each_other_in_four_processes() {
    let home = Home::new();
    let site = home.roles(&[]);
    talk(&site).await;
    site.stop();
}

#[tokio::test]
async fn an_event_bears_the_operation_that_caused_it_and_a_reply_goes_to_who_asked() {
    let home = Home::new();
    let site = home.serve(&[]);
    let (ann, bob, id) = couple(&site).await;
    let (mut anns, mut bobs) = (Socket::logged_in(&ann).await, Socket::logged_in(&bob).await);
    for socket in [&mut anns, &mut bobs] {
        socket.ok("JoinRoom", json!({ "videoID": id })).await;
    }
    let frame = json!({ "reqFuncName": "PostComment", "operationID": "mine", "data": { "videoID": id, "text": "hi" } });
    bobs.send_text(&frame.to_string()).await;
    let reply = bobs
        .matching("the reply", |frame| frame["event"] == "PostComment")
        .await;
    assert_eq!((&reply["errCode"], &reply["operationID"]), (&json!(0), &json!("mine")));
    for socket in [&mut anns, &mut bobs] {
        let event = socket
            .matching("the event", |frame| frame["event"] == "OnRecvComment")
            .await;
        assert_eq!(
            (&event["operationID"], &event["data"]["operationID"]),
            (&json!("mine"), &json!("mine"))
        );
        assert_eq!(event["data"]["data"], reply["data"]);
    }
    anns.is_alive().await;
    assert!(
        anns.kept().all(|event| event["event"] != "PostComment"),
        "a reply is for who asked"
    );
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

/// Data comes as strings to who writes strings, and as arrays of all kinds to who asked for batches.
#[tokio::test]
async fn clients_get_entries_in_the_form_they_asked_for() {
    let home = Home::new();
    let site = home.serve(&["api.posts_per_second=1000", "api.post_burst=1000"]);
    let (ann, bob, id) = couple(&site).await;
    let (mut plain, mut batch) = (Socket::logged_in(&ann).await, Socket::open(&bob).await);
    plain.ok("JoinRoom", json!({ "videoID": id })).await;
    let login = json!({ "rooms": [{ "videoID": id, "afterSeq": 0 }] }).to_string();
    let login = json!({ "reqFuncName": "Login", "operationID": "in", "data": login, "batchMsg": 1 });
    batch.send_text(&login.to_string()).await;
    let reply = batch.matching("the login", |frame| frame["event"] == "Login").await;
    let rooms: Value = serde_json::from_str(reply["data"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&rooms["rooms"][0]["errCode"], &rooms["rooms"][0]["seq"]),
        (&json!(0), &json!(0))
    );
    for n in 0..100 {
        let path = format!("/api/v1/videos/{id}/danmaku");
        ann.post(&path, json!({ "text": format!("\"{n}\" <b>弹幕</b>\n"), "atMs": n }))
            .await
            .expect(201);
    }
    let singly = plain.entries(100).await;
    let mut batched: Vec<Value> = Vec::new();
    while batched.len() < 100 {
        let event = batch
            .matching("a batch", |frame| frame["event"] == "OnRecvNewMessages")
            .await;
        batched.extend(serde_json::from_str::<Vec<Value>>(event["data"].as_str().unwrap()).unwrap());
    }
    assert_eq!(singly, batched, "the same entries in the same order");
    assert_eq!(seqs(&singly), (1..=100).collect::<Vec<u64>>());
    site.stop();
}

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

/// A room counts connections, on whichever thread of the gateway they are.
#[tokio::test]
async fn everybody_is_told_how_many_are_there() {
    let home = Home::new();
    let site = home.serve(&["gateway.workers=3"]);
    let (ann, bob, id) = couple(&site).await;
    let mut first = Socket::logged_in(&ann).await;
    first.ok("JoinRoom", json!({ "videoID": id })).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        let mut socket = Socket::logged_in(&bob).await;
        socket.ok("JoinRoom", json!({ "videoID": id })).await;
        others.push(socket);
    }
    let counts =
        |count: u64| move |frame: &Value| frame["event"] == "OnRoomMemberCount" && frame["data"]["count"] == count;
    first.matching("all six are counted", counts(6)).await;
    assert_eq!(
        first.ok("GetRoomMemberCount", json!({ "videoID": id })).await["count"],
        6
    );
    first.take_kept();
    drop(others);
    first.matching("they have left", counts(1)).await;
    assert_eq!(
        first.ok("GetRoomMemberCount", json!({ "videoID": id })).await["count"],
        1
    );
    site.stop();
}

/// A client that floods is told to wait, then put out; its neighbours hear each other as before.
#[tokio::test]
async fn a_flood_is_closed_with_4429_and_nobody_else_notices() {
    let home = Home::new();
    let site = home.serve(&[]);
    let (ann, bob, id) = couple(&site).await;
    let (mut anns, mut flood) = (Socket::logged_in(&ann).await, Socket::logged_in(&bob).await);
    anns.ok("JoinRoom", json!({ "videoID": id })).await;
    for n in 0..2_000 {
        flood
            .send_text(&json!({ "reqFuncName": "GetLoginStatus", "operationID": format!("f{n}") }).to_string())
            .await;
    }
    let mut refused = 0;
    let code = loop {
        match flood.hear(PATIENCE).await {
            Some(Heard::Frame(reply)) if reply["errCode"] != 0 => refused += 1,
            Some(Heard::Frame(_)) => {}
            Some(Heard::Close(code, _)) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4429);
    assert!(refused > 0, "it was told before");
    anns.ok("PostComment", json!({ "videoID": id, "text": "quiet here" }))
        .await;
    assert_eq!(anns.entry().await["data"]["text"], "quiet here");
    site.stop();
}
