//! Promise 6: every phase has a deadline that moves while bytes move.

use std::time::Duration;

use common::config::Span;
use common::testing::raw::Raw;
use tokio::net::TcpSocket;

use crate::edge::{ask, config, start};
use crate::upstream::Upstream;

const GET: &str = "GET /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n";
const POST: &str = "POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
/// Short enough to be waited for.
const WAIT: Duration = Duration::from_millis(500);

#[actix_web::test]
async fn promise_6_connecting_has_a_deadline() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(io)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        queue.push(io);
    }
    let full = format!("http://{address}");
    let mut config = config(&[&full], &[&full], &[&full]);
    config.proxy.connect_timeout = Span(Duration::from_millis(300));
    let edge = start(config).await;
    ask(&edge, GET).await.check_problem(503, "upstream_unavailable");
    edge.stop().await;
}

#[actix_web::test]
async fn promise_6_a_service_that_says_nothing_is_504() {
    let service = Upstream::new(|mut call| async move { while call.take_some().await > 0 {} }).await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.proxy.response_timeout = Span(WAIT);
    let edge = start(config).await;
    for text in [GET, POST] {
        let answer = ask(&edge, text).await;
        answer.check_problem(504, "upstream_unavailable");
    }
    service.until_open(0).await;
    edge.stop().await;
}

#[actix_web::test]
async fn promise_6_a_service_that_takes_no_body_is_504() {
    for capture in [true, false] {
        takes_no_body(capture).await;
    }
}

async fn takes_no_body(capture: bool) {
    let service = Upstream::new(|mut call| async move {
        call.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.proxy.response_timeout = Span(WAIT);
    config.server.capture_uploads = capture;
    let edge = start(config).await;
    let mut client = Raw::connect(&edge.public).await;
    let size = 64 << 20;
    client
        .send(&format!(
            "PUT /uploads/by-video/x HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n"
        ))
        .await;
    let (mut reading, mut writing) = client.io.into_split();
    let sending = tokio::task::spawn_local(async move {
        let piece = vec![0; 64 * 1024];
        for _ in 0..size / piece.len() {
            if tokio::io::AsyncWriteExt::write_all(&mut writing, &piece).await.is_err() {
                break;
            }
        }
    });
    let mut answer = vec![0; 1024];
    let count = tokio::io::AsyncReadExt::read(&mut reading, &mut answer).await.unwrap();
    assert!(
        answer[..count].starts_with(b"HTTP/1.1 504 "),
        "{}",
        String::from_utf8_lossy(&answer[..count])
    );
    sending.abort();
    edge.stop().await;
}

#[actix_web::test]
async fn promise_6_the_deadline_moves_while_the_upload_moves() {
    let service = Upstream::named("api").await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.proxy.response_timeout = Span(WAIT);
    let edge = start(config).await;
    let mut client = Raw::connect(&edge.public).await;
    client
        .send("POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n")
        .await;
    for _ in 0..9 {
        tokio::time::sleep(WAIT / 4).await;
        client.send("x").await;
    }
    assert_eq!(client.answer().await.status, 200);
    // One pause longer than the service's deadline is the client's own affair.
    client
        .send("POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nx")
        .await;
    tokio::time::sleep(WAIT * 2).await;
    client.send("x").await;
    assert_eq!(client.answer().await.status, 200);
    edge.stop().await;
}

#[actix_web::test]
async fn promise_6_a_client_that_stalls_its_upload_is_answered_408_and_the_service_sees_a_cut() {
    for framing in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
        let service = Upstream::named("api").await;
        let base = service.base.as_str();
        let mut config = config(&[base], &[base], &[base]);
        config.server.stall_timeout = Span(WAIT);
        let edge = start(config).await;
        let mut client = Raw::connect(&edge.public).await;
        client
            .send(&format!(
                "POST /api/v1/x HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n3\r\nabc\r\n"
            ))
            .await;
        client.answer().await.check_problem(408, "request_timeout");
        service.until_open(0).await;
        assert!(
            service.seen().iter().all(|seen| !seen.whole),
            "{framing}: {:?}",
            service.seen()
        );
        edge.stop().await;
    }
}

#[actix_web::test]
async fn promise_6_a_service_that_stalls_in_its_body_cuts_the_answer_and_a_slow_one_does_not() {
    for (pause, whole) in [(WAIT / 4, true), (WAIT * 8, false)] {
        let service = Upstream::new(move |mut call| async move {
            call.head().await;
            call.say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n").await;
            for _ in 0..8 {
                call.say("x").await;
                tokio::time::sleep(pause).await;
            }
        })
        .await;
        let base = service.base.as_str();
        let mut config = config(&[base], &[base], &[base]);
        config.proxy.response_timeout = Span(WAIT);
        let edge = start(config).await;
        let mut client = Raw::connect(&edge.public).await;
        client.send(GET).await;
        let head = client.head().await;
        assert_eq!(client.body(&head).await.1, whole, "{pause:?}");
        edge.stop().await;
    }
}
