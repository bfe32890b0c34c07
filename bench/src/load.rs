//! A load client that costs little beside what it measures: keep-alive connections that send one fixed request at a time
//! and read the answer by its Content-Length.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::table::percentile;

/// What one run of load saw.
pub struct Seen {
    pub requests: usize,
    /// Of the bodies.
    pub bytes: u64,
    pub elapsed: Duration,
    /// Milliseconds, sorted.
    pub latencies: Vec<f64>,
}

impl Seen {
    pub fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench run")]
        let requests = self.requests as f64;
        requests / self.elapsed.as_secs_f64()
    }

    pub fn p(&self, share: f64) -> f64 {
        percentile(&self.latencies, share)
    }
}

/// A GET of `path` with the session `token` (none when empty).
pub fn get(path: &str, token: &str) -> Vec<u8> {
    let auth = if token.is_empty() {
        String::new()
    } else {
        format!("Authorization: Bearer {token}\r\n")
    };
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{auth}\r\n").into_bytes()
}

/// Sends `request` over `connections` for `time`. Panics on an answer that is not 2xx: a fast error is no figure.
pub async fn run(address: SocketAddr, request: &[u8], connections: usize, time: Duration) -> Seen {
    let began = Instant::now();
    let each = join_all((0..connections).map(|_| one(address, request, began + time))).await;
    let elapsed = began.elapsed();
    let bytes = each.iter().map(|(_, bytes)| bytes).sum();
    let mut latencies: Vec<f64> = each.into_iter().flat_map(|(latencies, _)| latencies).collect();
    latencies.sort_by(f64::total_cmp);
    Seen {
        requests: latencies.len(),
        bytes,
        elapsed,
        latencies,
    }
}

async fn one(address: SocketAddr, request: &[u8], until: Instant) -> (Vec<f64>, u64) {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.set_nodelay(true).expect("nodelay");
    let (mut latencies, mut bytes) = (Vec::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < until {
        let began = Instant::now();
        socket.write_all(request).await.expect("the request is sent");
        bytes += answer(&mut socket, &mut buffer).await as u64;
        latencies.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    (latencies, bytes)
}

/// Reads one; gives the length of its body.
async fn answer(socket: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    loop {
        let count = socket.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(count > 0, "the connection was closed");
        filled += count;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&buffer[..head]).expect("a head is text");
        assert!(text.starts_with("HTTP/1.1 2"), "{text}");
        let length = text.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        });
        let length: usize = length.and_then(|length| length.parse().ok()).expect("a Content-Length");
        let mut left = (head + 4 + length)
            .checked_sub(filled)
            .expect("no byte more than was said");
        while left > 0 {
            let most = left.min(buffer.len());
            let count = socket.read(&mut buffer[..most]).await.expect("the rest");
            assert!(count > 0, "the connection was closed");
            left -= count;
        }
        return length;
    }
}
