//! A client that says exactly what it is told to, and sees exactly what comes.
#![allow(clippy::unwrap_used, reason = "a failure is the test's")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::near;

/// No wait of a test is longer than this; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub struct Raw {
    pub io: TcpStream,
    unread: Vec<u8>,
}

/// An HTTP/1 answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and fields.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first field `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    /// Every field `name`.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let named = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim()).collect()
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {}", self.head, self.text()))
    }

    /// Panics unless this is the problem `code` with `status`, under the operation id of the answer.
    pub fn check_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{} {}", self.head, self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["operationID"].as_str(), self.header("x-request-id"));
    }
}

thread_local! {
    /// What stands for which address.
    static NEAR: RefCell<Option<(String, PathBuf)>> = const { RefCell::new(None) };
}

/// Connections go by TCP again when it is dropped.
pub struct Through(());

/// Connections of this thread to `base` go by the one Unix socket in `folder`.
#[must_use]
pub fn through(base: &str, folder: &Path) -> Through {
    let mut found = std::fs::read_dir(folder).unwrap();
    let path = found.next().expect("a socket").unwrap().path();
    assert!(found.next().is_none(), "one socket");
    NEAR.set(Some((base.to_owned(), path)));
    Through(())
}

impl Drop for Through {
    fn drop(&mut self) {
        NEAR.set(None);
    }
}

impl Raw {
    /// Connects to `http://host:port` with a receive buffer of 64 KiB, so that not reading is felt soon.
    pub async fn connect(base: &str) -> Raw {
        Raw::connect_with(base, 64 * 1024).await
    }

    /// The same with another receive buffer, in bytes. By a Unix socket where [`through`] says so; it has none.
    pub async fn connect_with(base: &str, buffer: u32) -> Raw {
        let near = NEAR.with_borrow(|near| {
            near.as_ref()
                .filter(|(far, _)| far == base)
                .map(|(_, path)| path.clone())
        });
        if let Some(path) = near {
            return Raw::over(near::connect(&path).unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(buffer).unwrap();
        let address = base.strip_prefix("http://").unwrap().parse().unwrap();
        Raw::over(socket.connect(address).await.unwrap())
    }

    #[must_use]
    pub fn over(io: TcpStream) -> Raw {
        Raw { io, unread: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let sent = tokio::time::timeout(PATIENCE, self.io.write_all(bytes)).await;
        sent.expect("the server takes it in time").unwrap();
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        self.answer().await
    }

    /// More bytes, or none at the end of the connection (a reset is an end, too).
    async fn more(&mut self) -> bool {
        self.unread.reserve(64 * 1024);
        let read = tokio::time::timeout(PATIENCE, self.io.read_buf(&mut self.unread)).await;
        read.expect("the server sends or closes in time").unwrap_or(0) > 0
    }

    /// Exactly `count` bytes, `None` when the connection ends before.
    pub async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            if !self.more().await {
                return None;
            }
        }
        Some(self.unread.drain(..count).collect())
    }

    /// Whatever is there, at least one byte; empty at the end of the connection.
    pub async fn some(&mut self) -> Vec<u8> {
        if self.unread.is_empty() {
            self.more().await;
        }
        std::mem::take(&mut self.unread)
    }

    /// Up to and including `end`, `None` when the connection ends before.
    pub async fn until(&mut self, end: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|part| part == end) {
                let taken = self.unread.drain(..at + end.len()).collect();
                return Some(String::from_utf8(taken).unwrap());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next answer with its body; panics when it is cut.
    pub async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        let (body, whole) = self.body(&answer).await;
        assert!(whole, "the body is cut after {} bytes: {}", body.len(), answer.head);
        answer.body = body;
        answer
    }

    /// The next answer's head alone: for HEAD, 304, and answers that go on.
    pub async fn head(&mut self) -> Answer {
        let head = self.until(b"\r\n\r\n").await;
        let head = head.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&self.unread)));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body: Vec::new(),
        }
    }

    /// The body that follows `head`, and whether it is whole by its own framing.
    pub async fn body(&mut self, head: &Answer) -> (Vec<u8>, bool) {
        if matches!(head.status, 204 | 304) {
            return (Vec::new(), true);
        }
        if head.header("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        match head.header("content-length").map(|text| text.parse().unwrap()) {
            Some(length) => match self.take(length).await {
                Some(body) => (body, true),
                None => (std::mem::take(&mut self.unread), false),
            },
            None => (self.rest().await, true),
        }
    }

    /// A chunked body up to its last chunk.
    pub async fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(size) = self.until(b"\r\n").await else {
                return (body, false);
            };
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let Some(chunk) = self.take(size + 2).await else {
                return (body, false);
            };
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return (body, true);
            }
        }
    }

    /// Everything until the server closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.unread)
    }
}
