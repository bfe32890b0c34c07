//! Connections that leave HTTP: handed over raw with what came early, or refused in the form of all other failures.

use std::sync::Arc;

use actix_web::http::header::{HeaderValue, UPGRADE};
use actix_web::{HttpResponse, web};
use common::error::{ApiError, Code};
use common::http::resource;
use common::serve::{Accept, HandedOver, UpgradeRequest, Upgrades};
use common::service::Service;
use common::testing::raw::Raw;
use common::testing::{Running, spawn, test_config};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn echo(handed: HandedOver) {
    let HandedOver {
        mut socket,
        head,
        received,
    } = handed;
    actix_web::rt::spawn(async move {
        socket.write_all(&head).await.unwrap();
        socket.write_all(&received).await.unwrap();
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            socket.write_all(&buffer[..count]).await.unwrap();
        }
    });
}

#[allow(clippy::unused_async, reason = "whoever decides may ask somebody")]
async fn decide(request: UpgradeRequest) -> Result<Accept, ApiError> {
    assert_eq!(common::operation::current(), Some(request.operation.clone()));
    match request.uri().path() {
        "/echo" => Ok(Accept {
            headers: vec![(UPGRADE, HeaderValue::from_static("websocket"))],
            take: Box::new(echo),
        }),
        "/panic" => panic!("on purpose"),
        path => Err(ApiError::new(Code::NotFound, format!("{path} has no echo."))),
    }
}

async fn start(upgrades: bool) -> Running {
    let routes = |config: &mut web::ServiceConfig| {
        config.service(
            resource("/small")
                .get(|| async { HttpResponse::Ok().body("small") })
                .done(),
        );
    };
    let decide: Upgrades = Arc::new(|request| decide(request).boxed_local());
    let mut config = test_config();
    config.server.max_connections = 2;
    spawn(config, move |_, _| async move {
        Ok(Service {
            name: "test",
            public: Some(Arc::new(routes)),
            internal: None,
            direct: None,
            upgrades: upgrades.then_some(decide),
            ready: Vec::new(),
        })
    })
    .await
    .unwrap()
}

fn asking(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Operation-Id: op-1\r\n\r\n"
    )
}

fn run(test: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(test);
}

#[test]
fn an_app_and_an_upgrade_share_a_listener_and_early_bytes_are_not_lost() {
    run(async {
        let running = start(true).await;
        let mut client = Raw::connect(&running.public).await;
        client.send("GET /small HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "small");
        client.send(&format!("{}early", asking("/echo"))).await;
        let head = client.head().await;
        assert_eq!(head.status, 101);
        assert_eq!(head.header("upgrade"), Some("websocket"));
        assert_eq!(head.header("x-request-id"), Some("op-1"));
        assert_eq!(client.take(5).await.unwrap(), b"early");
        client.send("late").await;
        assert_eq!(client.take(4).await.unwrap(), b"late");
        running.stop().await;
    });
}

/// The framework may not have written the answer to the request before: the two came together, the first with a body in chunks.
#[test]
fn the_answer_before_an_upgrade_is_not_lost() {
    run(async {
        let running = start(true).await;
        for (path, status) in [("/echo", 101), ("/other", 404)] {
            let mut client = Raw::connect(&running.public).await;
            let first = "GET /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
            client.send(&format!("{first}{}", asking(path))).await;
            assert_eq!(client.answer().await.text(), "small");
            assert_eq!(client.head().await.status, status);
        }
        running.stop().await;
    });
}

#[test]
fn connections_that_left_hold_no_place_of_the_http_side() {
    run(async {
        let running = start(true).await;
        // More than `max_connections` of all workers together.
        let mut open = Vec::new();
        for _ in 0..20 {
            let mut client = Raw::connect(&running.public).await;
            client.send(&asking("/echo")).await;
            assert_eq!(client.head().await.status, 101);
            open.push(client);
        }
        let mut client = Raw::connect(&running.public).await;
        assert_eq!(client.get("/small").await.text(), "small");
        running.stop().await;
    });
}

#[test]
fn refusals_and_panics_have_the_form_of_all_failures() {
    run(async {
        let running = start(true).await;
        for (path, status, code) in [("/other", 404, "not_found"), ("/panic", 500, "internal")] {
            let mut client = Raw::connect(&running.public).await;
            client.send(&format!("{}what comes behind", asking(path))).await;
            let answer = client.answer().await;
            answer.check_problem(status, code);
            assert_eq!(answer.json()["operationID"], "op-1", "{path}");
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(client.rest().await, b"");
        }
        running.stop().await;
    });
}

#[test]
fn a_listener_that_speaks_nothing_else_says_so() {
    run(async {
        let running = start(false).await;
        for base in [&running.public, &running.internal] {
            let mut client = Raw::connect(base).await;
            client.send(&asking("/echo")).await;
            client.answer().await.check_problem(400, "bad_request");
        }
        running.stop().await;
    });
}
