//! The same conversation held by our own client, by tungstenite and by npm's `ws`: the same answers, frame by frame.

use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocket;
use tungstenite::{Error, Message};

use super::client::{Came, call, masked, text};
use super::knock::Knock;
use super::site::Site;

/// What is said, in order; each is answered with one frame.
fn script(room: &str) -> Vec<String> {
    let long = "x".repeat(60_000);
    vec![
        call("GetLoginStatus", "1", &json!("")),
        call("GetSelfUserInfo", "2", &json!("{}")),
        call("Login", "3", &json!("{}")),
        call("JoinRoom", "4", &json!({"videoID": room, "afterSeq": 0})),
        "not JSON".to_owned(),
        call("Nonsense", "5", &json!("ä漢🎉")),
        call(&long[..40], "6", &json!({"long": long})),
        call("CreateGroup", "7", &json!("")),
        call("LeaveRoom", "8", &json!({"videoID": room})),
        call("Logout", "9", &json!("")),
    ]
}

async fn site() -> (Site, super::api::User, String) {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    for number in 0..500 {
        site.unpublished(&room, &format!("漢字 {number}"));
    }
    (site, ann, room.to_string())
}

/// What does not differ between two runs: no times, and no counts that come by themselves.
fn comparable(frame: Value) -> Option<Value> {
    let event = frame["event"].as_str().unwrap();
    (event != "OnConnectSuccess" && event != "OnRoomMemberCount").then_some(frame)
}

async fn with_our_own(site: &Site, ann: &super::api::User, room: &str) -> Vec<Value> {
    let mut client = Knock::by(ann).enter(site.base()).await;
    let mut frames = Vec::new();
    for words in script(room) {
        client.send(&text(&words)).await;
        loop {
            let Came::Text(frame) = client.came().await else {
                panic!()
            };
            if let Some(frame) = comparable(frame) {
                frames.push(frame);
                break;
            }
        }
    }
    client.send(&masked(0x88, &1000u16.to_be_bytes())).await;
    assert_eq!(client.closed().await, 1000);
    frames
}

fn with_tungstenite(base: &str, user: &str, token: &str, room: &str) -> Vec<Value> {
    let host = base.strip_prefix("http://").unwrap();
    let request = Request::builder()
        .uri(format!("ws://{host}/ws?sendID={user}&platformID=5"))
        .header("Host", host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Authorization", format!("Bearer {token}"))
        .body(())
        .unwrap();
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(super::client::PATIENCE)).unwrap();
    let (mut socket, _) = tungstenite::client(request, stream).unwrap();
    let mut frames = Vec::new();
    for words in script(room) {
        socket.send(Message::text(words)).unwrap();
        frames.push(next(&mut socket));
    }
    socket.send(Message::Ping(b"are you there".to_vec().into())).unwrap();
    loop {
        match socket.read().unwrap() {
            Message::Pong(payload) => {
                assert_eq!(&payload[..], b"are you there");
                break;
            }
            other => assert!(other.is_text(), "{other:?}"),
        }
    }
    socket.close(None).unwrap();
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1000),
            Ok(other) => assert!(other.is_text(), "{other:?}"),
            Err(Error::ConnectionClosed) => return frames,
            Err(other) => panic!("{other}"),
        }
    }
}

fn next(socket: &mut WebSocket<TcpStream>) -> Value {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => {
                if let Some(frame) = comparable(serde_json::from_str(&text).unwrap()) {
                    return frame;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn tungstenite_has_the_same_conversation() {
    let (site, ann, room) = site().await;
    let ours = with_our_own(&site, &ann, &room).await;
    let (base, token, asked) = (site.base().to_owned(), ann.token.clone(), room.clone());
    let theirs = tokio::task::spawn_blocking(move || with_tungstenite(&base, "ann", &token, &asked));
    let theirs = theirs.await.unwrap();
    assert_eq!(ours.len(), script(&room).len());
    assert_eq!(ours, theirs);
    assert_eq!(ours[3]["data"]["events"].as_array().unwrap().len(), 500);
    site.stop().await;
}

/// Skipped where `npm ci` was not run in sdk/js.
#[actix_web::test]
async fn npm_ws_has_the_same_conversation() {
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = manifest.join("../sdk/js/node_modules");
    if !modules.join("ws").is_dir() {
        println!("skipped: npm's ws is not installed; `npm ci` in sdk/js installs it");
        return;
    }
    let (site, ann, room) = site().await;
    let ours = with_our_own(&site, &ann, &room).await;
    let mut node = Command::new("node");
    node.arg(manifest.join("tests/ws_peer.mjs"))
        .arg(modules.join("ws/wrapper.mjs"))
        .arg(format!(
            "{}/ws?sendID=ann&platformID=5",
            site.base().replacen("http", "ws", 1)
        ))
        .env("TOKEN", &ann.token)
        .env("SCRIPT", serde_json::to_string(&script(&room)).unwrap());
    let output = tokio::task::spawn_blocking(move || node.output())
        .await
        .unwrap()
        .expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let theirs: Vec<Value> = serde_json::from_value(told["frames"].clone()).unwrap();
    assert_eq!(ours, theirs);
    assert_eq!((&told["pong"], &told["code"]), (&json!("are you there"), &json!(1000)));
    site.stop().await;
}
