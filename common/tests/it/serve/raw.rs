//! A client that says exactly what it is told to.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// No wait in these tests is longer than this; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(15);

pub struct Raw {
    pub io: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Raw {
    /// Connects with a receive buffer of 64 KiB, so that not reading is felt soon.
    pub async fn connect(base: &str) -> Raw {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let address = base.strip_prefix("http://").unwrap().parse().unwrap();
        let io = socket.connect(address).await.unwrap();
        Raw { io, unread: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        self.answer().await
    }

    /// More bytes, or none at the end of the connection (a reset is an end, too).
    async fn more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.io.read(&mut piece)).await;
        let count = read.expect("the server sends or closes in time").unwrap_or(0);
        self.unread.extend_from_slice(&piece[..count]);
        count > 0
    }

    /// The next answer with the body that its Content-Length declares.
    pub async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.more().await, "the body is cut: {answer:?}");
        }
        answer.body = self.unread.drain(..length).collect();
        answer
    }

    /// The next answer's head alone: HEAD, 304.
    pub async fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(
                self.more().await,
                "no answer: {}",
                String::from_utf8_lossy(&self.unread)
            );
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body: Vec::new(),
        }
    }

    /// Everything until the server closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.unread)
    }

    /// Sends `text` byte by byte, one every 20 ms, until the server closes; panics when it took all of `text`.
    pub async fn drip(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.io.write_all(&[byte]).await.is_err() {
                return;
            }
            let mut answer = [0; 1024];
            match tokio::time::timeout(Duration::from_millis(20), self.io.read(&mut answer)).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(_)) | Err(_) => {}
            }
        }
        panic!("the whole head was taken, however slow");
    }
}
