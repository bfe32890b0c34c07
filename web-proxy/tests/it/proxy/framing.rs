//! One framing, chosen by the edge: lengths that are known stay known, answers without a body have none.

use common::testing::raw::Raw;

use crate::edge::{Way, ask, ask_head, before, before_in};
use crate::upstream::Upstream;

#[actix_web::test]
async fn request_bodies_keep_their_length() {
    let service = Upstream::named("api").await;
    let edge = before(&service).await;
    // Method, fields, bytes on the wire, framing at the service, body at the service.
    let cases = [
        ("POST", "Content-Length: 5", "hello", ("5", ""), "hello"),
        ("PUT", "Content-Length: 5", "hello", ("5", ""), "hello"),
        ("DELETE", "Content-Length: 5", "hello", ("5", ""), "hello"),
        ("GET", "Content-Length: 5", "hello", ("5", ""), "hello"),
        (
            "GET",
            "Transfer-Encoding: chunked",
            "5\r\nhello\r\n0\r\n\r\n",
            ("", "chunked"),
            "hello",
        ),
        (
            "POST",
            "Transfer-Encoding: chunked",
            "5\r\nhello\r\n3\r\n, y\r\n0\r\n\r\n",
            ("", "chunked"),
            "hello, y",
        ),
        (
            "POST",
            "Transfer-Encoding: chunked\r\nTrailer: X-T",
            "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
            ("", "chunked"),
            "hello",
        ),
        (
            "POST",
            "Transfer-Encoding: chunked",
            "5;ext=1\r\nhello\r\n0\r\n\r\n",
            ("", "chunked"),
            "hello",
        ),
        ("POST", "Transfer-Encoding: chunked", "0\r\n\r\n", ("", "chunked"), ""),
        ("POST", "Content-Length: 0", "", ("0", ""), ""),
        ("PUT", "Content-Length: 0", "", ("0", ""), ""),
        ("POST", "X-No: length", "", ("0", ""), ""),
        ("GET", "X-No: length", "", ("", ""), ""),
        ("DELETE", "X-No: length", "", ("", ""), ""),
    ];
    for (method, fields, wire, (length, coding), body) in cases {
        let answer = ask(
            &edge,
            &format!("{method} /api/v1/x HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n{wire}"),
        )
        .await;
        assert_eq!(answer.status, 200, "{method} {fields}");
        let seen = service.last();
        assert!(seen.whole, "{method} {fields}");
        assert_eq!(String::from_utf8_lossy(&seen.body), body, "{method} {fields}");
        assert_eq!(
            seen.header("content-length").unwrap_or_default(),
            length,
            "{method} {fields}: {}",
            seen.head
        );
        assert_eq!(
            seen.header("transfer-encoding").unwrap_or_default(),
            coding,
            "{method} {fields}"
        );
        assert_eq!(seen.header("x-t"), None, "trailers end at the edge");
        assert!(seen.line().starts_with(&format!("{method} ")));
    }
    edge.stop().await;
}

#[actix_web::test]
async fn answers_keep_their_length_and_those_without_a_body_have_none() {
    // What the service says; status, Content-Length and body at the client.
    let cases = [
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            (200, Some("5")),
            "hello",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            (200, Some("0")),
            "",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            (200, None),
            "hello",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n",
            (200, None),
            "",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
            (200, None),
            "hello",
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello",
            (200, None),
            "hello",
        ),
        (
            "GET",
            "HTTP/1.1 206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 0-1/5\r\n\r\nhe",
            (206, Some("2")),
            "he",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", (204, None), ""),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            (204, None),
            "",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"t\"\r\nContent-Length: 77\r\n\r\n",
            (304, Some("77")),
            "",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"t\"\r\n\r\n",
            (304, None),
            "",
        ),
        (
            "GET",
            "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            (302, Some("0")),
            "",
        ),
        (
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            (200, Some("2")),
            "ok",
        ),
        (
            "GET",
            "HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            (200, Some("2")),
            "ok",
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 388000000\r\n\r\n",
            (200, Some("388000000")),
            "",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", (200, None), ""),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            (200, None),
            "",
        ),
        (
            "HEAD",
            "HTTP/1.1 416 No\r\nContent-Type: application/problem+json\r\nContent-Length: 9\r\n\r\n",
            (416, Some("9")),
            "",
        ),
    ];
    for (method, said, (status, length), body) in cases {
        let service = Upstream::answering(said).await;
        let edge = before(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        for round in 0..2 {
            client
                .send(&format!("{method} /media/g/v/file HTTP/1.1\r\nHost: t\r\n\r\n"))
                .await;
            let answer = if method == "HEAD" {
                client.head().await
            } else {
                client.answer().await
            };
            assert_eq!(answer.status, status, "{method} {said} {round}");
            assert_eq!(
                answer.header("content-length"),
                length,
                "{method} {said}: {}",
                answer.head
            );
            assert_eq!(answer.text(), body, "{method} {said}");
            assert!(answer.headers("transfer-encoding").len() <= 1);
            assert!(answer.header("content-length").is_none() || answer.header("transfer-encoding").is_none());
        }
        edge.stop().await;
    }
}

/// HTTP/1.0 knows neither chunks nor connections that stay unless asked.
#[actix_web::test]
async fn an_old_client_gets_the_body_up_to_the_end_of_the_connection() {
    let service =
        Upstream::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").await;
    let edge = before(&service).await;
    for fields in ["", "Host: t\r\n", "Host: t\r\nConnection: keep-alive\r\n"] {
        let mut client = Raw::connect(&edge.public).await;
        client.send(&format!("GET /api/v1/x HTTP/1.0\r\n{fields}\r\n")).await;
        let answer = client.head().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("transfer-encoding"), None, "{}", answer.head);
        assert_eq!(client.rest().await, b"hello");
        assert_eq!(
            service.last().headers("host").len(),
            1,
            "the service speaks HTTP/1.1 and gets a Host"
        );
        assert!(service.last().line().ends_with("HTTP/1.1"));
    }
    edge.stop().await;
}

/// What no service of ours says (a mesh, a wrong process) has the form of all failures, whatever the way.
#[actix_web::test]
async fn failures_that_are_no_problems_become_some() {
    for kind in ["Content-Type: text/plain\r\n", ""] {
        let service = Upstream::answering(&format!(
            "HTTP/1.1 503 No\r\n{kind}Retry-After: 7\r\nContent-Length: 19\r\n\r\nno healthy upstream"
        ))
        .await;
        for way in Way::ALL {
            let edge = before_in(&service, way).await;
            let answer = ask(&edge, "GET /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n").await;
            answer.check_problem(503, "upstream_unavailable");
            assert_eq!(answer.header("retry-after"), Some("7"), "{way:?}");
            edge.stop().await;
        }
    }
}

/// A service's own failure document goes through as it is.
#[actix_web::test]
async fn problems_of_services_pass_unchanged() {
    let problem = r#"{"type":"/problems/too_many_streams","status":429,"code":"too_many_streams","errCode":2020}"#;
    let service = Upstream::answering(&format!(
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nRetry-After: 7\r\n\
         RateLimit: \"streams\";r=0;t=7\r\nContent-Length: {}\r\n\r\n{problem}",
        problem.len()
    ))
    .await;
    let edge = before(&service).await;
    let answer = ask(&edge, "GET /media/g/v/file HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (429, problem));
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("ratelimit"), Some("\"streams\";r=0;t=7"));
    let head = ask_head(&edge, "HEAD /media/g/v/file HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(head.status, 429);
    edge.stop().await;
}
