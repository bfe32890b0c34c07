//! Messages handed in over HTTP, the way each server takes them, on one blocking keep-alive connection per speaker.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::latency;

/// How a server takes messages.
#[derive(Clone)]
pub enum Way {
    /// The product's own API: a comment, stored in the database before it is answered.
    Comment { token: String },
    /// `ws.mjs`: makes the frame and numbers it.
    Text,
    /// nchan passes on what it is given: the speaker makes the frame and numbers it.
    Frame { numbers: Arc<AtomicU32> },
}

/// Somebody who says things in one room.
pub struct Speaker {
    stream: TcpStream,
    address: SocketAddr,
    room: String,
    way: Way,
    answer: Vec<u8>,
}

impl Speaker {
    pub fn new(address: SocketAddr, room: &str, way: Way) -> Speaker {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("nodelay");
        Speaker {
            stream,
            address,
            room: room.to_owned(),
            way,
            answer: vec![0; 64 * 1024],
        }
    }

    /// Says a text of `length` bytes that bears the time, and waits for the answer.
    pub fn say(&mut self, length: usize) {
        let text = latency::text(length);
        let room = &self.room;
        let (path, auth, body) = match &self.way {
            Way::Comment { token } => (
                format!("/api/v1/videos/{room}/comments"),
                format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"),
                json!({ "text": text }).to_string(),
            ),
            Way::Text => (format!("/publish/{room}"), String::new(), text),
            Way::Frame { numbers } => {
                let seq = numbers.fetch_add(1, Ordering::Relaxed) + 1;
                (format!("/pub?id={room}"), String::new(), frame(room, seq, &text))
            }
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{auth}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream
            .write_all((head + &body).as_bytes())
            .expect("the message is sent");
        self.answered();
    }

    fn answered(&mut self) {
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.answer[filled..]).expect("an answer");
            assert!(count > 0, "the server closed the connection");
            filled += count;
            let text = String::from_utf8_lossy(&self.answer[..filled]);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            assert!(head.starts_with("HTTP/1.1 20"), "{text}");
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).expect("a Content-Length");
            if body.len() >= length {
                return;
            }
        }
    }
}

/// Says `count` texts of `length` bytes on a thread of its own, `per_second` of them (as fast as answers come when 0).
pub fn keep_saying(mut speaker: Speaker, count: usize, length: usize, per_second: u32) -> JoinHandle<Duration> {
    let began = Instant::now();
    let gap = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
    std::thread::spawn(move || {
        for nth in 0..u32::try_from(count).expect("not so many") {
            if let Some(early) = (began + gap * nth).checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            speaker.say(length);
        }
        began.elapsed()
    })
}

/// The frame that Sluice makes of a comment, for peers that make none themselves: the same bytes go to every subscriber.
pub fn frame(room: &str, seq: u32, text: &str) -> String {
    let at = "2026-11-21T08:00:00.000000Z";
    let id = "019aa5f0-0000-7000-8000-000000000000";
    let comment = json!({
        "id": id, "text": text, "parentId": null, "author": { "username": "ann", "displayName": "ann" }, "createdAt": at,
    });
    let entry = json!({
        "videoID": room, "seq": seq, "kind": "comment", "at": at, "operationID": id, "data": comment,
    });
    json!({ "event": "OnRecvComment", "errCode": 0, "errMsg": "", "data": entry, "operationID": id }).to_string()
}
