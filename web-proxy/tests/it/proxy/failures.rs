//! Services that are away, dying or talking nonsense: what the client is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::testing::eventually;
use common::testing::raw::Raw;
use web_proxy::Mode;

use crate::edge::{ask, before, config, page, start, try_start};
use crate::upstream::{Call, Upstream, nobody};

const GET: &str = "GET /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n";
const POST: &str = "POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";

#[actix_web::test]
async fn a_service_that_is_away_is_503_with_retry_after() {
    let gone = nobody().await;
    let edge = start(config(&[&gone], &[&gone], &[&gone])).await;
    for text in [GET, POST] {
        let answer = ask(&edge, text).await;
        answer.check_problem(503, "upstream_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(
            !answer.text().contains("127.0.0.1"),
            "addresses of services are for the log"
        );
    }
    assert_eq!(
        ask(&edge, "GET / HTTP/1.1\r\nHost: t\r\n\r\n").await.status,
        200,
        "the page lives on"
    );
    edge.stop().await;
}

#[actix_web::test]
async fn another_replica_answers_for_one_that_is_away() {
    let (gone, alive) = (nobody().await, Upstream::named("alive").await);
    let edge = start(config(&[&gone, &alive.base], &[&gone], &[&gone])).await;
    for text in [GET, POST, GET, POST, GET, POST] {
        let answer = ask(&edge, text).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "alive"));
        let seen = alive.last();
        assert!(seen.whole);
        assert_eq!(
            seen.body.len(),
            if text == POST { 5 } else { 0 },
            "a body that nobody took is sent to the other"
        );
    }
    assert_eq!(alive.count(), 6);
    // Found away once, then left alone for a while.
    let metrics = edge.platform.metrics.encode();
    for (outcome, count) in [("answered", 6), ("unreachable", 1), ("repeated", 1)] {
        let line = format!("sluice_proxy_calls_total{{service=\"api\",outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    edge.stop().await;
}

#[actix_web::test]
async fn replicas_take_turns() {
    let (one, two) = (Upstream::named("one").await, Upstream::named("two").await);
    let edge = start(config(&[&one.base, &two.base], &[&one.base], &[&one.base])).await;
    for _ in 0..10 {
        assert_eq!(ask(&edge, GET).await.status, 200);
    }
    assert_eq!((one.count(), two.count()), (5, 5));
    edge.stop().await;
}

/// Connections to this address are never answered: its queue is full.
#[actix_web::test]
async fn a_lost_connection_is_tried_once_more_when_that_is_safe() {
    for (text, asked, status) in [
        (GET, 2, 200),
        (POST, 1, 502),
        ("DELETE /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n", 1, 502),
    ] {
        let first = std::rc::Rc::new(std::cell::Cell::new(true));
        let service = Upstream::new(move |mut call| {
            let first = first.clone();
            async move {
                let Some(mut seen) = call.head().await else { return };
                call.body(&mut seen).await;
                if !first.replace(false) {
                    call.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            }
        })
        .await;
        let edge = before(&service).await;
        let answer = ask(&edge, text).await;
        assert_eq!((answer.status, service.count()), (status, asked), "{text}");
        if status == 502 {
            answer.check_problem(502, "upstream_unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        edge.stop().await;
    }
}

#[actix_web::test]
async fn an_answer_that_is_none_is_502() {
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "y".repeat(300_000));
    for said in [
        "garbage\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        &long,
    ] {
        let service = Upstream::answering(said).await;
        let edge = before(&service).await;
        let answer = ask(&edge, GET).await;
        assert_eq!(answer.status, 502, "{}", &said[..said.len().min(80)]);
        answer.check_problem(502, "upstream_unavailable");
        service.until_open(0).await;
        edge.stop().await;
    }
}

#[actix_web::test]
async fn a_service_that_dies_in_its_body_cuts_the_answer() {
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n64\r\nha",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let service = Upstream::new(move |mut call| async move {
            call.head().await;
            call.say(said).await;
        })
        .await;
        let edge = before(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        client.send(GET).await;
        let head = client.head().await;
        assert_eq!(head.status, 200);
        let (body, whole) = client.body(&head).await;
        assert!(!whole, "a cut, no false end: {said}");
        assert!(body.len() < 100);
        assert_eq!(ask(&edge, "GET / HTTP/1.1\r\nHost: t\r\n\r\n").await.status, 200);
        edge.stop().await;
    }
}

#[actix_web::test]
async fn the_edge_is_ready_when_one_replica_of_each_service_is() {
    let ready = Upstream::named("ready").await;
    let busy = Upstream::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
    let (ready, busy, gone) = (ready.base.as_str(), busy.base.as_str(), nobody().await);
    for (api, stream, status) in [
        (vec![ready], vec![ready], 200),
        (vec![&*gone, ready], vec![busy, ready], 200),
        (vec![busy], vec![ready], 503),
        (vec![ready], vec![&*gone], 503),
    ] {
        let edge = start(config(&api, &stream, &[ready])).await;
        let answer = ask(&edge, "GET /readyz?verbose HTTP/1.1\r\nHost: t\r\n\r\n").await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.json()["checks"]["scheduler"], "ok");
        assert_eq!(ask(&edge, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n").await.status, 200);
        edge.stop().await;
    }
}

/// A balancer would otherwise leave all edges alone for one service that is away.
#[actix_web::test]
async fn an_edge_that_was_ready_stays_so_when_a_service_goes() {
    let gone = Arc::new(AtomicBool::new(false));
    let told = gone.clone();
    let service = Upstream::new(move |mut call: Call| {
        let gone = told.clone();
        async move {
            while call.head().await.is_some() {
                let status = if gone.load(Ordering::Relaxed) { 503 } else { 200 };
                call.say(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"))
                    .await;
            }
        }
    })
    .await;
    let base = service.base.as_str();
    let edge = start(config(&[base], &[base], &[base])).await;
    let ready = || ask(&edge, "GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(ready().await.status, 200);
    gone.store(true, Ordering::Relaxed);
    // An answer serves others for a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(ready().await.status, 200);
    let fresh = start(config(&[base], &[base], &[base])).await;
    let answer = ask(&fresh, "GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(answer.status, 503);
    edge.stop().await;
    fresh.stop().await;
}

#[actix_web::test]
async fn promise_20_an_edge_without_services_does_not_start() {
    for key in ["proxy.api", "proxy.stream", "proxy.scheduler"] {
        let mut config = config(&["http://a:1"], &["http://a:1"], &["http://a:1"]);
        match key {
            "proxy.api" => config.proxy.api.clear(),
            "proxy.stream" => config.proxy.stream.clear(),
            _ => config.proxy.scheduler.clear(),
        }
        let error = try_start(config, Mode::Edge, page()).await.err().unwrap();
        assert!(error.to_string().starts_with(&format!("{key}: ")), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[actix_web::test]
async fn promise_19_a_running_answer_is_finished_during_the_drain() {
    let service = Upstream::new(|mut call| async move {
        call.head().await;
        call.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(80)).await;
            call.say("x").await;
        }
    })
    .await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send(GET).await;
    let head = client.head().await;
    edge.platform.drain.begin();
    assert!(client.body(&head).await.1, "whole in spite of the drain");
    edge.stop().await;
    eventually(
        "no connection to the service is left",
        Duration::from_secs(10),
        || async { (service.open() == 0).then_some(()) },
    )
    .await;
}
