//! Uploads that do not come to their end, and those that are slow.

use std::time::Duration;

use super::*;

/// Counts what comes, to the end of the connection.
async fn taker() -> Upstream {
    Upstream::new(|mut call: Call| async move {
        call.head().await;
        while call.take_some().await > 0 {}
    })
    .await
}

/// A tus upload goes on behind what its service has: all that came is to get there.
#[actix_web::test]
async fn promise_9_a_client_that_leaves_ends_the_call_and_what_it_sent_arrives() {
    for resets in [false, true] {
        let service = taker().await;
        let edge = patient(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        client.send(&put(50_000_000)).await;
        client.send_bytes(&content(3_000_000)).await;
        service.until_seen(1).await;
        if resets {
            common::testing::eventually("all has gone on", Duration::from_secs(10), || async {
                (service.taken() == 3_000_000).then_some(())
            })
            .await;
            client.io.set_zero_linger().unwrap();
        }
        drop(client);
        service.until_open(0).await;
        assert_eq!(service.taken(), 3_000_000, "resets: {resets}");
        assert!(!service.last().whole);
        edge.stop().await;
    }
}

#[actix_web::test]
async fn promise_6_a_client_that_stalls_is_answered_408_and_a_slow_one_is_not() {
    let wait = Duration::from_millis(1_500);
    let service = Upstream::answering(CREATED).await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.server.stall_timeout = Span(wait);
    let edge = start(config).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send(&put(LENGTH)).await;
    client.send_bytes(&content(LENGTH)[..LENGTH - 9]).await;
    for byte in &content(LENGTH)[LENGTH - 9..] {
        tokio::time::sleep(wait / 5).await;
        client.send_bytes(&[*byte]).await;
    }
    assert_eq!(client.answer().await.status, 201);
    assert!(service.last().body == content(LENGTH));
    client.send(&put(LENGTH)).await;
    client.send_bytes(&content(LENGTH - 1)).await;
    let answer = client.answer().await;
    answer.check_problem(408, "request_timeout");
    assert_eq!(answer.headers("connection"), ["close"]);
    service.until_open(0).await;
    assert!(!service.last().whole);
    drop(client);
    edge.stop().await;
}

/// Nothing is sent twice: of what a service took nobody else gets the rest.
#[actix_web::test]
async fn a_service_that_dies_is_502() {
    // `kept`: by a connection that is open already.
    for (takes, kept) in [(0, false), (2_000_000, false), (5_000_000, false), (0, true)] {
        let service = Upstream::new(move |mut call: Call| async move {
            // Two copies are watched: they are asked whether they are ready.
            while let Some(seen) = call.head().await {
                if seen.line().starts_with("PUT") {
                    return drop(call.raw.take(takes).await);
                }
                call.say(CREATED).await;
            }
        })
        .await;
        let other = Upstream::answering(CREATED).await;
        let (base, other_base) = (service.base.as_str(), other.base.as_str());
        let edge = start(config(&[base], &[base, other_base], &[base])).await;
        let mut client = Raw::connect(&edge.public).await;
        if kept {
            assert_eq!(client.get("/media/g/v/file").await.status, 201);
            assert_eq!(client.get("/media/g/v/file").await.status, 201);
        }
        let before = other.count();
        client.send(&put(5_000_000)).await;
        let body = content(5_000_000);
        let mut sent = 0;
        for piece in body.chunks(50_000) {
            let written = tokio::io::AsyncWriteExt::write_all(&mut client.io, piece).await;
            if written.is_err() {
                break;
            }
            sent += piece.len();
        }
        assert!(sent >= takes.min(5_000_000));
        client.answer().await.check_problem(502, "upstream_unavailable");
        assert_eq!(other.count(), before, "takes {takes}");
        service.until_open(0).await;
        drop(client);
        edge.stop().await;
    }
}

#[actix_web::test]
async fn promise_6_a_service_that_says_nothing_after_the_body_is_504() {
    let service = taker().await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.proxy.response_timeout = Span(Duration::from_millis(400));
    let edge = start(config).await;
    let mut client = Raw::connect(&edge.public).await;
    send(&mut client, LENGTH, LENGTH).await;
    client.answer().await.check_problem(504, "upstream_unavailable");
    service.until_open(0).await;
    assert_eq!(service.taken(), LENGTH);
    edge.stop().await;
}

/// A full socket takes bytes again only when much of its queue is free, which takes a slow service longer than any one byte does.
#[actix_web::test]
async fn promise_6_a_service_that_is_slow_is_waited_for() {
    let wait = Duration::from_millis(700);
    let slow = |mut call: Call| async move {
        while let Some(seen) = call.head().await {
            if seen.line().starts_with("PUT") {
                let mut left = SLOW;
                while left > 0 {
                    let count = left.min(40_000);
                    call.raw.take(count).await;
                    left -= count;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            call.say(CREATED).await;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    for near in [false, true] {
        let service = Upstream::new(slow).await;
        let folder = dir.path().display().to_string();
        let _file = near.then(|| service.listen_near(&folder, slow));
        let base = service.base.as_str();
        let mut config = config(&[base], &[base], &[base]);
        config.server.socket_dir = if near { folder } else { String::new() };
        config.proxy.response_timeout = Span(wait);
        let edge = start(config).await;
        if near {
            super::near::until_used(&service, &edge).await;
        }
        let mut client = Raw::connect(&edge.public).await;
        send(&mut client, SLOW, 1_000_000).await;
        assert_eq!(client.answer().await.status, 201, "near: {near}");
        edge.stop().await;
    }
}

/// More than the queues on its way hold.
const SLOW: usize = 12_000_000;
