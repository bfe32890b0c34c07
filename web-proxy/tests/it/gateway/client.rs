//! A WebSocket client that says exactly what it is told to: over a plain socket, with every frame masked by hand. Events
//! that a test did not ask for yet are kept in their order.

use std::collections::VecDeque;
use std::time::Duration;

use common::testing::raw::Raw;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use web_proxy::gateway::frame;

/// No wait of a test is longer; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    Text(Value),
    Pong(Vec<u8>),
    /// The close frame: code and reason.
    Close(u16, String),
    /// The end of the connection.
    End,
}

/// A connection that was let in.
pub struct Client {
    pub raw: Raw,
    /// Events that came and were not asked for yet.
    pub(super) waiting: VecDeque<Value>,
    operations: u32,
    /// Writes data as a string of JSON, as OpenIM clients do.
    pub as_text: bool,
    pub pings: usize,
}

/// One frame, masked as a client must.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

pub fn text(text: &str) -> Vec<u8> {
    masked(0x81, text.as_bytes())
}

/// The frame of a call.
pub fn call(function: &str, operation: &str, data: &Value) -> String {
    json!({ "reqFuncName": function, "operationID": operation, "data": data }).to_string()
}

impl Client {
    /// Over a connection whose handshake is done.
    pub fn over(raw: Raw) -> Client {
        Client {
            raw,
            waiting: VecDeque::new(),
            operations: 0,
            as_text: false,
            pings: 0,
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.raw.send_bytes(bytes).await;
    }

    /// The same, to a server that may have closed meanwhile.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        let sent = tokio::time::timeout(PATIENCE, self.raw.io.write_all(bytes)).await;
        sent.is_ok_and(|sent| sent.is_ok())
    }

    pub async fn say(&mut self, words: &str) {
        self.send(&text(words)).await;
    }

    /// The next frame; pings are answered and counted.
    pub async fn came(&mut self) -> Came {
        loop {
            let Some(head) = self.raw.take(2).await else {
                return Came::End;
            };
            assert_eq!(head[0] & 0xF0, 0x80, "the server sends whole frames without extensions");
            assert_eq!(head[1] & 0x80, 0, "the server masks nothing");
            let Some(payload) = self.payload(head[1]).await else {
                return Came::End;
            };
            match head[0] & 0xF {
                1 => return Came::Text(serde_json::from_slice(&payload).expect("text is JSON")),
                8 => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    return Came::Close(code, String::from_utf8(payload[2..].to_vec()).unwrap());
                }
                9 => {
                    self.pings += 1;
                    self.try_send(&masked(0x8A, &payload)).await;
                }
                10 => return Came::Pong(payload),
                other => panic!("opcode {other}"),
            }
        }
    }

    async fn payload(&mut self, length: u8) -> Option<Vec<u8>> {
        let length = match length & 0x7F {
            126 => {
                let bytes = self.raw.take(2).await?;
                usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            127 => {
                let bytes: [u8; 8] = self.raw.take(8).await?.try_into().unwrap();
                u64::from_be_bytes(bytes) as usize
            }
            short => usize::from(short),
        };
        self.raw.take(length).await
    }

    /// The next text frame, whatever it says. Panics when the connection is closed.
    pub async fn next(&mut self) -> Value {
        match self.came().await {
            Came::Text(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// The next event of this name, also one that came before; others are kept.
    pub async fn event(&mut self, name: &str) -> Value {
        self.first(|value| value["event"] == name).await
    }

    /// The next event of one of a room's entries, also in batches: the entries.
    pub async fn entries(&mut self) -> Vec<Value> {
        let names = [
            "OnRecvDanmaku",
            "OnRecvComment",
            "OnMessageRevoked",
            "OnRoomInfoChanged",
            "OnRoomClosed",
        ];
        let event = self
            .first(|value| value["event"] == "OnRecvNewMessages" || names.iter().any(|name| value["event"] == *name))
            .await;
        let data = data_of(&event);
        match data {
            Value::Array(entries) => entries,
            entry => vec![entry],
        }
    }

    async fn first(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&is_wanted) {
            return self.waiting.remove(at).unwrap();
        }
        loop {
            let value = self.next().await;
            if is_wanted(&value) {
                return value;
            }
            self.waiting.push_back(value);
        }
    }

    /// Events that came so far and were not asked for.
    pub fn kept(&mut self) -> Vec<Value> {
        self.waiting.drain(..).collect()
    }

    /// Sends a call; its operation id.
    pub async fn begin(&mut self, function: &str, data: Value) -> String {
        self.operations += 1;
        let operation = format!("op-{}", self.operations);
        let data = if self.as_text {
            Value::String(data.to_string())
        } else {
            data
        };
        self.say(&call(function, &operation, &data)).await;
        operation
    }

    /// The same, to a server that may have closed meanwhile.
    pub async fn begin_or_not(&mut self, function: &str, data: Value) -> Option<String> {
        self.operations += 1;
        let operation = format!("op-{}", self.operations);
        let frame = text(&call(function, &operation, &data));
        self.try_send(&frame).await.then_some(operation)
    }

    /// The answer to a call that was begun.
    pub async fn answer(&mut self, operation: &str) -> Value {
        self.first(|value| value["operationID"] == operation).await
    }

    /// Calls and waits for the answer.
    pub async fn ask(&mut self, function: &str, data: Value) -> Value {
        let operation = self.begin(function, data).await;
        let answer = self.answer(&operation).await;
        assert_eq!(answer["event"], function);
        answer
    }

    /// The data of a call that must go well.
    pub async fn call(&mut self, function: &str, data: Value) -> Value {
        let answer = self.ask(function, data).await;
        assert_eq!(
            (&answer["errCode"], &answer["errMsg"]),
            (&json!(0), &json!("")),
            "{answer}"
        );
        data_of(&answer)
    }

    /// The errCode of a call that must be refused.
    pub async fn refused(&mut self, function: &str, data: Value) -> u64 {
        let answer = self.ask(function, data).await;
        let code = answer["errCode"].as_u64().unwrap();
        assert_ne!(code, 0, "{answer}");
        assert!(!answer["errMsg"].as_str().unwrap().is_empty(), "{answer}");
        code
    }

    pub async fn login(&mut self) {
        assert_eq!(self.call("Login", json!({})).await, "ok");
    }

    pub async fn join(&mut self, room: &common::ids::VideoId) -> Value {
        self.call("JoinRoom", json!({ "videoID": room })).await
    }

    /// Reads on to the close frame: its code. What came before is kept.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.came().await {
                Came::Text(value) => self.waiting.push_back(value),
                Came::Pong(_) => {}
                Came::Close(code, _) => return code,
                Came::End => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// Reads on to the close frame, answers it, and sees the end of the connection.
    pub async fn closed_well(&mut self) -> u16 {
        let code = self.closed().await;
        self.try_send(&masked(0x88, &code.to_be_bytes())).await;
        assert_eq!(self.came().await, Came::End);
        code
    }

    /// Says goodbye as the RFC wants it.
    pub async fn leave(mut self) {
        self.send(&masked(0x88, &1000u16.to_be_bytes())).await;
        assert_eq!(self.closed().await, u16::from(frame::CloseCode::Normal));
        assert_eq!(self.came().await, Came::End);
    }

    /// Proves that the connection lives.
    pub async fn is_alive(&mut self) {
        self.call("Ping", json!({})).await;
    }
}

/// The data of an answer or event, in either form.
pub fn data_of(frame: &Value) -> Value {
    match &frame["data"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        data => data.clone(),
    }
}

/// The numbers of entries.
pub fn seqs(entries: &[Value]) -> Vec<i64> {
    entries.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect()
}
