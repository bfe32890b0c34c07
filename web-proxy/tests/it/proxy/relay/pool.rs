//! Connections to the service: one request at a time, used again only when nothing is in doubt.

use std::cell::Cell;
use std::rc::Rc;

use common::testing::raw::Raw;

use super::{LONG, asked, check, content, fetch, files, get, metric};
use crate::edge::{before, config, start};
use crate::upstream::{Call, Upstream, nobody};

#[actix_web::test]
async fn connections_are_kept_after_whole_answers() {
    for said in [
        String::new(),
        "HTTP/1.1 304 Not Modified\r\nETag: \"t\"\r\nContent-Length: 77\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 416 No\r\nContent-Range: bytes */9\r\nContent-Length: 2\r\n\r\nno".to_owned(),
        format!(
            "HTTP/1.1 503 No\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{}",
            90_000,
            "x".repeat(90_000)
        ),
    ] {
        let service = if said.is_empty() {
            files().await
        } else {
            Upstream::answering(&said).await
        };
        let edge = before(&service).await;
        for _ in 0..10 {
            // Each client is another one.
            let mut client = Raw::connect(&edge.public).await;
            client.send(&get(200_000)).await;
            client.answer().await;
        }
        assert_eq!((service.count(), service.accepted()), (10, 1), "{:.40}", said);
        edge.stop().await;
        service.until_open(0).await;
    }
}

/// Two clients never share one.
#[actix_web::test]
async fn a_connection_serves_one_request_at_a_time() {
    let service = files().await;
    let edge = before(&service).await;
    let mut slow = Raw::connect(&edge.public).await;
    slow.send(&get(20_000_000)).await;
    let head = slow.head().await;
    check(&fetch(&edge, 100_000).await, 100_000);
    assert_eq!(service.accepted(), 2);
    let (body, whole) = slow.body(&head).await;
    assert!(whole && body == content(20_000_000));
    edge.stop().await;
}

/// More bytes than were said: what follows must not become the next answer.
#[actix_web::test]
async fn a_service_that_says_too_much_is_not_asked_on_that_connection_again() {
    // How many bytes are said, and what comes behind them.
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nSMUGGLE";
    for length in [5, 4_000, 70_000, LONG] {
        for extra in ["x", smuggled] {
            let service = Upstream::new(move |mut call: Call| async move {
                while call.head().await.is_some() {
                    let mut all = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
                    all.extend_from_slice(&content(length));
                    all.extend_from_slice(extra.as_bytes());
                    call.give(&all).await;
                }
            })
            .await;
            let edge = before(&service).await;
            let mut client = Raw::connect(&edge.public).await;
            for _ in 0..3 {
                client.send(&get(length)).await;
                check(&client.answer().await, length);
            }
            assert_eq!(service.accepted(), 3, "{length} {extra}");
            edge.stop().await;
        }
    }
}

/// 304 and 204 have no body, whatever follows them.
#[actix_web::test]
async fn a_body_behind_an_answer_that_has_none_ends_the_connection() {
    for head in ["304 Not Modified\r\nContent-Length: 5", "204 No Content"] {
        let service = Upstream::answering(&format!("HTTP/1.1 {head}\r\n\r\nhello")).await;
        let edge = before(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        for _ in 0..3 {
            client.send(&get(5)).await;
            let answer = client.answer().await;
            assert!(matches!(answer.status, 204 | 304) && answer.body.is_empty());
        }
        assert_eq!(service.accepted(), 3, "{head}");
        edge.stop().await;
    }
}

/// The service closes a connection that nobody used: nobody notices.
#[actix_web::test]
async fn an_idle_connection_that_was_closed_is_replaced() {
    let service = Upstream::new(|mut call: Call| async move {
        if let Some(seen) = call.head().await {
            let length = asked(seen.target());
            call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))
                .await;
            call.give(&content(length)).await;
        }
    })
    .await;
    let edge = before(&service).await;
    for round in 1..=5 {
        check(&fetch(&edge, 100_000).await, 100_000);
        service.until_open(0).await;
        assert_eq!(service.count(), round);
    }
    for outcome in ["lost", "repeated"] {
        let line = format!("sluice_proxy_calls_total{{service=\"stream\",outcome=\"{outcome}\"}} ");
        assert_eq!(metric(&edge, &line), 0, "seen before it was used");
    }
    edge.stop().await;
}

/// It closes it while the request is on its way: asked once more, on a new connection, and only once.
#[actix_web::test]
async fn a_connection_lost_before_the_answer_is_replaced_once() {
    // Whether the service ever answers a second time, and how often it was asked in the end.
    for (recovers, requests) in [(true, 3), (false, 3)] {
        let first = Rc::new(Cell::new(true));
        let service = Upstream::new(move |mut call: Call| {
            let first = first.clone();
            async move {
                let mut number = 0;
                while let Some(seen) = call.head().await {
                    number += 1;
                    if number > 1 || !(first.replace(false) || recovers) {
                        return;
                    }
                    let length = asked(seen.target());
                    call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))
                        .await;
                    call.give(&content(length)).await;
                }
            }
        })
        .await;
        let edge = before(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        client.send(&get(100_000)).await;
        check(&client.answer().await, 100_000);
        client.send(&get(100_000)).await;
        let answer = client.answer().await;
        if recovers {
            check(&answer, 100_000);
        } else {
            answer.check_problem(502, "upstream_unavailable");
        }
        assert_eq!((service.count(), service.accepted()), (requests, 2));
        edge.stop().await;
    }
}

/// One policy for both ways: turns, rests, and what is counted.
#[actix_web::test]
async fn replicas_are_chosen_as_for_everything_else() {
    let (gone, one, two) = (nobody().await, files().await, files().await);
    let all = [gone.as_str(), one.base.as_str(), two.base.as_str()];
    let edge = start(config(&[&gone], &all, &[&gone])).await;
    for _ in 0..9 {
        check(&fetch(&edge, 100_000).await, 100_000);
    }
    assert_eq!(one.count() + two.count(), 9);
    assert!(
        one.count() >= 3 && two.count() >= 3,
        "{} and {}",
        one.count(),
        two.count()
    );
    for (outcome, count) in [("answered", 9), ("unreachable", 1), ("repeated", 1), ("lost", 0)] {
        let line = format!("sluice_proxy_calls_total{{service=\"stream\",outcome=\"{outcome}\"}} ");
        assert_eq!(metric(&edge, &line), count, "{outcome}");
    }
    edge.stop().await;
}

#[actix_web::test]
async fn a_service_that_is_away_is_503_for_media_too() {
    let gone = nobody().await;
    let edge = start(config(&[&gone], &[&gone, &gone], &[&gone])).await;
    let answer = fetch(&edge, 5).await;
    answer.check_problem(503, "upstream_unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let line = "sluice_proxy_calls_total{service=\"stream\",outcome=\"unreachable\"} ";
    assert_eq!(metric(&edge, line), 2);
    edge.stop().await;
}
