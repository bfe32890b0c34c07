//! The client's side of the NATS protocol (docs.nats.io, "Client Protocol"), apart from its socket: lines that end in CRLF, and
//! payloads whose length is in their line. What a broker sends is counted, not believed.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use serde::{Deserialize, Serialize};

/// Longest line of a broker, in bytes: INFO names the servers of its cluster. (Its own limit for clients' lines is 4 KiB.)
const MAX_LINE: usize = 64 * 1024;

/// Largest message taken in, in bytes. Ours are 300 as a rule and 20,000 at most; one that no queue here would keep is passed
/// over, and its listeners are told.
pub const MAX_MESSAGE: usize = super::super::local::QUEUE_BYTES;

/// What a broker says.
#[derive(Debug, PartialEq, Eq)]
pub enum Op {
    Info(Box<ServerInfo>),
    Message {
        sid: u64,
        payload: Arc<[u8]>,
    },
    /// A message that was larger than [`MAX_MESSAGE`].
    PassedOver {
        sid: u64,
    },
    Ping,
    Pong,
    Ok,
    Error(String),
}

/// What we need to know of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerInfo {
    #[serde(default)]
    pub version: String,
    /// 1: it knows that we don't want our own messages back.
    #[serde(default)]
    pub proto: i64,
    pub max_payload: usize,
    #[serde(default)]
    pub tls_required: bool,
    /// It is going to stop; there may be others.
    #[serde(default, rename = "ldm")]
    pub lame_duck: bool,
}

/// What we say first.
#[derive(Debug, Serialize)]
pub struct Connect<'a> {
    pub verbose: bool,
    pub pedantic: bool,
    pub tls_required: bool,
    pub lang: &'a str,
    pub version: &'a str,
    pub name: &'a str,
    pub protocol: u8,
    /// Our own messages went to our own listeners already.
    pub echo: bool,
    /// Those of others come without.
    pub headers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<&'a str>,
}

/// What the other side sent is not this protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not speak the NATS protocol ({0})")]
pub struct NotNats(&'static str);

/// Cuts what came in into [`Op`]s.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes of a payload, with its CRLF, that are still to be passed over.
    skip: usize,
    /// Searched already for the end of a line.
    searched: usize,
}

impl Parser {
    /// The next of `bytes`, which is taken from there; `None` until more has come in.
    pub fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Op>, NotNats> {
        let skipped = self.skip.min(bytes.len());
        bytes.advance(skipped);
        self.skip -= skipped;
        if self.skip > 0 {
            return Ok(None);
        }
        let Some(at) = bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = bytes.len();
            if bytes.len() > MAX_LINE {
                return Err(NotNats("a line without end"));
            }
            return Ok(None);
        };
        let end = self.searched + at;
        let line = bytes[..end]
            .strip_suffix(b"\r")
            .ok_or(NotNats("a line ends without CR"))?;
        let line = std::str::from_utf8(line).map_err(|_| NotNats("a line that is no text"))?;
        let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let op = match name.to_ascii_uppercase().as_str() {
            "MSG" => return self.message(end + 1, head_of(rest)?, bytes),
            "PING" => Op::Ping,
            "PONG" => Op::Pong,
            "+OK" => Op::Ok,
            "-ERR" => Op::Error(rest.trim().trim_matches('\'').to_owned()),
            "INFO" => Op::Info(serde_json::from_str(rest).map_err(|_| NotNats("an INFO that can't be read"))?),
            _ => return Err(NotNats("an unknown operation")),
        };
        self.consume(bytes, end + 1);
        Ok(Some(op))
    }

    /// A message whose line is `line` bytes long, once all of it is there.
    fn message(
        &mut self,
        line: usize,
        (sid, length): (u64, usize),
        bytes: &mut BytesMut,
    ) -> Result<Option<Op>, NotNats> {
        if length > MAX_MESSAGE {
            self.consume(bytes, line);
            self.skip = length.checked_add(2).ok_or(NotNats("a length that can't be"))?;
            return Ok(Some(Op::PassedOver { sid }));
        }
        let whole = line + length + 2;
        if bytes.len() < whole {
            bytes.reserve(whole - bytes.len());
            // The line is read again then; it is short.
            self.searched = line - 1;
            return Ok(None);
        }
        if &bytes[line + length..whole] != b"\r\n" {
            return Err(NotNats("a payload without end"));
        }
        let payload = Arc::from(&bytes[line..line + length]);
        self.consume(bytes, whole);
        Ok(Some(Op::Message { sid, payload }))
    }

    fn consume(&mut self, bytes: &mut BytesMut, count: usize) {
        bytes.advance(count);
        self.searched = 0;
    }
}

/// Subscription and length of `subject sid [reply-to] length`.
fn head_of(rest: &str) -> Result<(u64, usize), NotNats> {
    let wrong = NotNats("a message's line that can't be read");
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(5).collect();
    let (sid, length) = match fields.as_slice() {
        [_, sid, length] | [_, sid, _, length] => (sid, length),
        _ => return Err(wrong),
    };
    match (sid.parse(), length.parse()) {
        (Ok(sid), Ok(length)) => Ok((sid, length)),
        _ => Err(wrong),
    }
}

/// Appends operations to what is to be written.
pub struct Writer<'a>(pub &'a mut BytesMut);

impl Writer<'_> {
    pub fn connect(&mut self, connect: &Connect<'_>) {
        let text = serde_json::to_string(connect).expect("plain data");
        self.line(format_args!("CONNECT {text}"));
    }

    pub fn subscribe(&mut self, subject: &str, sid: u64) {
        self.line(format_args!("SUB {subject} {sid}"));
    }

    pub fn unsubscribe(&mut self, sid: u64) {
        self.line(format_args!("UNSUB {sid}"));
    }

    pub fn publish(&mut self, subject: &str, payload: &[u8]) {
        self.line(format_args!("PUB {subject} {}", payload.len()));
        self.0.extend_from_slice(payload);
        self.0.extend_from_slice(b"\r\n");
    }

    pub fn ping(&mut self) {
        self.line(format_args!("PING"));
    }

    pub fn pong(&mut self) {
        self.line(format_args!("PONG"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        std::fmt::Write::write_fmt(self.0, line).expect("memory takes any text");
        self.0.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::rngs::StdRng;

    use super::*;

    fn all(input: &[u8]) -> Result<Vec<Op>, NotNats> {
        let (mut parser, mut bytes, mut ops) = (Parser::default(), BytesMut::from(input), Vec::new());
        while let Some(op) = parser.next(&mut bytes)? {
            ops.push(op);
        }
        Ok(ops)
    }

    fn message(sid: u64, payload: &[u8]) -> Op {
        Op::Message {
            sid,
            payload: payload.into(),
        }
    }

    #[test]
    fn what_a_broker_says() {
        let check = |input: &str, expected: Vec<Op>| assert_eq!(all(input.as_bytes()), Ok(expected), "{input:?}");
        check("PING\r\n", vec![Op::Ping]);
        check("PONG\r\nping\r\n+OK\r\n", vec![Op::Pong, Op::Ping, Op::Ok]);
        check(
            "-ERR 'Authorization Violation'\r\n",
            vec![Op::Error("Authorization Violation".into())],
        );
        check("MSG a.b 7 5\r\nhello\r\n", vec![message(7, b"hello")]);
        check(
            "MSG a.b 7 _INBOX.1 2\r\n\r\n\r\nPONG\r\n",
            vec![message(7, b"\r\n"), Op::Pong],
        );
        check("MSG\ta 1 0\r\n\r\n", vec![message(1, b"")]);
        check("MSG a 1 5\r\nhel", vec![]);
        check("PIN", vec![]);
        let info = ServerInfo {
            version: "2.9.10".into(),
            proto: 1,
            max_payload: 1024,
            tls_required: false,
            lame_duck: true,
        };
        check(
            "INFO {\"server_id\":\"N\",\"version\":\"2.9.10\",\"proto\":1,\"max_payload\":1024,\"ldm\":true} \r\n",
            vec![Op::Info(Box::new(info))],
        );
    }

    #[test]
    fn what_is_not_nats() {
        for input in [
            "HTTP/1.1 400 Bad Request\r\n",
            "PING\n",
            "MSG a 1\r\n",
            "MSG a b c\r\n",
            "MSG a 1 -5\r\n",
            "MSG a 1 2 3 4\r\n",
            "MSG a 1 2\r\nabc\r\n",
            "INFO {}\r\n",
            "INFO\r\n",
            "HMSG a 1 2 3\r\n",
            "\r\n",
            "MSG a 1 18446744073709551615\r\n",
        ] {
            assert!(all(input.as_bytes()).is_err(), "{input:?}");
        }
        assert!(all(&[b'x'; MAX_LINE + 1]).is_err());
        assert!(all(b"\xff\r\n").is_err());
    }

    #[test]
    fn a_message_that_is_too_large_is_passed_over_and_keeps_nothing() {
        let (mut parser, mut bytes) = (Parser::default(), BytesMut::new());
        let length = MAX_MESSAGE * 3;
        bytes.extend_from_slice(format!("MSG a 9 {length}\r\n").as_bytes());
        assert_eq!(parser.next(&mut bytes), Ok(Some(Op::PassedOver { sid: 9 })));
        let mut left = length + 2;
        while left > 0 {
            let piece = left.min(100_000);
            bytes.extend_from_slice(&vec![b'\n'; piece]);
            left -= piece;
            assert_eq!(parser.next(&mut bytes), Ok(None));
            assert!(bytes.is_empty());
        }
        bytes.extend_from_slice(b"PING\r\n");
        assert_eq!(parser.next(&mut bytes), Ok(Some(Op::Ping)));
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let mut dice: StdRng = rand::make_rng();
        for _ in 0..300 {
            let (mut input, mut expected) = (Vec::new(), Vec::new());
            for _ in 0..dice.random_range(1..20) {
                if dice.random_bool(0.3) {
                    input.extend_from_slice(b"PING\r\n");
                    expected.push(Op::Ping);
                    continue;
                }
                let payload: Vec<u8> = (0..dice.random_range(0..200)).map(|_| dice.random()).collect();
                let sid = dice.random();
                input.extend_from_slice(format!("MSG some.subject {sid} {}\r\n", payload.len()).as_bytes());
                input.extend_from_slice(&payload);
                input.extend_from_slice(b"\r\n");
                expected.push(message(sid, &payload));
            }
            let (mut parser, mut bytes, mut ops) = (Parser::default(), BytesMut::new(), Vec::new());
            let mut rest = input.as_slice();
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(dice.random_range(1..=rest.len().min(64)));
                bytes.extend_from_slice(piece);
                rest = later;
                while let Some(op) = parser.next(&mut bytes).unwrap() {
                    ops.push(op);
                }
            }
            assert_eq!(ops, expected);
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn bytes_of_chance_never_panic() {
        let mut dice: StdRng = rand::make_rng();
        for _ in 0..20_000 {
            let mut input = b"MSG a 1 3\r\nabc\r\nINFO {\"max_payload\":1}\r\n-ERR 'x'\r\n".to_vec();
            for _ in 0..dice.random_range(1..6) {
                let at = dice.random_range(0..input.len());
                input[at] = dice.random();
            }
            drop(all(&input));
        }
    }
}
