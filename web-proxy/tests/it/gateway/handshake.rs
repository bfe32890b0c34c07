//! The opening handshake: every row of its table, in its order, and every way to bring a token.

use common::error::Code;
use common::ids::Id;
use common::testing::eventually;
use common::testing::raw::Raw;
use serde_json::json;
use std::time::Duration;

use super::client::{Client, call, data_of, text};
use super::knock::Knock;
use super::site::Site;

/// Not a WebSocket at all, or a malformed one: 400, whatever else is wrong with it.
#[actix_web::test]
async fn what_is_missing_or_malformed_is_400_before_anything_is_asked() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let at = |target: &str| Knock::plain(target).with(&format!("Authorization: Bearer {}", ann.token));
    let by = || Knock::by(&ann);
    let long = "x".repeat(300);
    let cases = [
        ("no token", Knock::plain("/ws?sendID=ann&platformID=5")),
        ("an empty token", Knock::plain("/ws?sendID=ann&platformID=5&token=")),
        (
            "a long token",
            Knock::plain(&format!("/ws?sendID=ann&platformID=5&token={long}")),
        ),
        ("no parameters", at("/ws")),
        ("no sendID", at("/ws?platformID=5")),
        ("an empty sendID", at("/ws?sendID=&platformID=5")),
        ("no platformID", at("/ws?sendID=ann")),
        ("platform 0", at("/ws?sendID=ann&platformID=0")),
        ("platform 10", at("/ws?sendID=ann&platformID=10")),
        ("platform 05", at("/ws?sendID=ann&platformID=05")),
        ("platform Web", at("/ws?sendID=ann&platformID=Web")),
        ("platform -1", at("/ws?sendID=ann&platformID=-1")),
        (
            "an operationID with spaces",
            at("/ws?sendID=ann&platformID=5&operationID=a%20b"),
        ),
        ("parameters twice", at("/ws?sendID=ann&sendID=bob&platformID=5")),
        ("no version", by().without("Sec-WebSocket-Version")),
        (
            "version 8",
            by().without("Sec-WebSocket-Version").with("Sec-WebSocket-Version: 8"),
        ),
        ("two versions", by().with("Sec-WebSocket-Version: 13")),
        ("no key", by().without("Sec-WebSocket-Key")),
        (
            "a short key",
            by().without("Sec-WebSocket-Key").with("Sec-WebSocket-Key: AAAA"),
        ),
        (
            "a key that is no base64",
            by().without("Sec-WebSocket-Key").with("Sec-WebSocket-Key: !!!!"),
        ),
        ("two keys", by().with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
        ("another protocol", by().without("Upgrade").with("Upgrade: h2c")),
        ("no Upgrade", by().without("Upgrade")),
        ("no Connection", by().without("Connection")),
        ("two hosts", by().with("Host: u")),
        ("no host", by().without("Host")),
        (
            "no token, and a foreign page",
            Knock::plain("/ws?sendID=ann&platformID=5").with("Origin: http://evil"),
        ),
    ];
    for (name, knock) in cases {
        let answer = knock.refused(site.base()).await;
        assert_eq!(answer.status, 400, "{name}: {} {}", answer.head, answer.text());
        answer.check_problem(400, "bad_request");
    }
    let version = by().without("Sec-WebSocket-Version").with("Sec-WebSocket-Version: 8");
    assert_eq!(
        version.refused(site.base()).await.header("sec-websocket-version"),
        Some("13")
    );
    assert_eq!(site.api.count("tokens/parse"), 0);
    site.stop().await;
}

#[actix_web::test]
async fn other_methods_and_versions_of_http_are_refused() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let text = Knock::by(&ann).text();
    let ask = async |text: String| {
        let mut raw = Raw::connect(site.base()).await;
        raw.send(&text).await;
        raw.head().await.status
    };
    for method in ["POST", "PUT", "DELETE"] {
        let status = ask(text
            .replacen("GET", method, 1)
            .replacen("Host: t", "Host: t\r\nContent-Length: 0", 1))
        .await;
        assert!(status == 400 || status == 405, "{method} {status}");
    }
    let old = ask(text.replacen("HTTP/1.1", "HTTP/1.0", 1)).await;
    assert!((400..=505).contains(&old), "HTTP/1.0 {old}");
    assert_eq!(
        ask(text.replacen("/ws?", "/wss?", 1)).await,
        404,
        "the gateway is elsewhere"
    );
    assert_eq!(site.api.count("tokens/parse"), 0);
    site.stop().await;
}

#[actix_web::test]
async fn pages_of_other_sites_are_403_before_the_token_is_asked_about() {
    let site = Site::with(|config| {
        config.server.public_url = "https://video.example".into();
        config.gateway.origins = vec!["https://friend.example:8443".into()];
    })
    .await;
    let ann = site.api.user("ann");
    for origin in [
        "http://evil.example",
        "null",
        "",
        "t",
        "http://t.evil",
        "https://video.example.evil",
        "http://video.example",
        "https://friend.example",
        "file://",
    ] {
        let answer = Knock::by(&ann)
            .with(&format!("Origin: {origin}"))
            .refused(site.base())
            .await;
        assert_eq!(answer.status, 403, "{origin}");
        answer.check_problem(403, "forbidden");
    }
    let twice = Knock::by(&ann).with("Origin: http://t").with("Origin: http://t");
    twice.refused(site.base()).await.check_problem(403, "forbidden");
    let mut nobody = Knock::by(&ann).with("Origin: http://evil");
    nobody.fields.retain(|field| !field.starts_with("Authorization"));
    nobody.fields.push("Authorization: Bearer wrong".into());
    nobody.refused(site.base()).await.check_problem(403, "forbidden");
    assert_eq!(site.api.count("tokens/parse"), 0);
    for origin in [
        "http://t",
        "https://T",
        "https://video.example",
        "https://friend.example:8443",
    ] {
        Knock::by(&ann)
            .with(&format!("Origin: {origin}"))
            .enter(site.base())
            .await
            .leave()
            .await;
    }
    site.stop().await;
}

#[actix_web::test]
async fn tokens_of_nobody_of_another_and_of_yesterday_are_401_also_at_the_limit() {
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 1).await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let _only = site.enter(&ann).await;
    let check = async |knock: Knock| knock.refused(site.base()).await.check_problem(401, "unauthenticated");
    check(Knock::plain("/ws?sendID=ann&platformID=5&token=nonsense")).await;
    check(Knock::plain(&format!(
        "/ws?sendID=ann&platformID=5&token={}",
        bob.token
    )))
    .await;
    check(Knock::plain(&format!(
        "/ws?sendID=ANN&platformID=5&token={}",
        ann.token
    )))
    .await;
    check(Knock::plain(&format!(
        "/ws?sendID={}&platformID=5&token={}",
        ann.id(),
        ann.token
    )))
    .await;
    let gone = site.api.sign_in("ann", ann.id().clone(), Duration::ZERO);
    check(Knock::by(&gone)).await;
    let ended = site.api.again(&ann);
    site.api.end_session(&ended.owner.session);
    check(Knock::by(&ended)).await;
    // The place is looked at last.
    Knock::by(&ann)
        .refused(site.base())
        .await
        .check_problem(429, "too_many_connections");
    drop(_only);
    site.stop().await;
}

#[actix_web::test]
async fn the_limit_is_429_by_user_and_platform() {
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 2).await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let first = site.enter(&ann).await;
    let mut others = vec![site.enter(&ann).await];
    let refused = Knock::by(&ann).refused(site.base()).await;
    refused.check_problem(429, "too_many_connections");
    assert!(refused.header("retry-after").is_some());
    // Another session of hers is her, too; another platform and another user are not.
    Knock::by(&site.api.again(&ann))
        .refused(site.base())
        .await
        .check_problem(429, "too_many_connections");
    others.push(Knock::on(&ann, 1).enter(site.base()).await);
    others.push(site.enter(&bob).await);
    first.leave().await;
    let again = eventually("her place is free", Duration::from_secs(20), || async {
        Knock::by(&ann).try_enter(site.base()).await.ok()
    });
    others.push(again.await);
    drop(others);
    site.stop().await;
}

#[actix_web::test]
async fn without_api_service_it_is_503_and_the_process_has_a_limit_too() {
    let site = Site::with(|config| config.gateway.max_connections = 1).await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    site.api.set_away(true);
    let refused = Knock::by(&ann).refused(site.base()).await;
    refused.check_problem(503, "upstream_unavailable");
    assert!(refused.header("retry-after").is_some());
    site.api.set_away(false);
    site.api.fail_with("tokens/parse", Code::Internal);
    Knock::by(&ann)
        .refused(site.base())
        .await
        .check_problem(503, "upstream_unavailable");
    site.api.recover();
    // A failure is not remembered.
    let only = site.enter(&ann).await;
    Knock::by(&bob)
        .refused(site.base())
        .await
        .check_problem(503, "overloaded");
    only.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_token_is_taken_from_header_protocol_query_and_cookie() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let token = &ann.token;
    let plain = || Knock::plain("/ws?sendID=ann&platformID=5");
    let (answer, _) = plain()
        .with(&format!("Cookie: a=b; sluice_session={token}"))
        .knock(site.base())
        .await;
    assert_eq!(answer.status, 101, "{}", answer.head);
    // The example of RFC 6455 section 1.3.
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert!(answer.header("upgrade").unwrap().eq_ignore_ascii_case("websocket"));
    assert!(answer.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!(answer.headers("sec-websocket-protocol").len(), 0);
    assert_eq!(answer.headers("sec-websocket-extensions").len(), 0);
    let (answer, _) = plain()
        .with(&format!("Sec-WebSocket-Protocol: sluice.v1, bearer.{token}"))
        .with("Sec-WebSocket-Extensions: permessage-deflate")
        .knock(site.base())
        .await;
    assert_eq!(
        answer.headers("sec-websocket-protocol"),
        ["sluice.v1"],
        "never the token"
    );
    assert_eq!(answer.headers("sec-websocket-extensions").len(), 0);
    assert!(!answer.head.contains(token.as_str()));
    // What a program puts in on purpose comes before the cookie of a browser.
    let (answer, _) = Knock::by(&ann)
        .with("Cookie: sluice_session=old")
        .knock(site.base())
        .await;
    assert_eq!(answer.status, 101);
    let (answer, _) = Knock::by_query(&ann).knock(site.base()).await;
    assert_eq!(answer.status, 101);
    site.stop().await;

    let strict = Site::with(|config| config.gateway.query_token = false).await;
    let ann = strict.api.user("ann");
    Knock::by_query(&ann)
        .refused(strict.base())
        .await
        .check_problem(400, "bad_request");
    strict.stop().await;
}

#[actix_web::test]
async fn the_first_frame_says_who_and_how() {
    let site = Site::new().await;
    let ann = site.api.sign_in("ann", Id::now(), Duration::from_secs(60));
    let mut client = Knock::on(&ann, 9).enter(site.base()).await;
    let hello = client.event("OnConnectSuccess").await;
    let data = hello["data"].clone();
    assert_eq!(
        (&data["userID"], &data["username"], &data["platformID"]),
        (&json!(ann.id()), &json!("ann"), &json!(9))
    );
    assert_eq!(
        (&data["pingIntervalMs"], &data["deadAfterMs"]),
        (&json!(25_000), &json!(60_000))
    );
    let limits =
        json!({"maxFrameBytes": 65536, "callsPerSecond": 20, "callBurst": 40, "maxCallsInFlight": 8, "maxRooms": 100});
    assert_eq!(data["limits"], limits);
    assert!(data["serverTime"].as_str().unwrap().ends_with('Z'));
    client.leave().await;
    // A client of OpenIM brings its token as parameter, and gets data as text.
    let mut client = Knock::by_query(&ann).enter(site.base()).await;
    let hello = client.event("OnConnectSuccess").await;
    assert!(hello["data"].is_string());
    assert_eq!(hello["operationID"], "o1");
    assert_eq!(data_of(&hello)["platformID"], 5);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn frames_that_come_with_the_handshake_are_read() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut raw = Raw::connect(site.base()).await;
    let mut bytes = Knock::by(&ann).text().into_bytes();
    bytes.extend(text(&call("Login", "early", &json!({}))));
    // The end of it comes later.
    let ping = text(&call("Ping", "late", &json!({})));
    bytes.extend(&ping[..10]);
    raw.send_bytes(&bytes).await;
    assert_eq!(raw.head().await.status, 101);
    let mut client = Client::over(raw);
    assert_eq!(client.answer("early").await["data"], "ok");
    client.send(&ping[10..]).await;
    assert_eq!(client.answer("late").await["errCode"], 0);
    client.leave().await;
    site.stop().await;
}

/// As in the embedded way to run, where the other services are in the same process.
#[actix_web::test]
async fn the_gateway_is_beside_the_pages_as_well() {
    let api = super::api::Api::new().await;
    let mut config = super::site::config(&api);
    config.server.public_url = "https://video.example".into();
    let documents = web_proxy::Documents::from([]);
    let mode = web_proxy::Mode::Pages(documents);
    let edge = crate::edge::try_start(config, mode, crate::edge::page()).await.unwrap();
    let ann = api.user("ann");
    let plain = crate::edge::ask(&edge, "GET /ws?sendID=ann&platformID=5 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    plain.check_problem(400, "bad_request");
    // Over https the cookie has another name.
    let knock = Knock::plain("/ws?sendID=ann&platformID=5").with("Origin: https://video.example");
    let old = knock.clone().with(&format!("Cookie: sluice_session={}", ann.token));
    old.refused(&edge.public).await.check_problem(400, "bad_request");
    let mut client = knock
        .with(&format!(
            "Cookie: {}={}",
            common::http::CookieName::Host.as_str(),
            ann.token
        ))
        .enter(&edge.public)
        .await;
    client.login().await;
    assert_eq!(client.call("GetSelfUserInfo", json!({})).await["username"], "ann");
    client.leave().await;
    edge.stop().await;
}
