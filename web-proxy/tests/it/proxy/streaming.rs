//! Bodies of any size through fixed buffers (promise 7), connections that are kept.

use std::time::Duration;

use common::testing::eventually;
use common::testing::raw::Raw;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::edge::{before, before_capturing};
use crate::upstream::Upstream;

const SIZE: usize = 200_000_000;
const PIECE: usize = 64 * 1024;
/// Our own buffers, with room.
const OURS: usize = 4_000_000;

/// What may be under way at once: what the kernel lets two connections hold, which it decides by how they fared (their
/// receiving ends up to 32 MiB each, by default), and ours. A proxy that collected the body would show 200 MB.
fn in_flight() -> usize {
    let largest = |which: &str| -> usize {
        let said = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{which}")).unwrap();
        said.split_whitespace().last().unwrap().parse().unwrap()
    };
    let most = 2 * (largest("tcp_rmem") + largest("tcp_wmem")) + OURS;
    assert!(
        most < SIZE,
        "connections of this machine hold so much that it tells nothing: {most}"
    );
    most
}

/// Sends `SIZE` bytes as the body of its answer.
async fn sender() -> Upstream {
    Upstream::new(|mut call| async move {
        while call.head().await.is_some() {
            call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"))
                .await;
            let before = vec![b'x'; PIECE];
            let mut left = SIZE;
            while left > 0 {
                let count = left.min(PIECE);
                call.give(&before[..count]).await;
                left -= count;
            }
        }
    })
    .await
}

/// Counts the bytes of one body of `SIZE`, then answers.
async fn taker() -> Upstream {
    Upstream::new(|mut call| async move {
        while call.head().await.is_some() {
            let mut taken = 0;
            while taken < SIZE {
                match call.take_some().await {
                    0 => return,
                    count => taken += count,
                }
            }
            call.say("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await
}

#[actix_web::test]
async fn promise_7_200_mb_down_pass_through_fixed_buffers() {
    let service = sender().await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send("GET /media/g/v/file HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.header("content-length"), Some("200000000"));
    let (mut got, mut most) = (0, 0);
    while got < SIZE {
        let count = client.some().await.len();
        assert!(count > 0, "cut after {got}");
        got += count;
        most = most.max(service.given().saturating_sub(got));
    }
    assert_eq!(got, SIZE);
    assert!(most < in_flight(), "{most} bytes were under way");
    edge.stop().await;
}

#[actix_web::test]
async fn promise_7_a_client_that_pauses_stops_the_service() {
    let service = sender().await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send("GET /media/g/v/file HTTP/1.1\r\nHost: t\r\n\r\n").await;
    client.head().await;
    settled("the service has stopped", || service.given()).await;
    assert!(service.given() < in_flight(), "{} bytes for nobody", service.given());
    drop(client);
    service.until_open(0).await;
    edge.stop().await;
}

#[actix_web::test]
async fn promise_7_200_mb_up_pass_through_fixed_buffers() {
    for capture in [true, false] {
        pass_200_mb_up(capture).await;
    }
}

async fn pass_200_mb_up(capture: bool) {
    let service = taker().await;
    let edge = before_capturing(&service, capture).await;
    let mut client = Raw::connect(&edge.public).await;
    client
        .send(&format!(
            "PUT /uploads/by-video/x HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n"
        ))
        .await;
    let piece = vec![b'x'; PIECE];
    let (mut sent, mut most) = (0, 0);
    while sent < SIZE {
        let count = PIECE.min(SIZE - sent);
        client.send_bytes(&piece[..count]).await;
        sent += count;
        most = most.max(sent.saturating_sub(service.taken()));
    }
    assert_eq!(client.answer().await.status, 201);
    assert_eq!(service.taken(), SIZE);
    assert_eq!(
        service.last().headers("content-length"),
        ["200000000"],
        "an upload does not become chunked"
    );
    assert!(most < in_flight(), "{most} bytes were under way");
    edge.stop().await;
}

#[actix_web::test]
async fn promise_7_a_service_that_pauses_stops_the_client() {
    for capture in [true, false] {
        stop_the_client(capture).await;
    }
}

async fn stop_the_client(capture: bool) {
    let service = Upstream::new(|mut call| async move {
        call.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let edge = before_capturing(&service, capture).await;
    let mut client = Raw::connect(&edge.public).await;
    client
        .send(&format!(
            "PUT /uploads/by-video/x HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n"
        ))
        .await;
    let piece = vec![b'x'; PIECE];
    let (mut sent, most) = (0, in_flight());
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(500), client.io.write(&piece)).await {
        sent += count.unwrap();
        assert!(sent < most, "{sent} bytes taken for nobody");
    }
    edge.platform.drain.begin();
    drop(client);
    edge.stop().await;
}

/// Both at once: what comes back is what went in, while it goes in.
#[actix_web::test]
async fn an_answer_may_begin_while_the_body_is_still_sent() {
    let service = Upstream::new(|mut call| async move {
        call.head().await;
        call.say("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n").await;
        let mut left = 20_000_000;
        while left > 0 {
            let piece = call.raw.some().await;
            if piece.is_empty() {
                return;
            }
            left -= piece.len();
            call.give(&piece).await;
        }
    })
    .await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    client
        .send("POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 20000000\r\n\r\n")
        .await;
    let (mut reading, mut writing) = client.io.into_split();
    let sending = tokio::task::spawn_local(async move {
        for number in 0..20_000_000 / 10_000 {
            writing
                .write_all(&vec![u8::try_from(number % 251).unwrap(); 10_000])
                .await
                .unwrap();
        }
        writing
    });
    let mut all = Vec::new();
    let mut piece = vec![0; PIECE];
    while !all.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = reading.read(&mut piece).await.unwrap();
        assert!(count > 0);
        all.extend_from_slice(&piece[..count]);
    }
    let begin = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let mut body = all.split_off(begin);
    while body.len() < 20_000_000 {
        let count = reading.read(&mut piece).await.unwrap();
        assert!(count > 0, "cut after {}", body.len());
        body.extend_from_slice(&piece[..count]);
    }
    assert!(
        body.chunks(10_000)
            .enumerate()
            .all(|(number, chunk)| chunk.iter().all(|byte| usize::from(*byte) == number % 251))
    );
    drop(sending.await.unwrap());
    edge.stop().await;
}

/// Connections to services are used again.
#[actix_web::test]
async fn connections_to_services_are_kept() {
    let service = Upstream::named("api").await;
    let edge = before(&service).await;
    for _ in 0..20 {
        let mut client = Raw::connect(&edge.public).await;
        assert_eq!(client.get("/api/v1/x").await.status, 200);
        client
            .send("POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi")
            .await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(service.count(), 40);
    assert!(
        service.accepted() <= 2,
        "{} connections for 40 requests in turn",
        service.accepted()
    );
    edge.stop().await;
    service.until_open(0).await;
}

/// Waits until `count` has not changed for a while.
async fn settled(what: &str, count: impl Fn() -> usize) {
    let last = std::cell::Cell::new((usize::MAX, 0));
    eventually(what, Duration::from_secs(15), || async {
        let now = count();
        let (before, rounds) = last.get();
        last.set((now, if now == before { rounds + 1 } else { 0 }));
        (rounds > 40).then_some(())
    })
    .await;
}
