//! A connection that the framework had comes back to the fast path, but never with bytes that were not sent as a request.

use std::time::{Duration, Instant};

use common::config::{Config, Span};
use common::testing::Running;
use common::testing::raw::Raw;
use tokio::io::AsyncWriteExt;

use super::super::{config, start};
use super::{PATIENCE, content, none_is_held, request};

/// Requests that the fast path has answered.
fn plain(server: &Running) -> u64 {
    server.platform.metrics.http.plain.get()
}

async fn count(client: &mut Raw, fields: &str, body: &str) {
    let asked = format!("POST /count/0 HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}");
    client.send(&asked).await;
    assert_eq!(client.answer().await.status, 200);
}

#[actix_web::test]
async fn a_connection_comes_back_whenever_a_plain_request_comes() {
    let (server, held) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    for round in 0..20 {
        assert_eq!(client.get("/small").await.body, b"small");
        assert_eq!(plain(&server), 3 * round);
        assert_eq!(client.get("/plain/bytes").await.body, b"plainly");
        assert!(client.get("/plain/moved").await.body == content());
        client.send(&request("HEAD", "/plain/moved", "")).await;
        assert_eq!(client.head().await.header("content-length"), Some("7"));
        assert_eq!(plain(&server), 3 * round + 3);
    }
    none_is_held(&held).await;
    assert_eq!(server.platform.metrics.http.slot_violations.get(), 0);
    drop(client);
    server.stop().await;
}

/// The framework may still be throwing a body away when its answer is sent: the connection stays for one request more.
#[actix_web::test]
async fn behind_a_body_it_comes_back_one_request_later() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    for round in 0..3 {
        count(&mut client, "Content-Length: 5\r\n", "12345").await;
        assert_eq!(client.get("/plain/bytes").await.body, b"plainly");
        assert_eq!(plain(&server), round);
        assert_eq!(client.get("/plain/bytes").await.body, b"plainly");
        assert_eq!(plain(&server), round + 1);
    }
    drop(client);
    server.stop().await;
}

/// A whole answer from the framework to each plain request, and none from the fast path.
async fn stays(config: Config, first: impl AsyncFn(&mut Raw)) {
    let (server, _) = start(config).await;
    let mut client = Raw::connect(&server.public).await;
    first(&mut client).await;
    for _ in 0..3 {
        assert_eq!(client.get("/small").await.body, b"small");
        assert!(client.get("/plain/moved").await.body == content());
    }
    assert_eq!(plain(&server), 0);
    drop(client);
    server.stop().await;
}

#[actix_web::test]
async fn a_connection_whose_bodies_are_not_counted_stays_with_the_framework() {
    let mut unseen = config();
    unseen.server.capture_uploads = false;
    stays(unseen, async |_| {}).await;
    let mut slow = config();
    slow.server.fast_path = false;
    stays(slow, async |_| {}).await;
    stays(config(), async |client| {
        count(client, "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n").await;
    })
    .await;
}

/// What a body holds is never a request, however its own was answered: bytes that were read with the head, and later ones.
#[actix_web::test]
async fn a_body_is_never_taken_for_a_request() {
    let (server, _) = start(config()).await;
    let hidden = request("GET", "/plain/bytes", "");
    for before in ["", "GET /small HTTP/1.1\r\nHost: t\r\n\r\n"] {
        for framing in ["Content-Length: 400", "Transfer-Encoding: chunked"] {
            for together in [true, false] {
                let mut client = Raw::connect(&server.public).await;
                client.send(before).await;
                if !before.is_empty() {
                    assert_eq!(client.answer().await.body, b"small");
                }
                let head = format!("POST /refuse HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n");
                if together {
                    client.send(&format!("{head}{hidden}")).await;
                } else {
                    client.send(&head).await;
                }
                assert_eq!(client.answer().await.status, 413);
                // The connection may be over already.
                drop(client.io.write_all(hidden.as_bytes()).await);
                let rest = client.rest().await;
                let rest = String::from_utf8_lossy(&rest);
                assert!(!rest.contains("plainly"), "{framing}, {together}: {rest}");
            }
        }
    }
    assert_eq!(plain(&server), 0);
    server.stop().await;
}

/// The framework reads on behind a last answer, to throw away what comes: the rest of a body, and whole requests behind it.
#[actix_web::test]
async fn requests_behind_a_refused_body_are_not_answered() {
    let (server, _) = start(config()).await;
    for more in ["/small", "/plain/bytes"] {
        for together in [true, false] {
            let mut client = Raw::connect(&server.public).await;
            assert_eq!(client.get("/small").await.status, 200);
            client
                .send("POST /refuse HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n")
                .await;
            let last = client.answer().await;
            assert_eq!((last.status, last.header("connection")), (413, Some("close")));
            let parts = [
                "12345".to_owned(),
                request("GET", more, ""),
                request("GET", "/plain/bytes", ""),
            ];
            if together {
                client.send(&parts.concat()).await;
            } else {
                for part in parts {
                    client.send(&part).await;
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            }
            client.io.shutdown().await.unwrap();
            assert_eq!(client.rest().await, b"", "{more}, {together}");
        }
    }
    assert_eq!(plain(&server), 0);
    server.stop().await;
}

#[actix_web::test]
async fn nothing_is_answered_behind_the_last_answer() {
    let (server, _) = start(config()).await;
    for (path, length) in [("/small", 5), ("/big/4", 4 << 20)] {
        for together in [true, false] {
            let mut client = Raw::connect(&server.public).await;
            assert_eq!(client.get("/small").await.status, 200);
            let last = request("GET", path, "Connection: close\r\n");
            let more = request("GET", "/plain/bytes", "");
            if together {
                client.send(&(last + &more)).await;
            } else {
                client.send(&last).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                drop(client.io.write_all(more.as_bytes()).await);
            }
            let answer = client.answer().await;
            assert_eq!(
                (answer.header("connection"), answer.body.len()),
                (Some("close"), length)
            );
            assert_eq!(client.rest().await, b"");
        }
    }
    assert_eq!(plain(&server), 0);
    server.stop().await;
}

#[actix_web::test]
async fn what_comes_early_or_in_pieces_is_answered_in_its_order() {
    let (server, held) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let (big, bytes) = (request("GET", "/big/4", ""), request("GET", "/plain/bytes", ""));
    for _ in 0..3 {
        // Behind an answer that is still on its way, twice at once, cut within the head.
        client.send(&big).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send(&bytes).await;
        assert_eq!(client.answer().await.body.len(), 4 << 20);
        assert_eq!(client.answer().await.body, b"plainly");
        assert_eq!(client.get("/small").await.body, b"small");
        client
            .send(&(bytes.clone() + &request("GET", "/plain/copied", "") + &bytes))
            .await;
        for body in [&b"plainly"[..], b"copied", b"plainly"] {
            assert_eq!(client.answer().await.body, body);
        }
        assert_eq!(client.get("/small").await.body, b"small");
        for cut in [1, 20, bytes.len() - 1] {
            client.send(&bytes[..cut]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.send(&bytes[cut..]).await;
            assert_eq!(client.answer().await.body, b"plainly");
        }
    }
    none_is_held(&held).await;
    drop(client);
    server.stop().await;
}

/// Heads beyond what the fast path reads at once are the framework's, also on the way back.
#[actix_web::test]
async fn a_head_that_is_too_large_for_the_fast_path_is_answered_by_the_framework() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    assert_eq!(client.get("/small").await.status, 200);
    let field = |count| format!("X-Long: {}\r\n", "a".repeat(count));
    for length in [9 << 10, 60 << 10, 9 << 10] {
        client.send(&request("GET", "/plain/bytes", &field(length))).await;
        assert_eq!(client.answer().await.body, b"plainly");
        assert_eq!(plain(&server), 0, "{length}");
    }
    assert_eq!(client.get("/plain/bytes").await.status, 200);
    assert_eq!(client.get("/plain/bytes").await.status, 200);
    assert!(plain(&server) > 0, "the last one at least");
    drop(client);
    server.stop().await;
}

#[actix_web::test]
async fn a_connection_that_came_back_has_the_ends_of_the_fast_path() {
    let mut config = config();
    // The framework's clock is up to half a second behind.
    config.server.keep_alive = Span(Duration::from_millis(1200));
    let (server, held) = start(config).await;
    let back = async || {
        let mut client = Raw::connect(&server.public).await;
        assert_eq!(client.get("/small").await.status, 200);
        let before = plain(&server);
        assert_eq!(client.get("/plain/bytes").await.status, 200);
        assert_eq!(plain(&server), before + 1, "it came back");
        client
    };
    // Idle.
    let mut client = back().await;
    let began = Instant::now();
    assert_eq!(client.rest().await, b"", "without a word");
    assert!(began.elapsed() >= Duration::from_millis(1000));
    // A client that only reads.
    let mut client = back().await;
    client.send(&request("GET", "/plain/moved", "")).await;
    client.io.shutdown().await.unwrap();
    assert!(client.answer().await.body == content());
    assert_eq!(client.rest().await, b"");
    // Clients that leave.
    for path in ["/plain/hang", "/plain/moved"] {
        let mut client = back().await;
        client.send(&request("GET", path, "")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        socket2::SockRef::from(&client.io)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    none_is_held(&held).await;
    // The drain.
    let mut client = back().await;
    let began = Instant::now();
    server.platform.drain.begin();
    assert_eq!(client.rest().await, b"");
    server.stop().await;
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}
