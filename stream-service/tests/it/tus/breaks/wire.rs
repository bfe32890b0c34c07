//! Requests of both protocols as bytes, so that they can be cut anywhere.

use common::testing::raw::{Answer, Raw};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Tus,
    Draft,
}

/// How the bytes of a request are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Declared,
    Chunked,
}

impl Speech {
    fn greeting(self) -> &'static str {
        match self {
            Self::Tus => "Tus-Resumable: 1.0.0",
            Self::Draft => "Upload-Draft-Interop-Version: 8",
        }
    }

    pub fn head(self, method: &str, path: &str, token: &str, more: &str) -> String {
        let greeting = self.greeting();
        format!("{method} {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n{greeting}\r\n{more}\r\n")
    }

    /// Fields of a creation without bytes. In the draft the length may stay unknown.
    pub fn creation(self, length: Option<usize>) -> String {
        let length = length.map(|length| format!("Upload-Length: {length}\r\n"));
        match self {
            Self::Tus => length.unwrap_or_else(|| "Upload-Defer-Length: 1\r\n".into()) + "Content-Length: 0\r\n",
            Self::Draft => length.unwrap_or_default() + "Upload-Complete: ?0\r\nContent-Length: 0\r\n",
        }
    }

    /// Fields of an append; `total`: these bytes are the last ones of so many.
    pub fn append(self, at: usize, total: Option<usize>) -> String {
        match (self, total) {
            (Self::Tus, total) => {
                let length = total.map(|total| format!("Upload-Length: {total}\r\n"));
                let length = length.unwrap_or_default();
                format!("Content-Type: application/offset+octet-stream\r\nUpload-Offset: {at}\r\n{length}")
            }
            (Self::Draft, total) => {
                let last = if total.is_some() { "?1" } else { "?0" };
                format!(
                    "Content-Type: application/partial-upload\r\nUpload-Offset: {at}\r\nUpload-Complete: {last}\r\n"
                )
            }
        }
    }
}

impl Framing {
    pub fn field(self, length: usize) -> String {
        match self {
            Self::Declared => format!("Content-Length: {length}\r\n"),
            Self::Chunked => "Transfer-Encoding: chunked\r\n".into(),
        }
    }

    /// The body as it goes over the wire.
    pub fn body(self, bytes: &[u8]) -> Vec<u8> {
        if self == Self::Declared {
            return bytes.to_vec();
        }
        let mut body = Vec::with_capacity(bytes.len() + 1024);
        for chunk in bytes.chunks(40_000) {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        body
    }
}

/// A connection, if there is somebody.
pub async fn connect(base: &str) -> Option<Raw> {
    let io = TcpStream::connect(base.strip_prefix("http://").unwrap()).await;
    io.ok().map(Raw::over)
}

/// `false` when the connection ends before.
pub async fn send(raw: &mut Raw, bytes: &[u8]) -> bool {
    raw.io.write_all(bytes).await.is_ok()
}

/// The answer, `None` when the connection ends before it does.
pub async fn answer(raw: &mut Raw, to_head: bool) -> Option<Answer> {
    loop {
        let head = raw.until(b"\r\n\r\n").await?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = Vec::new();
        let mut answer = Answer { status, head, body };
        if status < 200 {
            continue;
        }
        if !to_head {
            let (body, whole) = raw.body(&answer).await;
            if !whole {
                return None;
            }
            answer.body = body;
        }
        return Some(answer);
    }
}

pub fn offset(answer: &Answer) -> Option<usize> {
    answer.header("upload-offset")?.parse().ok()
}
