//! Bodies that go from socket to socket inside the kernel: the same bytes, ends and failures as by copying.

mod bytes;
mod clients;
mod near;
mod odd;
mod pool;
mod process;
mod services;

use std::sync::LazyLock;
use std::time::Duration;

use common::testing::raw::{Answer, Raw};
use common::testing::{Running, eventually};

use crate::upstream::{Call, Seen, Upstream};

/// A length that no first read and no pipe takes at once.
pub const LONG: usize = 5_000_000;

/// The file that every service of these tests has, up to `length`: random bytes that repeat after a prime number of them,
/// so that bytes of another place don't look right.
pub fn content(length: usize) -> Vec<u8> {
    static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..1_000_003).map(|_| next()).collect()
    });
    let mut all = Vec::with_capacity(length);
    while all.len() < length {
        all.extend_from_slice(&BLOCK[..BLOCK.len().min(length - all.len())]);
    }
    all
}

pub fn get(length: usize) -> String {
    get_below("/media/g/v", length)
}

pub fn get_below(folder: &str, length: usize) -> String {
    format!("GET {folder}/{length} HTTP/1.1\r\nHost: t\r\n\r\n")
}

/// The length that a request for [`get`] asks for; 0 for the edge's health checks.
pub fn asked(target: &str) -> usize {
    let length = target.rsplit('/').next().unwrap();
    if length == "readyz" { 0 } else { length.parse().unwrap() }
}

/// A service that sends the content in the length that the path names.
pub async fn files() -> Upstream {
    Upstream::new(serve_files).await
}

pub async fn serve_files(mut call: Call) {
    while let Some(seen) = call.head().await {
        serve_file(&mut call, &seen).await;
    }
}

pub async fn serve_file(call: &mut Call, seen: &Seen) {
    let length = asked(seen.target());
    call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))
        .await;
    call.give(&content(length)).await;
}

/// Panics unless `answer` has the content and its own framing.
pub fn check(answer: &Answer, length: usize) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers("content-length"), [length.to_string()]);
    assert!(answer.headers("transfer-encoding").is_empty(), "{}", answer.head);
    assert!(answer.headers("connection").is_empty(), "{}", answer.head);
    assert!(answer.body == content(length), "{length} bytes that differ");
}

/// The value of a metric without labels, or of the line with them.
pub fn metric(edge: &Running, line: &str) -> u64 {
    let metrics = edge.platform.metrics.encode();
    let found = metrics.lines().find_map(|text| text.strip_prefix(line));
    found.unwrap_or(" 0").trim().parse().unwrap()
}

pub fn spliced(edge: &Running) -> u64 {
    metric(edge, "sluice_proxy_spliced_bytes_total ")
}

/// Requests that were answered before the framework.
pub fn plain(edge: &Running) -> u64 {
    metric(edge, "sluice_http_plain_requests_total ")
}

pub fn relays(edge: &Running) -> u64 {
    metric(edge, "sluice_proxy_relays ")
}

/// One request on a connection of its own.
pub async fn fetch(edge: &Running, length: usize) -> Answer {
    let mut client = Raw::connect(&edge.public).await;
    client.send(&get(length)).await;
    client.answer().await
}

/// Waits until none runs any more.
pub async fn no_relay(edge: &Running) {
    eventually("no relay runs", Duration::from_secs(10), || async {
        (relays(edge) == 0).then_some(())
    })
    .await;
}
