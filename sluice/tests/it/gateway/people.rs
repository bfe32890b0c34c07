//! Who is put out, when, and who is not: signing out, a new password, a closed account, a token that is not the user's.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::rooms::couple;
use super::socket::{Heard, Hello, Socket};
use crate::person::{PASSWORD, Person};
use crate::site::{Home, Site, files};

/// The promise is a second; the rest is for a machine that does other things too.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Waits for the goodbye of a session that ended.
async fn put_out(mut socket: Socket) {
    let wait = async {
        let kicked = socket.event("OnKickedOffline").await;
        assert_eq!(kicked, json!({ "reason": "signed_out" }));
        assert_eq!(socket.closed().await.0, 4401);
    };
    tokio::time::timeout(AT_ONCE, wait).await.expect("put out at once");
}

/// A handshake that must be refused.
async fn refused(hello: &Hello<'_>) -> (u16, String) {
    let Some(Err((status, body))) = hello.connect().await else {
        panic!("a refusal is expected")
    };
    (status, body["code"].as_str().unwrap().to_owned())
}

async fn signing_out(site: &Site) {
    let (page, bob, id) = couple(site).await;
    let phone = Person::sign_in(&site.base, "ann", PASSWORD).await;
    let (first, second) = (Socket::logged_in(&page).await, Socket::open(&page).await);
    let (mut phones, mut bobs) = (Socket::logged_in(&phone).await, Socket::logged_in(&bob).await);
    for socket in [&mut phones, &mut bobs] {
        socket.ok("JoinRoom", json!({ "videoID": id })).await;
    }
    page.delete("/api/v1/sessions/current").await.expect(204);
    tokio::join!(put_out(first), put_out(second));
    for socket in [&mut phones, &mut bobs] {
        socket.is_alive().await;
        assert!(socket.kept().all(|event| event["event"] != "OnKickedOffline"));
    }
    phones
        .ok("PostComment", json!({ "videoID": id, "text": "still here" }))
        .await;
    bobs.event("OnRecvComment").await;
    assert_eq!(
        refused(&Hello::of(&page)).await,
        (401, "unauthenticated".into()),
        "the token is worth nothing"
    );

    // From the list of devices, by another device.
    let page = Person::sign_in(&site.base, "ann", PASSWORD).await;
    let socket = Socket::logged_in(&page).await;
    let sessions = page.get("/api/v1/sessions").await.expect(200);
    let sessions = sessions.get("items").unwrap_or(&sessions).as_array().unwrap().clone();
    let own = sessions.iter().find(|session| session["current"] == true).unwrap();
    phone
        .delete(&format!("/api/v1/sessions/{}", own["id"].as_str().unwrap()))
        .await
        .expect(204);
    put_out(socket).await;

    // By the function itself.
    let page = Person::sign_in(&site.base, "ann", PASSWORD).await;
    let (mut socket, other) = (Socket::logged_in(&page).await, Socket::logged_in(&page).await);
    let reply = socket.try_call("Logout", json!({ "session": true })).await;
    assert!(
        reply.as_ref().is_ok_and(|reply| reply["errCode"] == 0)
            || reply == Err(Heard::Close(4401, "signed out".into())),
        "{reply:?}"
    );
    tokio::time::timeout(AT_ONCE, socket.closed())
        .await
        .expect("put out at once");
    put_out(other).await;
    phones.is_alive().await;
}

#[tokio::test]
async fn promise_13_signing_out_closes_the_sockets_of_that_session_and_no_other_embedded() {
    let home = Home::new();
    let site = home.serve(&[]);
    signing_out(&site).await;
    site.stop();
}

#[tokio::test]
async fn promise_13_signing_out_closes_the_sockets_of_that_session_and_no_other_in_four_processes() {
    let home = Home::new();
    let site = home.roles(&[]);
    signing_out(&site).await;
    site.stop();
}

async fn leaving(site: &Site) {
    let (page, bob, id) = couple(site).await;
    let phone = Person::sign_in(&site.base, "ann", PASSWORD).await;
    let (mut pages, phones) = (Socket::logged_in(&page).await, Socket::logged_in(&phone).await);
    let mut bobs = Socket::logged_in(&bob).await;
    bobs.ok("JoinRoom", json!({ "videoID": id })).await;
    let change = json!({ "current": PASSWORD, "new": "another long passphrase" });
    page.post("/api/v1/users/me/password", change).await.expect(204);
    put_out(phones).await;
    // The session that changed it stays.
    pages.is_alive().await;
    bobs.is_alive().await;

    let phone = Person::sign_in(&site.base, "ann", "another long passphrase").await;
    let phones = Socket::logged_in(&phone).await;
    let close = json!({ "password": "another long passphrase" });
    page.call(Method::DELETE, "/api/v1/users/me", close).await.expect(202);
    tokio::join!(put_out(pages), put_out(phones));
    bobs.is_alive().await;
    // Their videos go with them: whoever is in a room is told.
    let closed = bobs.event("OnRoomClosed").await;
    assert!(
        ["trashed", "purged"].contains(&closed["data"]["reason"].as_str().unwrap()),
        "{closed}"
    );
}

#[tokio::test]
async fn promise_13_a_new_password_and_a_closed_account_put_out_who_they_must_embedded() {
    let home = Home::new();
    let site = home.serve(&[]);
    leaving(&site).await;
    site.stop();
}

#[tokio::test]
async fn promise_13_a_new_password_and_a_closed_account_put_out_who_they_must_in_four_processes() {
    let home = Home::new();
    let site = home.roles(&[]);
    leaving(&site).await;
    site.stop();
}

/// The rows of the handshake table that need the whole platform.
#[tokio::test]
async fn promise_12_a_token_opens_its_own_users_connection_only() {
    let home = Home::new();
    let site = home.serve(&["gateway.max_connections_per_platform=3"]);
    let ann = Person::register(&site.base, "ann").await;
    Person::register(&site.base, "bob").await;
    let with = |query: &str| Hello {
        query: query.to_owned(),
        ..Hello::of(&ann)
    };
    for (query, status, code) in [
        ("platformID=5", 400, "bad_request"),
        ("sendID=ann", 400, "bad_request"),
        ("sendID=ann&platformID=10", 400, "bad_request"),
        ("sendID=bob&platformID=5", 401, "unauthenticated"),
        ("sendID=ANN&platformID=5", 401, "unauthenticated"),
    ] {
        assert_eq!(refused(&with(query)).await, (status, code.into()), "{query}");
    }
    let mut elsewhere = Hello::of(&ann);
    elsewhere.headers.push(("origin".into(), "https://evil.example".into()));
    assert_eq!(refused(&elsewhere).await, (403, "forbidden".into()));
    let mut wrong = Hello::of(&ann);
    wrong.headers = vec![("authorization".into(), format!("Bearer {}", "x".repeat(43)))];
    assert_eq!(refused(&wrong).await, (401, "unauthenticated".into()));
    let nothing = Hello {
        headers: Vec::new(),
        ..Hello::of(&ann)
    };
    assert_eq!(refused(&nothing).await, (400, "bad_request".into()));

    // Every way to bring a token; then the places of this platform are taken, and others are not.
    let mut sockets = Vec::new();
    let ways = [
        (
            "sendID=ann&platformID=5".to_owned(),
            vec![("cookie", format!("sluice_session={}", ann.token))],
        ),
        (
            "sendID=ann&platformID=5".to_owned(),
            vec![("sec-websocket-protocol", format!("sluice.v1, bearer.{}", ann.token))],
        ),
        (format!("sendID=ann&platformID=5&token={}", ann.token), Vec::new()),
    ];
    for (query, headers) in ways {
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let hello = Hello {
            base: &site.base,
            query,
            headers,
        };
        sockets.push(
            hello
                .connect()
                .await
                .unwrap()
                .unwrap_or_else(|refusal| panic!("{refusal:?}")),
        );
    }
    assert_eq!(refused(&Hello::of(&ann)).await, (429, "too_many_connections".into()));
    assert!(with("sendID=ann&platformID=1").connect().await.unwrap().is_ok());
    drop(sockets);
    common::testing::eventually("the places come back", AT_ONCE, || async {
        Hello::of(&ann).connect().await.unwrap().ok()
    })
    .await;
    site.stop();
}

#[tokio::test]
async fn promise_14_no_token_of_a_socket_in_log_data_or_metrics() {
    let home = Home::new();
    let site = home.serve(&["log.level=trace"]);
    let (ann, bob, id) = couple(&site).await;
    for query in [
        format!("sendID=ann&token={}&platformID=5&operationID=in-the-address", ann.token),
        // Refused ones must not be written down either.
        format!("sendID=ann&token={}&platformID=99&operationID=refused", ann.token),
        format!("sendID=bob&token={}&platformID=5&operationID=not-bobs", ann.token),
    ] {
        let hello = Hello {
            base: &site.base,
            query,
            headers: Vec::new(),
        };
        drop(hello.connect().await.unwrap());
    }
    let mut socket = Socket::open(&bob).await;
    let login = json!({ "userID": "bob", "token": bob.token });
    assert_eq!(socket.ok("Login", login).await, "ok");
    let wrong = json!({ "userID": "bob", "token": ann.token });
    assert_eq!(socket.refused("Login", wrong).await, 1001);
    assert_eq!(socket.refused("Login", json!({ "token": [bob.token] })).await, 1001);
    socket
        .ok("PostComment", json!({ "videoID": id, "text": "said in private" }))
        .await;
    let log = site.log();
    assert!(
        log.contains("GET /ws 101") && log.contains("GET /ws 401"),
        "the log names handshakes"
    );
    site.stop();
    for secret in [&ann.token, &bob.token, PASSWORD] {
        assert!(!log.contains(secret), "the log holds {secret}");
        for (path, _) in files(&home.data()) {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
    }
    assert!(!log.contains("said in private"), "what people say is not for the log");
}
