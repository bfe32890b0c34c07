//! Promise 6: every phase of every connection has a deadline that moves while bytes move.

use std::time::Duration;

use common::config::Span;
use common::testing::eventually;
use common::testing::raw::Raw;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{STALL, config, start};

/// A head that would take eight seconds to drip, twenty times the deadline.
fn long_head() -> String {
    format!("GET /small HTTP/1.1\r\nHost: t\r\nX-Long: {}\r\n\r\n", "y".repeat(360))
}

/// Sends `text` byte by byte, one every 20 ms, until the server closes; panics when it took all of `text`.
async fn drip(client: &mut Raw, text: &str) {
    for byte in text.bytes() {
        if client.io.write_all(&[byte]).await.is_err() {
            return;
        }
        let mut answer = [0; 1024];
        let read = tokio::time::timeout(Duration::from_millis(20), client.io.read(&mut answer)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            return;
        }
    }
    panic!("the whole head was taken, however slow");
}

#[actix_web::test]
async fn promise_6_a_dripping_head_is_cut_on_the_first_request() {
    let (server, _) = start(config()).await;
    drip(&mut Raw::connect(&server.public).await, &long_head()).await;
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_dripping_head_is_cut_on_the_second_request() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    assert_eq!(client.get("/small").await.status, 200);
    drip(&mut client, &long_head()).await;
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_half_a_head_behind_a_whole_request_is_cut() {
    let mut config = config();
    config.server.keep_alive = Span(Duration::from_millis(300));
    let (server, _) = start(config).await;
    for path in ["/small", "/slow"] {
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\nGET /small HTT"))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{path} {}", answer.head);
        assert_eq!(client.rest().await, b"", "nothing but the end comes for half a head");
    }
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_connection_that_says_nothing_is_closed() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client.answer().await.check_problem(408, "request_timeout");
    assert_eq!(client.rest().await, b"");
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_an_idle_connection_lives_until_its_keep_alive_ends() {
    let mut config = config();
    // Longer than the head deadline: waiting between requests is no slow head.
    config.server.keep_alive = Span(Duration::from_millis(1500));
    let (server, _) = start(config).await;
    let mut client = Raw::connect(&server.public).await;
    assert_eq!(client.get("/small").await.status, 200);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(client.get("/small").await.status, 200, "still open between requests");
    assert_eq!(client.rest().await, b"", "closed when idle for too long");
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_reader_that_stalls_is_cut_and_gives_back_what_it_held() {
    let (server, held) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client.send("GET /big/64 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    eventually("the stream is dropped", Duration::from_secs(10), || async {
        (held.count() == 0).then_some(())
    })
    .await;
    let got = client.rest().await.len();
    assert!(got < 64 << 20, "{got} bytes are not a cut answer");
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_slow_reader_that_moves_gets_everything() {
    let (server, held) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let began = std::time::Instant::now();
    client
        .send("GET /big/16 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .await;
    let mut piece = vec![0; 256 * 1024];
    let mut got = 0;
    loop {
        let count = client.io.read(&mut piece).await.unwrap();
        if count == 0 {
            break;
        }
        got += count;
        // Sleeps in proportion, so that the whole takes three times the stall deadline however large the pieces are.
        tokio::time::sleep(STALL * 3 * u32::try_from(count).unwrap() / (16 << 20)).await;
    }
    assert!(got > 16 << 20, "{got} of 16 MiB and a head");
    assert!(
        began.elapsed() > STALL,
        "slower than the deadline, or it proves nothing"
    );
    assert_eq!(held.count(), 0);
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_body_that_stops_arriving_is_answered_408() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client
        .send("POST /count/0 HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (408, Some("request_timeout"))
    );
    assert_eq!(client.rest().await, b"");
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_body_that_trickles_is_taken() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client
        .send("POST /count/0 HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n")
        .await;
    for _ in 0..10 {
        tokio::time::sleep(STALL / 5).await;
        client.send("b").await;
    }
    assert_eq!(client.answer().await.body, b"10");
    server.stop().await;
}

/// The deadline is the client's: time that a handler takes before it reads is its own.
#[actix_web::test]
async fn promise_6_a_handler_that_reads_late_blames_nobody() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let wait = STALL.as_millis() + 300;
    client
        .send(&format!(
            "POST /count/{wait} HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n"
        ))
        .await;
    tokio::time::sleep(STALL + Duration::from_millis(500)).await;
    client.send("late").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"4"[..]),
        "{}",
        answer.head
    );
    server.stop().await;
}

/// A body that waits for its source, which may take long, is nothing to wait for when nobody takes it.
#[actix_web::test]
async fn promise_9_a_client_that_closes_its_side_ends_a_body_unless_that_outlasts_it() {
    let (server, held) = start(config()).await;
    for outlasts in [false, true] {
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&format!("GET /starve/{outlasts} HTTP/1.1\r\nHost: t\r\n\r\n"))
            .await;
        assert_eq!(client.head().await.status, 200);
        assert_eq!(held.count(), 1);
        client.io.shutdown().await.unwrap();
        if outlasts {
            let end = tokio::time::timeout(STALL, client.io.read(&mut [0])).await;
            assert!(end.is_err(), "{end:?}");
            assert_eq!(held.count(), 1);
        } else {
            assert_eq!(client.rest().await, b"");
            eventually("the body is dropped", Duration::from_secs(10), || async {
                (held.count() == 0).then_some(())
            })
            .await;
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn promise_9_a_client_that_leaves_ends_its_handler() {
    let (server, held) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client.send("GET /hang HTTP/1.1\r\nHost: t\r\n\r\n").await;
    eventually("the handler runs", Duration::from_secs(10), || async {
        (held.count() == 1).then_some(())
    })
    .await;
    drop(client);
    eventually("the handler is dropped", Duration::from_secs(10), || async {
        (held.count() == 0).then_some(())
    })
    .await;
    server.stop().await;
}
