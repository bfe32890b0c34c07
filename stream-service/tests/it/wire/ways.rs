//! Ways to ask: old versions, connections that close, clients that say no more, and requests that come too early.

use super::{Random, Way, as_it_is, by_each_way, is_range, range_is_right, request};
use crate::app::{App, SOON, on_one_app_with};
use crate::clip::clip;
use common::ids::VideoId;
use common::testing::{eventually, raw::Raw};
use std::{rc::Rc, time::Duration};
use tokio::io::AsyncWriteExt;

/// More than the kernel takes for a client that reads nothing.
const SIZE: usize = 12 << 20;

/// A file, and a way to it.
async fn stored(app: &App, way: Way) -> (String, Vec<u8>) {
    let (video, bytes) = app.stored(SIZE).await;
    (way.path(app, &video), bytes)
}

#[test]
fn the_head_of_a_range_says_its_length_and_keeps_the_connection() {
    by_each_way(as_it_is, |app, way| async move {
        let (path, bytes) = stored(&app, way).await;
        let mut client = Raw::connect(&app.running.public).await;
        for _ in 0..3 {
            client.send(&request("GET", &path, "Range: bytes=5-1000004\r\n")).await;
            let answer = client.answer().await;
            is_range(&answer, (5, 1_000_005), &bytes);
            assert_eq!(answer.headers("content-length"), ["1000000"]);
            assert!(answer.headers("transfer-encoding").is_empty() && answer.headers("connection").is_empty());
        }
    });
}

/// A page's connection uploads, asks for documents and plays: what it plays is served before the framework again.
#[test]
fn a_connection_that_does_other_things_plays_like_one_that_does_not() {
    on_one_app_with(as_it_is, |app| async move {
        let (mut client, mut random) = (Raw::connect(&app.running.public).await, Random::from_clock());
        let plain = || app.running.platform.metrics.http.plain.get();
        for _ in 0..3 {
            let (video, bytes) = (VideoId::random(), clip(SIZE, 7));
            let token = app.upload_token(&video);
            let fields = format!("Authorization: Bearer {token}\r\nContent-Length: {SIZE}\r\n");
            let put = request("PUT", &format!("/uploads/by-video/{video}"), &fields);
            client.send(&put).await;
            client.send_bytes(&bytes).await;
            assert_eq!(client.answer().await.status, 201);
            let path = app.file_path(&video);
            for _ in 0..40 {
                let before = plain();
                range_is_right(&mut client, &path, random.range(SIZE, 2 << 20), &bytes).await;
                assert_eq!(plain(), before + 1);
                assert_eq!(client.get("/healthz").await.status, 200);
            }
        }
        app.nothing_is_held().await;
        assert_eq!(app.running.platform.metrics.http.slot_violations.get(), 0);
    });
}

#[test]
fn half_closed_clients_get_all_that_they_asked_for() {
    by_each_way(as_it_is, |app, way| async move {
        let (path, bytes) = stored(&app, way).await;
        for lines in ["", "Range: bytes=100-3000000\r\n"] {
            let mut client = Raw::connect(&app.running.public).await;
            client.send(&request("GET", &path, lines)).await;
            client.io.shutdown().await.unwrap();
            // It reads late: the server has long seen that nothing more is said.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let answer = client.answer().await;
            let expected = if lines.is_empty() {
                &bytes[..]
            } else {
                &bytes[100..3_000_001]
            };
            assert!(answer.body == expected, "{lines}");
            assert_eq!(client.rest().await, b"", "and then the end");
        }
        app.nothing_is_held().await;
    });
}

#[test]
fn a_half_closed_client_gets_all_that_it_asked_for_in_advance() {
    by_each_way(as_it_is, |app, way| async move {
        let (path, bytes) = stored(&app, way).await;
        let mut client = Raw::connect(&app.running.public).await;
        let first = request("GET", &path, "Range: bytes=0-2999999\r\n");
        let second = request("GET", &path, "Range: bytes=-1000000\r\n");
        client.send(&(first + &second)).await;
        client.io.shutdown().await.unwrap();
        is_range(&client.answer().await, (0, 3_000_000), &bytes);
        is_range(&client.answer().await, (SIZE - 1_000_000, SIZE), &bytes);
        assert_eq!(client.rest().await, b"");
    });
}

#[test]
fn http_1_0_gets_its_bytes_and_the_end() {
    by_each_way(as_it_is, |app, way| async move {
        let (path, bytes) = stored(&app, way).await;
        let mut client = Raw::connect(&app.running.public).await;
        let text = format!("GET {path} HTTP/1.0\r\nHost: t\r\nRange: bytes=7-2000006\r\n\r\n");
        client.send(&text).await;
        let answer = client.answer().await;
        is_range(&answer, (7, 2_000_007), &bytes);
        assert_eq!(answer.headers("content-length"), ["2000000"]);
        assert!(answer.headers("transfer-encoding").is_empty());
        assert_eq!(client.rest().await, b"");
        // One that asks for it keeps the connection.
        let mut client = Raw::connect(&app.running.public).await;
        for _ in 0..2 {
            let text =
                format!("GET {path} HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\nRange: bytes=0-99999\r\n\r\n");
            client.send(&text).await;
            let answer = client.answer().await;
            is_range(&answer, (0, 100_000), &bytes);
            assert_eq!(answer.header("connection"), Some("keep-alive"));
        }
    });
}

#[test]
fn connection_close_is_said_and_done_after_the_last_byte() {
    by_each_way(as_it_is, |app, way| async move {
        let (path, bytes) = stored(&app, way).await;
        let mut client = Raw::connect(&app.running.public).await;
        client.send(&request("GET", &path, "Connection: close\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.body == bytes);
        assert_eq!(client.rest().await, b"");
        app.nothing_is_held().await;
    });
}

#[test]
fn a_second_request_while_the_first_body_is_sent_waits_for_its_turn() {
    by_each_way(as_it_is, |app, way| async move {
        let (path, bytes) = stored(&app, way).await;
        let mut client = Raw::connect(&app.running.public).await;
        client.send(&request("GET", &path, "")).await;
        let head = client.head().await;
        // The first is under way: its permit is held, and the socket is full.
        assert_eq!((head.status, app.state.limits.streams.held()), (200, 1));
        let second = request("GET", &path, "Range: bytes=1000-1999\r\n");
        // In two pieces, with a pause in which it is half a request.
        client.send(&second[..40]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send(&second[40..]).await;
        client.send(&request("HEAD", &path, "")).await;
        let (body, whole) = client.body(&head).await;
        assert!(whole && body == bytes);
        is_range(&client.answer().await, (1000, 2000), &bytes);
        assert_eq!(client.head().await.header("content-length"), Some("12582912"));
        range_is_right(&mut client, &path, (0, 10), &bytes).await;
    });
}

#[test]
fn a_body_that_nobody_asked_for_does_not_mix_with_the_answers() {
    by_each_way(as_it_is, |app, way| async move {
        let (path, bytes) = stored(&app, way).await;
        // A body that looks like a request, of known length and in chunks; a good request behind it.
        let body = "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";
        let framed = [
            ("Content-Length: 34\r\n", body.to_owned()),
            ("Transfer-Encoding: chunked\r\n", format!("22\r\n{body}\r\n0\r\n\r\n")),
        ];
        let second = request("GET", &path, "Range: bytes=5-104\r\nConnection: close\r\n");
        for (framing, body) in framed {
            let mut client = Raw::connect(&app.running.public).await;
            let first = request("GET", &path, &format!("Range: bytes=0-199999\r\n{framing}"));
            client.send(&(first + &body + &second)).await;
            is_range(&client.answer().await, (0, 200_000), &bytes);
            // The connection may end there. What comes is the answer to the second request and not to the body.
            let rest = client.rest().await;
            let expected = &bytes[5..105];
            assert!(
                rest.is_empty() || rest.ends_with(expected),
                "{}",
                String::from_utf8_lossy(&rest)
            );
        }
        app.nothing_is_held().await;
    });
}

#[test]
fn promise_19_the_drain_sends_what_it_has_begun_and_ends_what_idles() {
    by_each_way(as_it_is, |app, way| async move {
        if way == Way::Front {
            // The next way has the same app, which ends here.
            return;
        }
        let (path, bytes) = stored(&app, way).await;
        let mut idle = Raw::connect(&app.running.public).await;
        range_is_right(&mut idle, &path, (0, 10), &bytes).await;
        let mut active = Raw::connect(&app.running.public).await;
        active.send(&request("GET", &path, "")).await;
        let head = active.head().await;
        app.running.platform.drain.begin();
        assert_eq!(idle.rest().await, b"", "an idle connection ends at once");
        still_runs(&app).await;
        let (body, whole) = active.body(&head).await;
        assert!(whole && body == bytes);
        assert_eq!(active.rest().await, b"");
    });
}

async fn still_runs(app: &Rc<App>) {
    eventually("the stream is still there", SOON, || async {
        (app.state.limits.streams.held() == 1).then_some(())
    })
    .await;
}
