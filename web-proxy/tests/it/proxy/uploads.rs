//! Long bodies that go from the client's socket into the service's inside the kernel: the same bytes, ends and failures as by copying.

mod answers;
mod cuts;
mod ends;
mod near;

use common::capture::LEAST;
use common::config::Span;
use common::testing::Running;
use common::testing::raw::Raw;

use super::relay::{content, metric};
use crate::edge::{before, config, start};
use crate::upstream::{Call, Upstream, nobody};

/// The shortest body that is moved.
const LENGTH: usize = LEAST as usize;

const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";

fn put(length: usize) -> String {
    head("PUT", "by-video/x", length)
}

fn head(method: &str, path: &str, length: usize) -> String {
    format!("{method} /uploads/{path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

fn moved(edge: &Running) -> usize {
    let count = metric(edge, "sluice_proxy_spliced_upload_bytes_total ");
    usize::try_from(count).unwrap()
}

/// Sends the content of this length in `pieces`, the first of them with the head.
async fn send(client: &mut Raw, length: usize, piece: usize) {
    let body = content(length);
    let (first, rest) = body.split_at(piece.min(length));
    client.send_bytes(&[put(length).as_bytes(), first].concat()).await;
    for piece in rest.chunks(piece) {
        client.send_bytes(piece).await;
    }
}

/// An edge whose connections end when one of their ends does, however long that takes.
async fn patient(service: &Upstream) -> Running {
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.proxy.response_timeout = Span::seconds(120);
    config.server.stall_timeout = Span::seconds(120);
    start(config).await
}

#[actix_web::test]
async fn bodies_arrive_whole_whatever_their_length() {
    let service = Upstream::answering(CREATED).await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    let mut all = 0;
    for length in [LENGTH - 1, LENGTH, LENGTH + 1, 5_000_000] {
        for piece in [100_000, length / 2, length] {
            send(&mut client, length, piece).await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.text().as_str()), (201, "ok"));
            assert!(answer.headers("connection").is_empty(), "{}", answer.head);
            let seen = service.last();
            assert!(seen.whole && seen.body == content(length), "{length} in {piece}");
            assert_eq!(seen.headers("content-length"), [length.to_string()]);
            assert!(seen.headers("transfer-encoding").is_empty(), "{}", seen.head);
            all += if length < LENGTH { 0 } else { length };
        }
        // Something else between them, on the same connection.
        assert_eq!(client.get("/media/g/v/file").await.text(), "ok");
    }
    assert_eq!(moved(&edge), all, "short ones are copied");
    assert!(service.accepted() <= 2, "{} connections", service.accepted());
    edge.stop().await;
    service.until_open(0).await;
}

#[actix_web::test]
async fn requests_that_come_with_a_body_before_them_are_kept_apart() {
    let service = Upstream::answering(CREATED).await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    let get = "GET /media/g/v/file HTTP/1.1\r\nHost: t\r\n\r\n";
    // What looks like a request inside of a body is none.
    let mut body = content(LENGTH);
    body[500_000..][..get.len()].copy_from_slice(get.as_bytes());
    let whole = [put(LENGTH).into_bytes(), body.clone()].concat();
    let patch = [head("PATCH", "u", LENGTH + 7).into_bytes(), content(LENGTH + 7)].concat();
    client
        .send_bytes(&[&whole, get.as_bytes(), &patch, &whole, get.as_bytes()].concat())
        .await;
    for _ in 0..5 {
        assert_eq!(client.answer().await.status, 201);
    }
    let seen = service.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| &seen.line()[..5]).collect();
    assert_eq!(lines, ["PUT /", "GET /", "PATCH", "PUT /", "GET /"]);
    assert!(seen[0].body == body && seen[2].body == content(LENGTH + 7) && seen[3].body == body);
    assert_eq!(moved(&edge), 3 * LENGTH + 7);
    edge.stop().await;
}

/// The edge waits with the body until it has a connection, so that nothing of it is lost with a copy that is away.
#[actix_web::test]
async fn another_copy_takes_what_one_that_is_away_did_not() {
    let (gone, alive) = (nobody().await, Upstream::answering(CREATED).await);
    let edge = start(config(&[&gone], &[&gone, &alive.base], &[&gone])).await;
    for _ in 0..4 {
        let mut client = Raw::connect(&edge.public).await;
        send(&mut client, LENGTH, LENGTH).await;
        assert_eq!(client.answer().await.status, 201);
        assert!(alive.last().body == content(LENGTH));
    }
    assert_eq!((alive.count(), moved(&edge)), (4, 4 * LENGTH));
    edge.stop().await;
}

#[actix_web::test]
async fn without_capture_or_zero_copy_bodies_are_copied() {
    for switch in [0, 1] {
        let service = Upstream::answering(CREATED).await;
        let base = service.base.as_str();
        let mut config = config(&[base], &[base], &[base]);
        match switch {
            0 => config.server.capture_uploads = false,
            _ => config.server.zero_copy = false,
        }
        let edge = start(config).await;
        let mut client = Raw::connect(&edge.public).await;
        send(&mut client, 5_000_000, 70_000).await;
        assert_eq!(client.answer().await.status, 201);
        assert!(service.last().whole && service.last().body == content(5_000_000));
        assert_eq!(moved(&edge), 0);
        edge.stop().await;
    }
}

/// What one hop must not pass on is not passed on by this way either (promise 10).
#[actix_web::test]
async fn promise_10_the_head_is_written_anew() {
    let service = Upstream::answering(CREATED).await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    let fields = "Connection: x-one, keep-alive\r\nX-One: 1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Sluice-User: root\r\n\
                  Proxy-Authorization: x\r\nExpect: 100-continue\r\nAuthorization: Bearer g\r\nUpload-Offset: 7";
    let text = format!("PATCH /uploads/u?a=b%20c HTTP/1.1\r\nHost: t\r\n{fields}\r\nContent-Length: {LENGTH}\r\n\r\n");
    client.send(&text).await;
    assert_eq!(client.head().await.status, 100);
    client.send_bytes(&content(LENGTH)).await;
    assert_eq!(client.answer().await.status, 201);
    let seen = service.last();
    assert!(seen.body == content(LENGTH));
    assert_eq!(seen.target(), "/uploads/u?a=b%20c");
    let mut names = seen.names();
    names.sort();
    let ours = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-operation-id",
    ];
    let mut expected = [&["authorization", "content-length", "host", "upload-offset"][..], &ours].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(seen.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(moved(&edge), LENGTH);
    edge.stop().await;
}

#[actix_web::test]
async fn promise_19_an_upload_ends_during_the_drain() {
    let service = Upstream::answering(CREATED).await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    let body = content(LENGTH);
    client
        .send_bytes(&[put(LENGTH).as_bytes(), &body[..500_000]].concat())
        .await;
    service.until_seen(1).await;
    edge.platform.drain.begin();
    for piece in body[500_000..].chunks(100_000) {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        client.send_bytes(piece).await;
    }
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.headers("connection")), (201, vec!["close"]));
    assert!(service.last().body == body);
    edge.stop().await;
}
