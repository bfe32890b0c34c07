//! A conversation as a client written for the OpenIM server has it, word for word: the frames that npm's `open-im-sdk` 2.3
//! sends (its `wsSend`: data is a string, the user is named in every frame, `batchMsg` with the login), and what it is answered.
//! The conversation is kept in `tests/golden/openim.txt` and shown in docs/gateway.md. `UPDATE_GOLDEN=1` writes both.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::socket::{Heard, Hello, PATIENCE, Socket};
use crate::media;
use crate::person::Person;
use crate::site::Home;

/// The lines of docs/gateway.md between which the conversation stands.
const BEGIN: &str = "<!-- transcript: written by a test of sluice (UPDATE_GOLDEN=1), not by hand -->\n\n```text\n";
const END: &str = "```\n\n<!-- transcript end -->\n";

/// What is said and heard, with placeholders for what differs from one run to the next.
struct Transcript {
    socket: Socket,
    text: String,
    /// A value, and what stands for it.
    placeholders: Vec<(String, &'static str)>,
}

impl Transcript {
    fn write(&mut self, mark: char, text: &str) {
        let mut text = text.to_owned();
        for (value, placeholder) in &self.placeholders {
            text = text.replace(value, placeholder);
        }
        self.text.push_str(&format!("{mark} {}\n", without_times(&text)));
    }

    fn placeholder(&mut self, value: &Value, name: &'static str) {
        self.placeholders.push((value.as_str().unwrap().to_owned(), name));
    }

    /// The next frame that is called so. The count of a room's members comes when it will, and is left out.
    async fn hear(&mut self, name: &str) -> String {
        loop {
            match self.socket.hear(PATIENCE).await {
                Some(Heard::Frame(frame)) if frame["event"] == name => return self.socket.raw.clone(),
                Some(Heard::Frame(frame)) if frame["event"] == "OnRoomMemberCount" => {}
                other => panic!("{name} comes, not {other:?}"),
            }
        }
    }

    /// Sends what the original sends for a call, and writes down the answer.
    async fn call(&mut self, name: &str, operation: &str, data: &str, more: &str) {
        self.say(name, operation, data, more).await;
        let answer = self.hear(name).await;
        self.write('<', &answer);
    }

    async fn say(&mut self, name: &str, operation: &str, data: &str, more: &str) {
        let data = serde_json::to_string(data).unwrap();
        let call = format!(r#""reqFuncName":"{name}","operationID":"{operation}","userID":"mira","data":{data}"#);
        let frame = format!("{{{call}{more}}}");
        self.write('>', &frame);
        self.socket.send_text(&frame).await;
    }

    async fn event(&mut self, name: &str) {
        let event = self.hear(name).await;
        self.write('<', &event);
    }
}

/// `2026-11-21T08:00:00.123Z` is `<time>`.
fn without_times(text: &str) -> String {
    let is_time = |rest: &str| {
        let shape = rest.get(..11).is_some_and(|day| {
            day.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                10 => byte == b'T',
                _ => byte.is_ascii_digit(),
            })
        });
        shape.then(|| rest.find('Z')).flatten().filter(|end| *end < 32)
    };
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if let Some(end) = is_time(rest) {
            out.push_str("<time>");
            rest = &rest[end + 1..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn golden(name: &str, made: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file(name), made).unwrap();
    }
    let kept = std::fs::read_to_string(file(name)).unwrap_or_default();
    assert!(
        kept == made,
        "{name} is not what happens: UPDATE_GOLDEN=1 writes it; what happens is\n{made}"
    );
}

async fn conversation(mira: &Person, video: &str) -> String {
    let query = format!("sendID=mira&token={}&platformID=5&operationID=open-1", mira.token);
    let hello = Hello {
        base: &mira.base,
        query: query.clone(),
        headers: Vec::new(),
    };
    let socket = hello
        .connect()
        .await
        .unwrap()
        .unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let me = mira.get("/api/v1/users/me").await.expect(200);
    let mut t = Transcript {
        socket,
        text: String::new(),
        placeholders: vec![(mira.token.clone(), "<token>"), (video.to_owned(), "<videoID>")],
    };
    t.placeholder(&me["id"], "<userID>");
    t.write('>', &format!("GET /ws?{query}"));
    t.write('<', "101 Switching Protocols");
    t.event("OnConnectSuccess").await;
    let login = format!(r#"{{"userID":"mira","token":"{}"}}"#, mira.token);
    t.call("Login", "login-2", &login, r#","batchMsg":0"#).await;
    t.call("GetLoginStatus", "status-3", "", "").await;
    t.call("GetLoginUser", "user-4", "", "").await;
    t.call("GetSelfUserInfo", "self-5", "", "").await;
    // What a video platform has no use for, what nobody has, and what it takes in another shape.
    t.call("GetFriendList", "friends-6", "", "").await;
    t.call("NoSuchFunction", "what-7", "", "").await;
    t.call("GetUsersInfo", "users-8", r#"["mira"]"#, "").await;
    // The functions of this platform, in the same frames.
    let room = json!({ "videoID": video }).to_string();
    t.call("JoinRoom", "join-9", &room, "").await;
    send_danmaku(
        &mut t,
        &format!(r#"{{"videoID":"{video}","text":"前方高能","atMs":640}}"#),
    )
    .await;
    t.call("Logout", "logout-11", "", "").await;
    t.call("GetSelfUserInfo", "self-12", "", "").await;
    t.write('>', "close 1000");
    t.socket.send_close(1000).await;
    let end = t.socket.hear(PATIENCE).await;
    assert_eq!(end, Some(Heard::Close(1000, String::new())));
    t.write('<', "close 1000");
    t.text
}

/// Says something. The answer to it and the event about it come in either order; the answer is written down first.
async fn send_danmaku(t: &mut Transcript, data: &str) {
    t.say("SendDanmaku", "say-10", data, "").await;
    let (mut answer, mut event) = (None, None);
    while answer.is_none() || event.is_none() {
        match t.socket.hear(PATIENCE).await {
            Some(Heard::Frame(heard)) if heard["event"] == "SendDanmaku" => {
                let data: Value = serde_json::from_str(heard["data"].as_str().unwrap()).unwrap();
                t.placeholder(&data["id"], "<danmakuID>");
                answer = Some(t.socket.raw.clone());
            }
            Some(Heard::Frame(heard)) if heard["event"] == "OnRecvDanmaku" => event = Some(t.socket.raw.clone()),
            Some(Heard::Frame(heard)) if heard["event"] == "OnRoomMemberCount" => {}
            other => panic!("an answer and an event come, not {other:?}"),
        }
    }
    for text in [answer, event].into_iter().flatten() {
        t.write('<', &text);
    }
}

#[tokio::test]
async fn a_client_written_for_openim_gets_the_frames_it_knows() {
    let home = Home::new();
    let site = home.serve(&[]);
    let mira = Person::register(&site.base, "mira").await;
    let video = mira
        .publish("A room", &media::clip("ordinary/testvid_1022ms.mp4"))
        .await;
    let text = conversation(&mira, &video).await;
    site.stop();
    golden("sluice/tests/golden/openim.txt", &text);
    let page = std::fs::read_to_string(file("docs/gateway.md")).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("docs/gateway.md has a place for the conversation");
    let (_, after) = rest.split_once(END).expect("the place for the conversation ends");
    golden("docs/gateway.md", &format!("{before}{BEGIN}{text}{END}{after}"));
}
