//! Promise 10: requests that two readers could take for different ones end at the edge, with their connection.

use common::testing::raw::Raw;

use crate::edge::before;
use crate::upstream::Upstream;

/// What a smuggler hopes to have read as a request of its own.
const INNER: &str = "GET /api/v1/smuggled HTTP/1.1\r\nHost: t\r\n\r\n";

#[actix_web::test]
async fn promise_10_malformed_requests_end_their_connection() {
    let service = Upstream::named("api").await;
    let edge = before(&service).await;
    let post = "POST /api/v1/x HTTP/1.1\r\nHost: t\r\n";
    let inner = INNER.len();
    let cases = [
        (
            "CL and TE",
            format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "TE and CL",
            format!("{post}Transfer-Encoding: chunked\r\nContent-Length: {inner}\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "two CL that differ",
            format!("{post}Content-Length: 0\r\nContent-Length: {inner}\r\n\r\n{INNER}"),
        ),
        (
            "two CL that agree",
            format!("{post}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx{INNER}"),
        ),
        ("CL list", format!("{post}Content-Length: 1, 1\r\n\r\nx{INNER}")),
        ("CL with sign", format!("{post}Content-Length: +1\r\n\r\nx{INNER}")),
        ("CL negative", format!("{post}Content-Length: -1\r\n\r\n{INNER}")),
        ("CL hexadecimal", format!("{post}Content-Length: 0x1\r\n\r\nx{INNER}")),
        (
            "CL beyond numbers",
            format!("{post}Content-Length: 99999999999999999999999\r\n\r\n{INNER}"),
        ),
        ("CL empty", format!("{post}Content-Length:\r\n\r\n{INNER}")),
        ("CL text", format!("{post}Content-Length: x\r\n\r\n{INNER}")),
        (
            "two TE",
            format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "TE list",
            format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "TE gzip",
            format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "TE xchunked",
            format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "TE identity",
            format!("{post}Transfer-Encoding: identity\r\n\r\n{INNER}"),
        ),
        (
            "TE with vertical tab",
            format!("{post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "TE in HTTP/1.0",
            format!("POST /api/v1/x HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "space before the colon",
            format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "space before the name",
            format!("{post} Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}"),
        ),
        ("folded field", format!("{post}X-A: 1\r\n 2\r\n\r\n{INNER}")),
        ("field without a colon", format!("{post}Nonsense\r\n\r\n{INNER}")),
        ("empty name", format!("{post}: 1\r\n\r\n{INNER}")),
        ("NUL in a value", format!("{post}X-A: a\0b\r\n\r\n{INNER}")),
        (
            "bare CR in a value",
            format!("{post}X-A: a\rTransfer-Encoding: chunked\r\n\r\n{INNER}"),
        ),
        ("no Host", format!("GET /api/v1/x HTTP/1.1\r\n\r\n{INNER}")),
        (
            "two Hosts",
            format!("GET /api/v1/x HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n{INNER}"),
        ),
        ("HTTP/2.0", format!("GET /api/v1/x HTTP/2.0\r\nHost: t\r\n\r\n{INNER}")),
        ("HTTP/1.2", format!("GET /api/v1/x HTTP/1.2\r\nHost: t\r\n\r\n{INNER}")),
        ("no version", format!("GET /api/v1/x\r\nHost: t\r\n\r\n{INNER}")),
        (
            "space in the target",
            format!("GET /api/v1/x y HTTP/1.1\r\nHost: t\r\n\r\n{INNER}"),
        ),
        (
            "bad method",
            format!("G@T /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n{INNER}"),
        ),
        ("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (
            "TLS",
            "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_owned() + "\r\n\r\n",
        ),
        (
            "too many fields",
            format!("{post}{}\r\n{INNER}", "X-A: 1\r\n".repeat(200)),
        ),
        (
            "head too large",
            format!("{post}X-A: {}\r\n\r\n{INNER}", "y".repeat(200_000)),
        ),
        (
            "upgrade with a body",
            format!("{post}Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx{INNER}"),
        ),
    ];
    for (name, text) in cases {
        let mut client = Raw::connect(&edge.public).await;
        // The edge may refuse and close before it has all of a large head.
        drop(tokio::io::AsyncWriteExt::write_all(&mut client.io, text.as_bytes()).await);
        let all = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(
            all.is_empty() || all.starts_with("HTTP/1.1 4") || all.starts_with("HTTP/1.0 4"),
            "{name}: {all}"
        );
        assert_eq!(
            all.matches("HTTP/1.").count(),
            usize::from(!all.is_empty()),
            "{name}: one answer, then the end: {all}"
        );
        for field in [
            "application/problem+json",
            "x-request-id: ",
            "content-security-policy: ",
        ] {
            assert!(all.is_empty() || all.contains(field), "{name}: {all}");
        }
    }
    assert_eq!(service.count(), 0, "{:?}", service.seen());
    edge.stop().await;
}

/// The head is fine, the body is not: the service must not take it for a whole one.
#[actix_web::test]
async fn promise_10_a_broken_chunk_never_becomes_a_whole_body() {
    for (name, body) in [
        ("no hexadecimal", "zz\r\nabc\r\n0\r\n\r\n"),
        ("negative", "-1\r\nabc\r\n0\r\n\r\n"),
        ("beyond numbers", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("no end of line", "3\r\nabcX0\r\n\r\n"),
        ("bare LF", "3\nabc\n0\n\n"),
        ("space in the size", "3 3\r\nabc\r\n0\r\n\r\n"),
    ] {
        let service = Upstream::named("api").await;
        let edge = before(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        client
            .send(&format!(
                "POST /api/v1/x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}{INNER}"
            ))
            .await;
        let all = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(all.is_empty() || all.starts_with("HTTP/1.1 4"), "{name}: {all}");
        service.until_open(0).await;
        assert!(
            service.seen().iter().all(|seen| !seen.whole),
            "{name}: {:?}",
            service.seen()
        );
        edge.stop().await;
    }
}

/// Pipelined requests are two requests, in order, each with its own answer.
#[actix_web::test]
async fn pipelined_requests_stay_apart() {
    let service = Upstream::named("api").await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    client
        .send(&format!(
            "POST /api/v1/first HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{INNER}{INNER}",
            INNER.len()
        ))
        .await;
    assert_eq!(client.answer().await.text(), "api");
    assert_eq!(client.answer().await.text(), "api");
    let seen = service.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (seen[0].target(), seen[0].body.as_slice()),
        ("/api/v1/first", INNER.as_bytes())
    );
    assert_eq!(seen[1].target(), "/api/v1/smuggled");
    edge.stop().await;
}
