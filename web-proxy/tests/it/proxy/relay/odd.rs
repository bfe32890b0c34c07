//! Answers that are not plain take another way behind the edge, and look the same in front of it.

use common::testing::raw::Raw;

use super::{LONG, content, get, spliced};
use crate::edge::{Way, ask, before, before_in};
use crate::upstream::Upstream;

/// `content` in chunks of several sizes.
fn chunked(content: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for chunk in content.chunks(77_777) {
        all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        all.extend_from_slice(chunk);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
    all
}

#[actix_web::test]
async fn long_answers_in_other_framings_arrive_whole() {
    let long = content(LONG);
    // The head, the bytes behind it, and the length that the client is told.
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            chunked(&long),
            None,
        ),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", long.clone(), None),
        ("HTTP/1.0 200 OK\r\n\r\n", long.clone(), None),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5000000\r\n\r\n",
            long.clone(),
            Some("5000000"),
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n",
            long.clone(),
            Some("5000000"),
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5000000\r\n\r\n",
            long.clone(),
            Some("5000000"),
        ),
    ];
    for (way, (head, body, length)) in Way::ALL
        .into_iter()
        .flat_map(|way| cases.iter().map(move |case| (way, case.clone())))
    {
        let service = Upstream::new(move |mut call| {
            let body = body.clone();
            async move {
                while call.head().await.is_some() {
                    call.say(head).await;
                    call.give(&body).await;
                    if !head.contains("chunked") {
                        return;
                    }
                }
            }
        })
        .await;
        let edge = before_in(&service, way).await;
        let mut client = Raw::connect(&edge.public).await;
        for round in 0..3 {
            client.send(&get(LONG)).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 200, "{head}");
            assert_eq!(answer.header("content-length"), length, "{head}");
            assert!(answer.body == long, "{head} {round}");
        }
        let plain = head.contains("Close") || head.contains("103 Early");
        let splices = way != Way::Copying && plain;
        assert_eq!(spliced(&edge) > 0, splices, "{head}");
        edge.stop().await;
        service.until_open(0).await;
    }
}

/// The head may come in as many pieces as it has bytes.
#[actix_web::test]
async fn a_head_in_pieces_is_one_head() {
    let service = Upstream::new(|mut call| async move {
        while call.head().await.is_some() {
            for byte in format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n").bytes() {
                call.give(&[byte]).await;
                tokio::task::yield_now().await;
            }
            call.give(&content(LONG)).await;
        }
    })
    .await;
    let edge = before(&service).await;
    for _ in 0..2 {
        super::check(&super::fetch(&edge, LONG).await, LONG);
    }
    assert_eq!(service.accepted(), 1);
    edge.stop().await;
}

/// Promise 10: an answer whose end can be read in two ways is none. By both ways.
#[actix_web::test]
async fn promise_10_answers_that_could_be_read_in_two_ways_are_502() {
    let heads = [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: 5\r\nX-A: 1\r\n folded",
        "Content-Length: 5\r\n Content-Length: 6",
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Content-Length: 5\r\nNo colon",
        "Content-Length: 5\r\n: nameless",
        "Content-Length: 5\r\nX-A: a\0b",
        "Content-Length: 5\r\nX-A: a\rTransfer-Encoding: chunked",
    ];
    for way in Way::ALL {
        for fields in heads {
            let said = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
            refused(&said, way).await;
        }
        refused(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(300_000)), way).await;
        refused(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: 1\r\n".repeat(200)), way).await;
        for line in [
            "garbage",
            "HTTP/9.9 200 OK",
            "HTTP/1.1 abc OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 099 OK",
            "ICY 200 OK",
        ] {
            refused(&format!("{line}\r\nContent-Length: 5\r\n\r\nhello"), way).await;
        }
        refused(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            way,
        )
        .await;
    }
}

async fn refused(said: &str, way: Way) {
    let service = Upstream::answering(said).await;
    let edge = before_in(&service, way).await;
    let answer = ask(&edge, &get(5)).await;
    assert_eq!(answer.status, 502, "{way:?} {}", &said[..said.len().min(120)]);
    answer.check_problem(502, "upstream_unavailable");
    assert_eq!(service.count(), 1, "asked once: {}", &said[..said.len().min(120)]);
    service.until_open(0).await;
    edge.stop().await;
}

/// A head that is long, but not too long.
#[actix_web::test]
async fn a_long_head_is_passed_on() {
    for (fields, size) in [(1, 60_000), (90, 100), (60, 200)] {
        let many: String = (0..fields)
            .map(|number| format!("X-{number}: {}\r\n", "y".repeat(size)))
            .collect();
        let service = Upstream::answering(&format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 5\r\n\r\nhello")).await;
        let edge = before(&service).await;
        for _ in 0..2 {
            let answer = ask(&edge, &get(5)).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "hello"),
                "{fields} of {size}"
            );
            assert_eq!(answer.header("x-0").map(str::len), Some(size));
        }
        edge.stop().await;
    }
}
