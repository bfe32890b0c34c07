//! Every byte, once, in order, at every length, however little the sockets take.

use common::testing::raw::Raw;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use tokio::net::TcpSocket;

use super::{LONG, asked, check, content, files, get, get_below, no_relay, plain, spliced};
use crate::edge::{Way, ask, before, before_in};
use crate::upstream::{Seen, Upstream};

#[actix_web::test]
async fn bodies_of_every_length_are_equal_on_one_connection() {
    for way in [Way::Fast, Way::Framework] {
        every_length(way).await;
    }
}

async fn every_length(way: Way) {
    let service = files().await;
    let edge = before_in(&service, way).await;
    let mut client = Raw::connect(&edge.public).await;
    let mut lengths = vec![
        0, 1, 2, 3, 4, 5, 100, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_048_577, LONG, 3,
    ];
    // Around the first read: of media, and of a document.
    lengths.extend((8_100..8_200).chain(65_440..65_540));
    for folder in ["/media/g/v", "/api/v1/x"] {
        for length in &lengths {
            client.send(&get_below(folder, *length)).await;
            check(&client.answer().await, *length);
        }
    }
    assert_eq!(plain(&edge) > 0, way == Way::Fast);
    assert!(spliced(&edge) > 12_000_000, "{} bytes were spliced", spliced(&edge));
    no_relay(&edge).await;
    assert_eq!(service.accepted(), 2, "one connection for all of each");
    edge.stop().await;
}

/// The wire is the same where bodies are copied.
#[actix_web::test]
async fn without_a_slot_bodies_are_copied() {
    let service = files().await;
    let edge = before_in(&service, Way::Copying).await;
    let mut client = Raw::connect(&edge.public).await;
    for folder in ["/media/g/v", "/api/v1/x"] {
        for length in [0, 1, 5_000, LONG] {
            client.send(&get_below(folder, length)).await;
            check(&client.answer().await, length);
        }
    }
    assert_eq!(spliced(&edge), 0);
    edge.stop().await;
}

#[actix_web::test]
async fn twelve_requests_at_once_are_answered_in_order() {
    let service = files().await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    let lengths = [
        70_000, 1, 300_000, 4_096, 0, LONG, 65_536, 2, 1_000_000, 10, 99_999, 200_000,
    ];
    client.send(&lengths.map(get).concat()).await;
    for length in lengths {
        check(&client.answer().await, length);
    }
    client.send(&get(LONG)).await;
    check(&client.answer().await, LONG);
    edge.stop().await;
}

/// Small buffers on all four sides: every fill and every drain ends in the middle of something.
#[actix_web::test]
async fn bodies_are_equal_through_sockets_that_take_little() {
    let service = Upstream::new(|mut call| async move {
        set_socket_send_buffer_size(&call.raw.io, 4_096).unwrap();
        while let Some(seen) = call.head().await {
            let length = asked(seen.target());
            call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))
                .await;
            for piece in content(length).chunks(7_919) {
                call.give(piece).await;
            }
        }
    })
    .await;
    let edge = before(&service).await;
    let socket = TcpSocket::new_v4().unwrap();
    set_socket_recv_buffer_size(&socket, 4_096).unwrap();
    let address = edge.public.strip_prefix("http://").unwrap().parse().unwrap();
    let mut client = Raw::over(socket.connect(address).await.unwrap());
    for length in [1_000_003, 65_536, 1_000_003] {
        client.send(&get(length)).await;
        check(&client.answer().await, length);
    }
    assert!(spliced(&edge) > 2_000_000);
    edge.stop().await;
}

#[actix_web::test]
async fn many_at_once_get_each_its_own() {
    let service = files().await;
    let edge = before(&service).await;
    let clients = (0..32).map(|number| {
        let edge = &edge;
        async move {
            let mut client = Raw::connect(&edge.public).await;
            for round in 0..4 {
                let length = 100_000 + number * 20_011 + round;
                client.send(&get(length)).await;
                check(&client.answer().await, length);
            }
        }
    });
    futures_util::future::join_all(clients).await;
    assert!(service.accepted() <= 32, "{} connections", service.accepted());
    edge.stop().await;
}

/// The lines of a request, without order or case.
fn sorted(seen: &Seen) -> Vec<String> {
    let mut lines: Vec<String> = seen.head.lines().map(str::to_ascii_lowercase).collect();
    lines.sort();
    lines
}

/// The fields of the answer are those that the copying way passes on (promise 10).
#[actix_web::test]
async fn promise_10_fields_of_one_hop_are_dropped_from_relayed_answers_too() {
    let service = Upstream::new(|mut call| async move {
        while call.head().await.is_some() {
            call.say(&format!(
                "HTTP/1.1 206 Partial\r\nCONTENT-LENGTH: {LONG}\r\nConnection: Keep-Alive, x-HOP\r\nX-Hop: 1\r\n\
                 KEEP-ALIVE: timeout=9\r\nproxy-Authenticate: Basic\r\nTrailer: X-T\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\n\
                 set-cookie: b=2\r\nETag: \"t\"\r\nContent-Range: bytes 0-4999999/9000000\r\nX-Request-Id: theirs\r\n\
                 X-Latin: caf\u{e9}\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer:\r\n\r\n"
            ))
            .await;
            call.give(&content(LONG)).await;
        }
    })
    .await;
    let mut heads = Vec::new();
    for way in Way::ALL {
        let edge = before_in(&service, way).await;
        let mut client = Raw::connect(&edge.public).await;
        client
            .send("GET /media/g/v/file HTTP/1.1\r\nHost: t\r\nX-Operation-Id: op-7\r\nRange: bytes=0-4999999\r\n\r\n")
            .await;
        let answer = client.answer().await;
        assert!(answer.body == content(LONG));
        assert_eq!(spliced(&edge) > 0, way != Way::Copying);
        assert_eq!(plain(&edge) > 0, way == Way::Fast);
        let mut lines: Vec<String> = answer.head.lines().map(str::to_ascii_lowercase).collect();
        lines.sort();
        for name in [
            "connection",
            "x-hop",
            "keep-alive",
            "proxy-authenticate",
            "trailer",
            "upgrade",
        ] {
            assert!(answer.headers(name).is_empty(), "{name}: {}", answer.head);
        }
        assert_eq!(answer.headers("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(answer.headers("x-request-id"), ["op-7"]);
        heads.push(lines);
        edge.stop().await;
    }
    assert_eq!(heads[0], heads[1], "before the framework and behind it");
    assert_eq!(heads[1], heads[2], "spliced and copied");
    let asked = service.seen().iter().map(sorted).collect::<Vec<_>>();
    assert_eq!(asked[0], asked[1]);
    assert_eq!(asked[1], asked[2]);
}

/// Most requests are answered in front of the App, the rest by it: with the same fields, refusals and bytes.
#[actix_web::test]
async fn in_front_of_the_app_and_in_it_media_is_the_same() {
    let service = files().await;
    let edge = before(&service).await;
    let mut heads = Vec::new();
    for (target, fields) in [
        ("/media/g/v/300000", ""),
        ("/%6dedia/g/v/300000", ""),
        ("/media/g/v/300000", "Content-Length: 0\r\n"),
        ("http://t/media/g/v/300000", ""),
    ] {
        let before = spliced(&edge);
        let mut client = Raw::connect(&edge.public).await;
        client
            .send(&format!(
                "GET {target} HTTP/1.1\r\nHost: t\r\nX-Operation-Id: op-1\r\n{fields}\r\n"
            ))
            .await;
        let answer = client.answer().await;
        check(&answer, 300_000);
        assert!(spliced(&edge) > before, "{target} {fields}");
        let mut lines: Vec<String> = answer.head.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("date: "));
        lines.sort();
        heads.push(lines);
        let seen = service.last();
        assert_eq!(seen.header("x-operation-id").as_deref(), Some("op-1"));
        assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
    for target in [
        "/media/../internal/x",
        "/media//v/5",
        "/media/g/%2e%2e/5",
        "/media/g/v%2f5",
    ] {
        let answer = ask(&edge, &format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        answer.check_problem(400, "bad_request");
    }
    ask(&edge, "GET /media/g/v/5 HTTP/1.1\r\nHost: a,b\r\n\r\n")
        .await
        .check_problem(400, "bad_request");
    assert_eq!(service.count(), 4);
    edge.stop().await;
}
