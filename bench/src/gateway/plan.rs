//! How a connection of the load client begins: the bytes it sends, what it waits for, and when it counts as ready.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use super::frame;

/// What all connections of one kind share. The bytes are made once.
#[derive(Clone)]
pub struct Plan {
    pub address: SocketAddr,
    /// The request for the upgrade.
    pub head: Vec<u8>,
    /// Whether the server speaks first (`OnConnectSuccess`).
    pub greeted: bool,
    /// The masked Login frame, where the server knows one.
    pub login: Option<Vec<u8>>,
    /// Reset as soon as it is ready, and opened again: handshakes are what is measured.
    pub hang_up: bool,
    /// SO_RCVBUF, for a reader that shall fill soon.
    pub receive_buffer: Option<usize>,
}

impl Plan {
    /// An upgrade on `path` with the session `token` (none when empty).
    pub fn new(address: SocketAddr, path: &str, token: &str) -> Plan {
        let auth = if token.is_empty() {
            String::new()
        } else {
            format!("Authorization: Bearer {token}\r\n")
        };
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{auth}\r\n"
        );
        Plan {
            address,
            head: head.into_bytes(),
            greeted: false,
            login: None,
            hang_up: false,
            receive_buffer: None,
        }
    }

    /// Waits for the greeting and logs in to `rooms`.
    pub fn login(self, rooms: &[String], batch: bool) -> Plan {
        let rooms: Vec<_> = rooms.iter().map(|room| json!({ "videoID": room })).collect();
        let login = json!({
            "reqFuncName": "Login", "operationID": "bench", "data": { "rooms": rooms }, "batchMsg": u8::from(batch),
        });
        Plan {
            greeted: true,
            login: Some(frame::masked(frame::TEXT, login.to_string().as_bytes())),
            ..self
        }
    }
}

/// The source of the `nth` connection: one address has 28,000 ports.
pub fn source(nth: usize) -> Ipv4Addr {
    let last = u8::try_from(1 + nth / 15_000).unwrap_or(254);
    Ipv4Addr::new(127, 0, 0, last)
}
