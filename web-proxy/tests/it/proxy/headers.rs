//! Promise 10: hop-by-hop fields dropped, Host validated, identity from outside dropped, the client's address taken
//! through trusted proxies only.

use common::config::Config;
use common::testing::Running;

use crate::edge::{Way, ask, before, before_in, config, start};
use crate::upstream::{Seen, Upstream};

async fn through(edge: &Running, service: &Upstream, fields: &str) -> Seen {
    let text = format!("GET /api/v1/x HTTP/1.1\r\nHost: video.example:8443\r\n{fields}\r\n");
    let answer = ask(edge, &text).await;
    assert_eq!(answer.status, 200, "{fields} {}", answer.text());
    service.last()
}

#[actix_web::test]
async fn promise_10_request_fields_of_one_hop_and_of_others_identity_are_dropped() {
    for way in Way::ALL {
        request_fields(way).await;
    }
}

async fn request_fields(way: Way) {
    let service = Upstream::named("api").await;
    let edge = before_in(&service, way).await;
    // Field as sent, and the values with which its name may arrive.
    let cases: &[(&str, &str, &[&str])] = &[
        ("Connection: close", "connection", &[]),
        ("Connection: X-Secret, keep-alive\r\nX-Secret: 1", "x-secret", &[]),
        ("Connection: x-a\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 2", "x-a", &[]),
        ("Connection: x-a\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 2", "x-b", &[]),
        ("Connection: x-forwarded-for", "x-forwarded-for", &["127.0.0.1"]),
        ("Connection: host", "host", &["video.example:8443"]),
        ("Keep-Alive: timeout=5", "keep-alive", &[]),
        ("Proxy-Authorization: Basic eDp5", "proxy-authorization", &[]),
        ("Proxy-Connection: keep-alive", "proxy-connection", &[]),
        ("Proxy-Anything: 1", "proxy-anything", &[]),
        ("TE: trailers", "te", &[]),
        ("Trailer: X-T", "trailer", &[]),
        (
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
            "upgrade",
            &[],
        ),
        (
            "Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAMAAABk",
            "http2-settings",
            &[],
        ),
        ("Expect: 200-ok", "expect", &[]),
        ("X-Forwarded-For: 6.6.6.6", "x-forwarded-for", &["127.0.0.1"]),
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7",
            "x-forwarded-for",
            &["127.0.0.1"],
        ),
        ("X_Forwarded_For: 6.6.6.6", "x_forwarded_for", &[]),
        (
            "X-Forwarded-Host: evil.example",
            "x-forwarded-host",
            &["video.example:8443"],
        ),
        ("X-Forwarded-Proto: https", "x-forwarded-proto", &["http"]),
        ("X-Forwarded-Port: 1", "x-forwarded-port", &[]),
        ("X-Forwarded-Prefix: /evil", "x-forwarded-prefix", &[]),
        ("Forwarded: for=6.6.6.6;host=evil", "forwarded", &[]),
        ("X-Real-IP: 6.6.6.6", "x-real-ip", &[]),
        ("X-Original-URL: /internal/x", "x-original-url", &[]),
        ("X-Sluice-User: admin", "x-sluice-user", &[]),
        ("x-sluice-anything: 1", "x-sluice-anything", &[]),
        ("X-Operation-Id: bad id with spaces", "x-operation-id", &["minted"]),
        ("X-Operation-Id: mine-1", "x-operation-id", &["mine-1"]),
        ("Accept: text/plain", "accept", &["text/plain"]),
        ("User-Agent: test/1", "user-agent", &["test/1"]),
        ("Authorization: Bearer t", "authorization", &["Bearer t"]),
        ("Cookie: a=1", "cookie", &["a=1"]),
        (
            "Origin: https://video.example:8443",
            "origin",
            &["https://video.example:8443"],
        ),
        ("Sec-Fetch-Site: same-origin", "sec-fetch-site", &["same-origin"]),
        ("X-Twice: 1\r\nX-Twice: 2", "x-twice", &["1", "2"]),
        ("Range: bytes=0-5", "range", &["bytes=0-5"]),
        ("If-Range: \"tag\"", "if-range", &["\"tag\""]),
        ("If-None-Match: W/\"a\"", "if-none-match", &["W/\"a\""]),
        ("If-Match: \"b\"", "if-match", &["\"b\""]),
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            "if-modified-since",
            &["Sun, 06 Nov 1994 08:49:37 GMT"],
        ),
        ("Tus-Resumable: 1.0.0", "tus-resumable", &["1.0.0"]),
        ("Upload-Offset: 5", "upload-offset", &["5"]),
        ("X-Empty:", "x-empty", &[""]),
        ("X-Obs: caf\u{e9}", "x-obs", &["caf\u{e9}"]),
        ("KEEP_alive: 1", "keep_alive", &[]),
        ("Transfer_Encoding: chunked", "transfer_encoding", &[]),
        ("CONTENT_LENGTH: 5", "content_length", &[]),
        ("x-SLUICE-User: admin", "x-sluice-user", &[]),
        ("X_Sluice-User: admin", "x_sluice-user", &[]),
        ("PROXY_Thing: 1", "proxy_thing", &[]),
        ("FORWARDED: for=6.6.6.6", "forwarded", &[]),
    ];
    for (fields, name, expected) in cases {
        let seen = through(&edge, &service, &format!("{fields}\r\n")).await;
        let found = seen.headers(name);
        if *expected == ["minted"] {
            assert_eq!(found.len(), 1, "{fields}");
            assert_eq!(found[0].len(), 32, "{fields}");
        } else {
            assert_eq!(found, *expected, "{way:?} {fields}: {}", seen.head);
        }
        assert_eq!(seen.headers("host"), ["video.example:8443"], "{fields}");
    }
    // Nothing is invented but what is ours.
    let seen = through(&edge, &service, "").await;
    let mut names = seen.names();
    names.sort();
    assert_eq!(
        names,
        [
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-operation-id"
        ]
    );
    edge.stop().await;
}

#[actix_web::test]
async fn promise_10_answer_fields_of_one_hop_are_dropped() {
    let service = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
         Proxy-Authenticate: Basic\r\nTrailer: X-T\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: \"t\"\r\n\
         Content-Security-Policy: sandbox\r\nX-Request-Id: theirs\r\nServer: own\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nok",
    )
    .await;
    let edge = before(&service).await;
    let answer = ask(
        &edge,
        "GET /media/g/v/file HTTP/1.1\r\nHost: t\r\nX-Operation-Id: op-7\r\n\r\n",
    )
    .await;
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "trailer",
        "upgrade",
        "transfer-encoding",
    ] {
        assert!(answer.headers(name).is_empty(), "{name}: {}", answer.head);
    }
    assert_eq!(answer.headers("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.headers("etag"), ["\"t\""]);
    assert_eq!(
        answer.headers("date"),
        ["Sun, 06 Nov 1994 08:49:37 GMT"],
        "once, and the service's"
    );
    assert_eq!(
        answer.headers("content-security-policy"),
        ["sandbox"],
        "a service's own is stricter and stays"
    );
    assert_eq!(answer.headers("x-request-id"), ["op-7"]);
    assert_eq!(answer.headers("x-content-type-options"), ["nosniff"]);
    assert_eq!(answer.headers("content-length"), ["2"]);
    edge.stop().await;
}

#[actix_web::test]
async fn promise_10_the_client_is_known_through_trusted_proxies_only() {
    let service = Upstream::named("api").await;
    let check = async |config: Config, fields: &str, expected: (&str, &str)| {
        let edge = start(config).await;
        let seen = through(&edge, &service, fields).await;
        let found = (
            seen.header("x-forwarded-for").unwrap(),
            seen.header("x-forwarded-proto").unwrap(),
        );
        assert_eq!((found.0.as_str(), found.1.as_str()), expected, "{fields}");
        assert_eq!(seen.headers("x-forwarded-for").len(), 1);
        edge.stop().await;
    };
    let base = service.base.as_str();
    let plain = || config(&[base], &[base], &[base]);
    let behind = |blocks: &[&str]| {
        let mut config = plain();
        config.server.trusted_proxies = blocks.iter().map(|block| (*block).to_owned()).collect();
        config
    };
    let spoof = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n";
    check(plain(), spoof, ("127.0.0.1", "http")).await;
    check(behind(&["10.0.0.0/8"]), spoof, ("127.0.0.1", "http")).await;
    check(behind(&["127.0.0.1"]), spoof, ("9.9.9.9", "https")).await;
    check(
        behind(&["127.0.0.0/8", "10.0.0.0/8"]),
        "X-Forwarded-For: 6.6.6.6, 9.9.9.9\r\nX-Forwarded-For: 10.1.2.3\r\n",
        ("9.9.9.9", "http"),
    )
    .await;
    check(
        behind(&["127.0.0.1"]),
        "X-Forwarded-For: nonsense\r\n",
        ("127.0.0.1", "http"),
    )
    .await;
    let mut https = plain();
    https.server.public_url = "https://video.example".into();
    check(https, "", ("127.0.0.1", "https")).await;
}

#[actix_web::test]
async fn promise_10_a_host_that_is_none_is_refused() {
    let service = Upstream::named("api").await;
    let edge = before(&service).await;
    for host in [
        "", "a b", "a/b", "user@h", "h:port", "h:99999", "h,g", "h;g", "[::1", "[zz]", "h%00", "h?x", "\u{e9}",
    ] {
        let answer = ask(&edge, &format!("GET /api/v1/x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        answer.check_problem(400, "bad_request");
    }
    // Absolute form: one host, or none is believed.
    let differs = ask(&edge, "GET http://evil.example/api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n").await;
    differs.check_problem(400, "bad_request");
    assert_eq!(service.count(), 0);
    for (host, target) in [
        ("t", "/api/v1/x"),
        ("[::1]:80", "/api/v1/x"),
        ("v.example", "http://v.example/api/v1/x?y=1"),
    ] {
        let answer = ask(&edge, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(service.last().headers("host"), [host]);
        assert!(
            service.last().target().starts_with("/api/v1/x"),
            "origin form to the service"
        );
    }
    // The page does not care who asked, but a request for it is refused as well: the edge has one rule.
    ask(&edge, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n")
        .await
        .check_problem(400, "bad_request");
    edge.stop().await;
}

/// Services compare Origin with Host (common::http::refuse_cross_site): the public Host must reach them.
#[actix_web::test]
async fn the_check_against_forgery_works_behind_the_edge() {
    use actix_web::{HttpRequest, HttpResponse, web};
    use common::service::Service;
    let behind = common::testing::spawn(common::testing::test_config(), |_, _| async {
        let change = async |request: HttpRequest| -> Result<HttpResponse, common::error::ApiError> {
            common::http::session_token(&request, common::http::CookieName::Plain)?;
            Ok(HttpResponse::NoContent().finish())
        };
        Ok(Service {
            name: "test",
            public: Some(std::sync::Arc::new(move |config: &mut web::ServiceConfig| {
                config.route("/api/v1/x", web::post().to(change));
            })),
            internal: None,
            ready: Vec::new(),
            upgrades: None,
            direct: None,
        })
    })
    .await
    .unwrap();
    let base = behind.public.as_str();
    let edge = start(config(&[base], &[base], &[base])).await;
    for (origin, status) in [
        ("http://video.example:8443", 204),
        ("http://evil.example", 403),
        ("http://video.example", 403),
    ] {
        let text = format!(
            "POST /api/v1/x HTTP/1.1\r\nHost: video.example:8443\r\nCookie: sluice_session=t\r\nOrigin: {origin}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let answer = ask(&edge, &text).await;
        assert_eq!(answer.status, status, "{origin} {}", answer.text());
        if status == 403 {
            answer.check_problem(403, "forbidden");
        }
    }
    edge.stop().await;
    behind.stop().await;
}
