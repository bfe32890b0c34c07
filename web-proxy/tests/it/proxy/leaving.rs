//! Refusals that overtake a body (promise 8) and clients that leave (promise 9).

use common::config::Span;
use common::testing::raw::Raw;

use crate::edge::{before_capturing, config, start};
use crate::upstream::Upstream;

#[actix_web::test]
async fn promise_8_a_refusal_overtakes_the_body() {
    let problem = r#"{"code":"body_too_large","maxBytes":5}"#;
    let length = problem.len();
    for last in ["", "Connection: close\r\n"] {
        // Moved, and copied.
        for (framing, capture) in [
            ("Content-Length: 16777216", true),
            ("Content-Length: 16777216", false),
            ("Transfer-Encoding: chunked", true),
        ] {
            let refusal = format!(
                "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/problem+json\r\n{last}Content-Length: {length}\r\n\r\n{problem}"
            );
            let service = Upstream::new(move |mut call| {
                let refusal = refusal.clone();
                async move {
                    call.head().await;
                    call.say(&refusal).await;
                    if last.is_empty() {
                        // Keeps the connection and reads nothing of the body.
                        call.raw.rest().await;
                    }
                }
            })
            .await;
            let edge = before_capturing(&service, capture).await;
            let mut client = Raw::connect(&edge.public).await;
            client
                .send(&format!(
                    "PUT /uploads/by-video/x HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n"
                ))
                .await;
            // Sends all before it looks, as simple clients do.
            let chunked = framing.contains("chunked");
            for _ in 0..256 {
                if chunked {
                    client.send("10000\r\n").await;
                }
                client.send_bytes(&[b'x'; 65536]).await;
                if chunked {
                    client.send("\r\n").await;
                }
            }
            let answer = client.answer().await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (413, problem),
                "{framing} {last}"
            );
            service.until_open(0).await;
            edge.stop().await;
        }
    }
}

#[actix_web::test]
async fn promise_9_a_client_that_leaves_ends_the_call() {
    // While the answer is awaited, while the body is sent, while the answer is read.
    for (text, says) in [
        ("GET /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n", ""),
        // In another spelling, which is the App's.
        ("GET /%61pi/v1/x HTTP/1.1\r\nHost: t\r\n\r\n", ""),
        (
            "POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf",
            "",
        ),
        (
            "POST /api/v1/x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "",
        ),
        (
            "GET /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        ),
        (
            "GET /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
    ] {
        let service = Upstream::new(move |mut call| async move {
            let Some(mut seen) = call.head().await else { return };
            call.say(says).await;
            call.body(&mut seen).await;
            // Ends when the edge ends the connection.
            call.raw.rest().await;
        })
        .await;
        let base = service.base.as_str();
        let mut config = config(&[base], &[base], &[base]);
        // No deadline may do the work of noticing.
        config.proxy.response_timeout = Span::seconds(120);
        config.server.stall_timeout = Span::seconds(120);
        let edge = start(config).await;
        let mut client = Raw::connect(&edge.public).await;
        client.send(text).await;
        service.until_seen(1).await;
        if !says.is_empty() {
            assert_eq!(client.head().await.status, 200);
        }
        drop(client);
        service.until_open(0).await;
        let whole = text.starts_with("GET");
        assert_eq!(service.last().whole, whole, "half a body is never a whole one: {text}");
        edge.stop().await;
    }
}
