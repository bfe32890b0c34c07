//! Services that die, stall and trickle in the middle of a body.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::config::Span;
use common::testing::eventually;
use common::testing::raw::Raw;

use super::{LONG, check, content, get, no_relay, spliced};
use crate::edge::{ask, before, config, start};
use crate::upstream::{Call, Upstream};

/// Short enough to be waited for.
const WAIT: Duration = Duration::from_millis(500);

fn head() -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n")
}

/// Whatever the client has got by then is true, and it knows that there is no more.
#[actix_web::test]
async fn a_service_that_dies_in_its_body_cuts_the_answer() {
    for sent in [0, 1, 3_000, 100_000, LONG - 1] {
        for reset in [false, true] {
            let service = Upstream::new(move |mut call: Call| async move {
                call.head().await;
                call.say(&head()).await;
                call.give(&content(sent)).await;
                if reset {
                    call.raw.io.set_zero_linger().unwrap();
                }
            })
            .await;
            let edge = before(&service).await;
            let mut client = Raw::connect(&edge.public).await;
            client.send(&get(LONG)).await;
            // A reset may overtake the head in the edge's own buffer: then there is no answer at all, which is a 502.
            let head = client.head().await;
            if head.status == 200 {
                let (body, whole) = client.body(&head).await;
                assert!(!whole, "a cut, no false end: {sent} {reset}");
                assert!(body.len() <= sent && body == content(body.len()), "{sent} {reset}");
                assert!(reset || body.len() == sent, "all that came is passed on: {sent}");
            } else {
                assert!(reset && head.status == 502, "{}", head.head);
            }
            service.until_open(0).await;
            assert_eq!(ask(&edge, "GET / HTTP/1.1\r\nHost: t\r\n\r\n").await.status, 200);
            no_relay(&edge).await;
            edge.stop().await;
        }
    }
}

#[actix_web::test]
async fn promise_6_a_service_that_stalls_in_its_body_cuts_the_answer_and_a_slow_one_does_not() {
    for whole in [true, false] {
        let service = Upstream::new(move |mut call: Call| async move {
            call.head().await;
            call.say(&head()).await;
            for piece in content(LONG).chunks(LONG / 8) {
                call.give(piece).await;
                if !whole {
                    break;
                }
                tokio::time::sleep(WAIT / 4).await;
            }
            call.raw.rest().await;
        })
        .await;
        let base = service.base.as_str();
        let mut config = config(&[base], &[base], &[base]);
        config.proxy.response_timeout = Span(WAIT);
        let edge = start(config).await;
        let mut client = Raw::connect(&edge.public).await;
        client.send(&get(LONG)).await;
        let head = client.head().await;
        let (body, ended_well) = client.body(&head).await;
        assert_eq!(ended_well, whole);
        assert!(body == content(body.len()));
        assert!(spliced(&edge) > 0);
        if !whole {
            service.until_open(0).await;
        }
        no_relay(&edge).await;
        edge.stop().await;
    }
}

/// The deadline is the service's: a client may take longer than it to read (its own deadline is longer).
#[actix_web::test]
async fn promise_6_a_client_that_reads_slowly_is_not_cut_by_the_services_deadline() {
    let service = super::files().await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.proxy.response_timeout = Span(WAIT);
    let edge = start(config).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send(&get(40_000_000)).await;
    let head = client.head().await;
    tokio::time::sleep(WAIT * 3).await;
    let (body, whole) = client.body(&head).await;
    assert!(whole && body == content(40_000_000));
    edge.stop().await;
}

/// No head in time, by a service that says nothing and by one that drips.
#[actix_web::test]
async fn promise_6_an_answer_has_to_begin_in_time() {
    for drips in [false, true] {
        let service = Upstream::new(move |mut call: Call| async move {
            call.head().await;
            let begin = if drips {
                "HTTP/1.1 200 OK\r\nX: 0123456789abcdef"
            } else {
                ""
            };
            for byte in begin.bytes() {
                call.give(&[byte]).await;
                tokio::time::sleep(WAIT / 16).await;
            }
            call.raw.rest().await;
        })
        .await;
        let base = service.base.as_str();
        let mut config = config(&[base], &[base], &[base]);
        config.proxy.response_timeout = Span(WAIT);
        let edge = start(config).await;
        ask(&edge, &get(5)).await.check_problem(504, "upstream_unavailable");
        service.until_open(0).await;
        edge.stop().await;
    }
}

/// What comes little by little is passed on little by little, not kept back to fill segments.
#[actix_web::test]
async fn a_trickle_stays_a_trickle() {
    let read = Rc::new(Cell::new(0));
    let seen = read.clone();
    let service = Upstream::new(move |mut call: Call| {
        let seen = seen.clone();
        async move {
            call.head().await;
            call.say("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n").await;
            // Each next piece is sent when the client has the one before.
            for (number, piece) in content(9_000).chunks(1_000).enumerate() {
                call.give(piece).await;
                eventually("the client has the piece", Duration::from_secs(10), || async {
                    (seen.get() >= (number + 1) * 1_000).then_some(())
                })
                .await;
            }
            call.raw.rest().await;
        }
    })
    .await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send(&get(9_000)).await;
    client.head().await;
    let mut body = Vec::new();
    while body.len() < 9_000 {
        let piece = client.some().await;
        assert!(!piece.is_empty(), "cut after {}", body.len());
        body.extend_from_slice(&piece);
        read.set(body.len());
    }
    assert!(body == content(9_000));
    edge.stop().await;
}

#[actix_web::test]
async fn good_clients_do_not_notice_what_happens_to_others() {
    let service = Upstream::new(|mut call: Call| async move {
        while let Some(seen) = call.head().await {
            if seen.target().ends_with("/dies") {
                call.say(&head()).await;
                call.give(&content(1_000_000)).await;
                return;
            }
            let length = super::asked(seen.target());
            call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))
                .await;
            call.give(&content(length)).await;
        }
    })
    .await;
    let edge = before(&service).await;
    let good = async {
        let mut client = Raw::connect(&edge.public).await;
        for _ in 0..20 {
            client.send(&get(1_000_000)).await;
            check(&client.answer().await, 1_000_000);
        }
    };
    let bad = async {
        for _ in 0..20 {
            let mut client = Raw::connect(&edge.public).await;
            client.send("GET /media/g/v/dies HTTP/1.1\r\nHost: t\r\n\r\n").await;
            let head = client.head().await;
            assert!(!client.body(&head).await.1);
        }
    };
    futures_util::future::join(good, bad).await;
    edge.stop().await;
}
