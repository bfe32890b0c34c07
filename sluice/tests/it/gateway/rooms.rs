//! What is said at one page shows at the other, in order; what is taken back is gone.

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

pub fn seqs(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

/// Everything that a reader can be told about a room: its log in both ways, its comments and its danmaku.
pub async fn all_answers(person: &Person, socket: &mut Socket, video: &str) -> String {
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
