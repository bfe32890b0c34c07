//! How connections of the fast path end: by deadlines, by the drain, by clients that leave, by bodies that are not what they said.

use std::time::{Duration, Instant};

use common::config::Span;
use common::testing::eventually;
use common::testing::raw::Raw;
use tokio::io::AsyncWriteExt;

use super::super::{config, start};
use super::{PATIENCE, SIZE, content, none_is_held, request};

#[actix_web::test]
async fn a_connection_that_says_nothing_is_told_and_an_idle_one_is_closed() {
    let mut config = config();
    config.server.keep_alive = Span(Duration::from_millis(300));
    let (server, _) = start(config).await;
    let mut silent = Raw::connect(&server.public).await;
    let mut idle = Raw::connect(&server.public).await;
    assert_eq!(idle.get("/plain/bytes").await.status, 200);
    let began = Instant::now();
    assert_eq!(idle.rest().await, b"", "without a word");
    assert!(began.elapsed() >= Duration::from_millis(250));
    // The silent one has more time than the idle one.
    assert!(silent.io.try_read(&mut [0; 1]).is_err(), "it is told nothing yet");
    let late = silent.answer().await;
    late.check_problem(408, "request_timeout");
    assert_eq!(
        (late.header("connection"), &silent.rest().await[..]),
        (Some("close"), &b""[..])
    );
    server.stop().await;
}

#[actix_web::test]
async fn keep_alive_counts_from_the_end_of_an_answer() {
    let mut config = config();
    config.server.keep_alive = Span(Duration::from_millis(400));
    let (server, _) = start(config).await;
    let mut client = Raw::connect(&server.public).await;
    for _ in 0..4 {
        assert_eq!(client.get("/plain/bytes").await.status, 200);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(client.get("/plain/slow").await.status, 200);
    }
    server.stop().await;
}

#[actix_web::test]
async fn promise_19_idle_connections_of_the_fast_path_end_at_once_and_running_answers_finish() {
    let mut config = config();
    // A busy machine must not be taken for a client that takes nothing.
    config.server.stall_timeout = Span(PATIENCE);
    let (server, held) = start(config).await;
    let mut fresh = Raw::connect(&server.public).await;
    let mut idle = Raw::connect(&server.public).await;
    assert_eq!(idle.get("/plain/bytes").await.header("connection"), None);
    let mut moving = Raw::connect(&server.public).await;
    moving.send(&request("GET", "/plain/moved", "")).await;
    assert_eq!(moving.head().await.status, 200);
    let mut waiting = Raw::connect(&server.public).await;
    waiting.send(&request("GET", "/plain/slower", "")).await;
    eventually("the slow request runs", PATIENCE, || async {
        (held.count() == 2).then_some(())
    })
    .await;
    let began = Instant::now();
    server.platform.drain.begin();
    assert_eq!((fresh.rest().await, idle.rest().await), (Vec::new(), Vec::new()));
    assert!(moving.rest().await == content(), "every byte, then the end");
    let answer = waiting.answer().await;
    assert_eq!(
        (answer.header("connection"), &answer.body[..]),
        (Some("close"), &b"slowly"[..])
    );
    assert_eq!(waiting.rest().await, b"");
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[actix_web::test]
async fn a_process_that_leaves_ends_each_connection_with_its_answer() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    assert_eq!(client.get("/plain/bytes").await.header("connection"), None);
    server.platform.drain.leave();
    let last = client.get("/plain/bytes").await;
    assert_eq!(
        (last.header("connection"), &last.body[..]),
        (Some("close"), &b"plainly"[..])
    );
    assert_eq!(client.rest().await, b"");
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_client_of_the_fast_path_that_takes_nothing_is_cut() {
    let (server, held) = start(config()).await;
    for path in ["/plain/moved", "/plain/endless"] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&request("GET", path, "")).await;
        assert_eq!(client.head().await.status, 200);
        none_is_held(&held).await;
        let rest = client.rest().await.len();
        assert!(path.ends_with("endless") || rest < SIZE);
    }
    server.stop().await;
}

#[actix_web::test]
async fn who_leaves_gives_back_what_was_held() {
    let (server, held) = start(config()).await;
    // While bytes are sent, while their source has none, and while the handler waits; with the next request sent early, too.
    // Whoever only closes (politely) has left where answers don't outlast that.
    for (path, early, politely) in [
        ("moved", "", false),
        ("starving", "", false),
        ("starving", "GET /", false),
        ("hang", "", false),
        ("hang", "GET /", false),
        ("leave/starving", "", true),
        ("leave/starving", "GET /", false),
        ("leave/hang", "", true),
        ("leave/hang", "GET /", false),
        ("leave/hang", "GET /", true),
        ("leave/starving", "GET /", true),
    ] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&request("GET", &format!("/plain/{path}"), "")).await;
        eventually("it is held", PATIENCE, || async { (held.count() == 1).then_some(()) }).await;
        client.send(early).await;
        // Together with the reset it would be lost before anybody sees it.
        tokio::time::sleep(Duration::from_millis(if early.is_empty() { 0 } else { 50 })).await;
        if !politely {
            socket2::SockRef::from(&client.io)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
        drop(client);
        none_is_held(&held).await;
    }
    let metrics = server.platform.metrics.clone();
    eventually("nothing is in flight", PATIENCE, || async {
        (metrics.http.in_flight.get() == 0).then_some(())
    })
    .await;
    server.stop().await;
}

#[actix_web::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let (server, held) = start(config()).await;
    for path in ["/plain/moved", "/plain/slow"] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&request("GET", path, "")).await;
        client.io.shutdown().await.unwrap();
        let answer = client.answer().await;
        assert!(answer.body == content() || answer.body == b"slowly");
        assert_eq!(client.rest().await, b"");
    }
    none_is_held(&held).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_source_that_ends_early_ends_the_connection() {
    let (server, held) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client.send(&request("GET", "/plain/short", "")).await;
    let head = client.head().await;
    let (body, whole) = client.body(&head).await;
    assert!(!whole && body == content(), "what there was, and no more");
    none_is_held(&held).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_body_of_another_length_than_its_head_says_ends_the_connection() {
    let (server, _) = start(config()).await;
    for (path, expected) in [("copied-short", &b"copied"[..]), ("copied-long", b"cop")] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&request("GET", &format!("/plain/{path}"), "")).await;
        let head = client.head().await;
        let (body, whole) = client.body(&head).await;
        assert!(!whole && body == expected, "{path}: {body:?}");
        assert_eq!(client.rest().await, b"", "{path}");
    }
    server.stop().await;
}
