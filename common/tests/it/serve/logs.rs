//! The line in the access log that every request gets when its last byte is sent or its client has left.

use std::collections::HashMap;
use std::sync::{Mutex, Once};
use std::time::Duration;

use common::testing::eventually;
use common::testing::raw::Raw;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::fast::SIZE;
use super::{config, start};

/// Status, bytes of the body, and whether all of them were sent.
type Line = (u64, u64, bool);

static LINES: Mutex<Option<HashMap<String, Line>>> = Mutex::new(None);

/// Keeps what is logged about requests, by their operation ids.
struct Keep;

impl Log for Keep {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "access" && metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let value = |key: &str| record.key_values().get(key.into());
        let number = |key: &str| value(key).and_then(|value| value.to_u64());
        // A connection that leaves HTTP has no bytes to count.
        if let (Some(id), Some(status), Some(bytes)) = (value("operation_id"), number("status"), number("bytes")) {
            let id = id.to_string();
            if !id.starts_with("logs-") {
                // Another test's, which may send one id twice.
                return;
            }
            let complete = value("complete").and_then(|value| value.to_bool()).unwrap_or_default();
            let mut lines = LINES.lock().unwrap();
            let lines = lines.get_or_insert_default();
            let before = lines.insert(id.clone(), (status, bytes, complete));
            assert_eq!(before, None, "{id} has one line");
        }
    }

    fn flush(&self) {}
}

fn keep_lines() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Keep).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

async fn line_of(operation: &str) -> Line {
    eventually("the request has its line", Duration::from_secs(10), || async {
        LINES.lock().unwrap().as_ref()?.get(operation).copied()
    })
    .await
}

#[actix_web::test]
async fn bytes_and_ends_are_logged_alike_in_every_way() {
    keep_lines();
    for fast_path in [true, false] {
        let mut config = config();
        config.server.fast_path = fast_path;
        let (server, _) = start(config).await;
        for (path, expected) in [
            ("bytes", (200, 7, true)),
            ("moved", (200, SIZE as u64, true)),
            ("begun", (200, SIZE as u64 + 4, true)),
            ("copied", (200, 6, true)),
            ("chunked", (200, 6, true)),
            ("short", (200, SIZE as u64, false)),
            ("copied-short", (200, 6, false)),
        ] {
            if !fast_path && path == "copied-short" {
                // The framework ends such a connection without a word.
                continue;
            }
            let operation = format!("logs-{fast_path}-{path}");
            let mut client = Raw::connect(&server.public).await;
            client
                .send(&format!(
                    "GET /plain/{path} HTTP/1.1\r\nHost: t\r\nX-Operation-Id: {operation}\r\n\r\n"
                ))
                .await;
            let head = client.head().await;
            client.body(&head).await;
            assert_eq!(line_of(&operation).await, expected, "{operation}");
        }
        let operation = format!("logs-{fast_path}-left");
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&format!(
                "GET /plain/moved HTTP/1.1\r\nHost: t\r\nX-Operation-Id: {operation}\r\n\r\n"
            ))
            .await;
        client.head().await;
        drop(client);
        let (status, bytes, complete) = line_of(&operation).await;
        assert_eq!((status, complete), (200, false));
        assert!(bytes > 0 && bytes < SIZE as u64, "{bytes}");
        server.stop().await;
    }
}
