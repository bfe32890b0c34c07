//! Answers that are no success: they reach the client whatever it does, have one form, and hurt nobody else.

use common::testing::raw::Raw;
use tokio::io::AsyncWriteExt;

use super::{config, start};

#[actix_web::test]
async fn promise_11_a_panic_answers_one_request() {
    let (server, _) = start(config()).await;
    let mut neighbour = Raw::connect(&server.public).await;
    neighbour.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let mut client = Raw::connect(&server.public).await;
    client
        .send("GET /panic HTTP/1.1\r\nHost: t\r\nX-Operation-Id: op-1\r\n\r\n")
        .await;
    let answer = client.answer().await;
    answer.check_problem(500, "internal");
    assert_eq!(answer.header("x-request-id"), Some("op-1"));
    assert!(
        !answer.json().to_string().contains("always panics"),
        "the cause is for the log"
    );
    assert_eq!(
        client.get("/small").await.body,
        b"small",
        "the same connection lives on"
    );
    assert_eq!(neighbour.answer().await.body, b"slow", "and so does its neighbour");
    server.stop().await;
}

#[actix_web::test]
async fn promise_11_a_panic_in_a_body_cuts_one_connection() {
    let (server, _) = start(config()).await;
    let mut neighbour = Raw::connect(&server.public).await;
    assert_eq!(neighbour.get("/small").await.status, 200);
    let mut client = Raw::connect(&server.public).await;
    client.send("GET /broken HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let all = client.rest().await;
    assert!(
        !all.ends_with(b"0\r\n\r\n"),
        "a cut body has no end: {}",
        String::from_utf8_lossy(&all)
    );
    assert_eq!(neighbour.get("/small").await.status, 200);
    assert_eq!(Raw::connect(&server.public).await.get("/small").await.status, 200);
    server.stop().await;
}

/// A client that sends all it has before it looks at the answer.
#[actix_web::test]
async fn promise_8_a_refusal_reaches_a_client_that_is_still_sending() {
    let (server, _) = start(config()).await;
    for framing in ["Content-Length: 8388608", "Transfer-Encoding: chunked"] {
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&format!("POST /refuse HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n"))
            .await;
        let chunked = framing.contains("chunked");
        for _ in 0..128 {
            if chunked {
                client.send_bytes(b"10000\r\n").await;
            }
            client.send_bytes(&[b'x'; 64 * 1024]).await;
            if chunked {
                client.send_bytes(b"\r\n").await;
            }
        }
        let answer = client.answer().await;
        answer.check_problem(413, "body_too_large");
        assert_eq!(answer.json()["maxBytes"], 5);
    }
    server.stop().await;
}

#[actix_web::test]
async fn promise_8_a_refusal_comes_before_the_body() {
    let (server, _) = start(config()).await;
    for extra in ["", "Expect: 100-continue\r\n"] {
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&format!(
                "POST /refuse HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\n{extra}\r\n"
            ))
            .await;
        let mut answer = client.head().await;
        if answer.status == 100 {
            answer = client.answer().await;
        }
        assert_eq!(answer.status, 413);
        assert_eq!(
            answer.header("connection"),
            Some("close"),
            "the rest of the body is not awaited"
        );
    }
    server.stop().await;
}

#[actix_web::test]
async fn head_has_no_body_whatever_the_answer() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    for (path, status) in [("/nothing", 404), ("/small", 200), ("/panic", 500), ("/nothing", 404)] {
        client.send(&format!("HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        let answer = client.head().await;
        assert_eq!(answer.status, status, "{path}");
        assert_ne!(
            answer.header("content-length"),
            Some("0"),
            "{path}: the length a GET would have"
        );
    }
    // Had a body been sent, this would read it as a head.
    assert_eq!(client.get("/small").await.body, b"small");
    server.stop().await;
}

#[actix_web::test]
async fn what_the_framework_refuses_has_the_form_of_all_others() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client.get("/nothing").await.check_problem(404, "not_found");
    client.send("PUT /small HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let answer = client.answer().await;
    answer.check_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    server.stop().await;
}

/// The edge in the embedded way is this server: what a Host is doesn't depend on the way to run.
#[actix_web::test]
async fn promise_10_a_host_that_is_none_is_refused() {
    let (server, _) = start(config()).await;
    for host in ["", "a b", "user@t", "t:port", "a,b", "[::1", "t%00"] {
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&format!("GET /small HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        client.answer().await.check_problem(400, "bad_request");
    }
    let mut client = Raw::connect(&server.public).await;
    client.send("GET http://other/small HTTP/1.1\r\nHost: t\r\n\r\n").await;
    client.answer().await.check_problem(400, "bad_request");
    for head in [
        "GET /small HTTP/1.1\r\nHost: [::1]:8080",
        "GET http://t:80/small HTTP/1.1\r\nHost: t:80",
        "GET /small HTTP/1.0",
    ] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&format!("{head}\r\n\r\n")).await;
        assert_eq!(client.answer().await.status, 200, "{head}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_head_that_can_not_be_read_is_refused_in_the_form_of_all_others() {
    let (server, _) = start(config()).await;
    let large = format!("GET /small HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "y".repeat(200_000));
    let many = format!("GET /small HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: 1\r\n".repeat(200));
    for (text, status, code) in [
        ("nonsense\r\n\r\n", 400, "bad_request"),
        ("GET /small HTTP/1.1\r\n\r\n", 400, "bad_request"),
        ("GET /small HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n", 400, "bad_request"),
        (&large, 431, "headers_too_large"),
        (&many, 431, "headers_too_large"),
    ] {
        for before in [0, 2] {
            let mut client = Raw::connect(&server.public).await;
            for _ in 0..before {
                assert_eq!(client.get("/small").await.body, b"small");
            }
            // The server may refuse and close before it has all of a large head.
            drop(client.io.write_all(text.as_bytes()).await);
            let answer = client.answer().await;
            if status == 431 && answer.status == 400 {
                // Which of the two bounds is met first is the framework's choice.
                answer.check_problem(400, "bad_request");
            } else {
                answer.check_problem(status, code);
            }
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(client.rest().await, b"", "one answer, then the end");
        }
    }
    server.stop().await;
}

/// A body that looks like a refusal of the framework is passed on as it is.
#[actix_web::test]
async fn a_body_that_looks_like_an_answer_stays_a_body() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    for _ in 0..3 {
        let answer = client.get("/mimic").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, super::MIMIC));
    }
    server.stop().await;
}
