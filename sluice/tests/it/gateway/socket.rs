//! A client of the gateway, as small as one can be: the handshake by hand, masked frames, and a task that reads, so that
//! nothing of the product's own codec takes part.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::wire::{CLOSE, TEXT, length, listen, read_head, write_frame};
use crate::person::Person;

/// Longest wait for a frame that has to come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Frame(Value),
    /// The server's close frame.
    Close(u16, String),
    /// The stream ended.
    End,
}

/// One connection.
pub struct Socket {
    writer: Arc<Mutex<OwnedWriteHalf>>,
    incoming: UnboundedReceiver<(Heard, String)>,
    /// Events that came while something else was waited for.
    events: VecDeque<Value>,
    /// How the connection ended, once it did.
    ended: Option<Heard>,
    /// The text of the frame that came last.
    pub raw: String,
    reading: AbortHandle,
}

impl Drop for Socket {
    /// Cut, without a word: the reader holds the other half of the stream.
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// What a handshake brings.
pub struct Hello<'a> {
    pub base: &'a str,
    pub query: String,
    pub headers: Vec<(String, String)>,
}

impl<'a> Hello<'a> {
    /// As the page does it, with the token where it can't be logged.
    pub fn of(person: &'a Person) -> Self {
        Hello {
            base: &person.base,
            query: format!("sendID={}&platformID=5", person.username),
            headers: vec![("authorization".into(), format!("Bearer {}", person.token))],
        }
    }

    /// The connection, or the status and body of the refusal; `None` when there is nobody.
    pub async fn connect(&self) -> Option<Result<Socket, (u16, Value)>> {
        let address = self.base.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).unwrap();
        let (reader, mut writer) = stream.into_split();
        let extra: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "GET /ws?{} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n",
            self.query
        );
        writer.write_all(head.as_bytes()).await.ok()?;
        let mut reader = BufReader::new(reader);
        let answer = timeout(PATIENCE, read_head(&mut reader))
            .await
            .expect("the handshake is answered")?;
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        if status != 101 {
            let mut body = vec![0; length(&answer)];
            reader.read_exact(&mut body).await.ok()?;
            return Some(Err((status, serde_json::from_slice(&body).unwrap())));
        }
        // The example of RFC 6455 section 1.3.
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        let writer = Arc::new(Mutex::new(writer));
        let (sender, incoming) = unbounded_channel();
        let reading = tokio::spawn(listen(reader, writer.clone(), sender)).abort_handle();
        Some(Ok(Socket {
            writer,
            incoming,
            events: VecDeque::new(),
            ended: None,
            raw: String::new(),
            reading,
        }))
    }
}

impl Socket {
    /// Connected as `person`; `OnConnectSuccess` has come.
    pub async fn open(person: &Person) -> Socket {
        let connected = Hello::of(person).connect().await.expect("somebody listens");
        let mut socket = connected.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let welcome = socket.event("OnConnectSuccess").await;
        assert_eq!(welcome["username"], person.username);
        socket
    }

    /// Connected and logged in.
    pub async fn logged_in(person: &Person) -> Socket {
        let mut socket = Socket::open(person).await;
        assert_eq!(socket.ok("Login", json!({})).await, "ok");
        socket
    }

    /// Says that it ends, as a client does that leaves.
    pub async fn send_close(&self, code: u16) {
        write_frame(&self.writer, CLOSE, &code.to_be_bytes()).await;
    }

    pub async fn send_text(&self, text: &str) {
        write_frame(&self.writer, TEXT, text.as_bytes()).await;
    }

    /// What comes next, if anything comes in time.
    pub async fn hear(&mut self, for_at_most: Duration) -> Option<Heard> {
        if let Some(ended) = &self.ended {
            return Some(ended.clone());
        }
        let heard = timeout(for_at_most, self.incoming.recv()).await.ok()?;
        let (heard, raw) = heard.unwrap_or((Heard::End, String::new()));
        self.raw = raw;
        if !matches!(heard, Heard::Frame(_)) {
            self.ended = Some(heard.clone());
        }
        Some(heard)
    }

    /// Calls `name`: the whole reply.
    pub async fn call(&mut self, name: &str, data: Value) -> Value {
        self.try_call(name, data)
            .await
            .unwrap_or_else(|ended| panic!("{name} is answered, not {ended:?}"))
    }

    /// The whole reply, or how the connection ended before it came.
    pub async fn try_call(&mut self, name: &str, data: Value) -> Result<Value, Heard> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let operation = format!("e2e-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let frame = json!({ "reqFuncName": name, "operationID": operation, "data": data });
        self.send_text(&frame.to_string()).await;
        loop {
            match self
                .hear(PATIENCE)
                .await
                .unwrap_or_else(|| panic!("{name} is not answered"))
            {
                // An event bears the operation that caused it: the name tells the two apart.
                Heard::Frame(frame) if frame["operationID"] == operation.as_str() && frame["event"] == name => {
                    return Ok(frame);
                }
                Heard::Frame(frame) => self.events.push_back(frame),
                ended => return Err(ended),
            }
        }
    }

    /// The data of a reply that must be good.
    pub async fn ok(&mut self, name: &str, data: Value) -> Value {
        let reply = self.call(name, data).await;
        assert_eq!(reply["errCode"], 0, "{name}: {reply}");
        reply["data"].clone()
    }

    /// The number of a refusal.
    pub async fn refused(&mut self, name: &str, data: Value) -> u64 {
        let reply = self.call(name, data).await;
        assert_eq!(reply["data"], Value::Null, "{name}: {reply}");
        reply["errCode"].as_u64().unwrap()
    }

    /// The data of the next event called `name`; what comes before it is kept.
    pub async fn event(&mut self, name: &str) -> Value {
        self.matching(name, |event| event["event"] == name).await["data"].clone()
    }

    /// The next event that `is_it`; what comes before it is kept.
    pub async fn matching(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.events.iter().position(&is_it) {
            return self.events.remove(at).unwrap();
        }
        loop {
            match self.hear(PATIENCE).await {
                Some(Heard::Frame(event)) if is_it(&event) => return event,
                Some(Heard::Frame(event)) => self.events.push_back(event),
                other => panic!("{what} comes, not {other:?}; kept: {:?}", self.events),
            }
        }
    }

    /// The next entry of a room, whatever its kind.
    pub async fn entry(&mut self) -> Value {
        self.matching("an entry", |event| {
            event["data"]["seq"].is_u64() && event["data"]["kind"].is_string()
        })
        .await["data"]
            .clone()
    }

    /// The next `count` entries.
    pub async fn entries(&mut self, count: usize) -> Vec<Value> {
        let mut entries = Vec::new();
        while entries.len() < count {
            entries.push(self.entry().await);
        }
        entries
    }

    /// Waits for the close frame; events that come before it are kept.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.hear(PATIENCE).await {
                Some(Heard::Frame(event)) => self.events.push_back(event),
                Some(Heard::Close(code, reason)) => return (code, reason),
                other => panic!("a close frame comes, not {other:?}"),
            }
        }
    }

    /// The events that came so far and nobody asked for.
    pub fn kept(&self) -> impl Iterator<Item = &Value> {
        self.events.iter()
    }

    /// Takes those away.
    pub fn take_kept(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events).into()
    }

    /// Alive: it answers.
    pub async fn is_alive(&mut self) {
        self.ok("Ping", json!({})).await;
    }
}
