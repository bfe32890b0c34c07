//! The process ends politely, or a service behind it is away.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::rooms::couple;
use super::socket::{Heard, Hello, PATIENCE, Socket};
use crate::person::Person;
use crate::site::{Home, Site};

/// Reads to the end of a connection: the events, and the close frame.
async fn goodbye(mut socket: Socket) -> (Vec<Value>, u16) {
    let mut events: Vec<Value> = Vec::new();
    loop {
        match socket.hear(PATIENCE).await {
            Some(Heard::Frame(event)) => events.push(event),
            Some(Heard::Close(code, _)) => return (events, code),
            other => panic!("a close frame comes, not {other:?}"),
        }
    }
}

async fn drains(mut site: Site, edge: usize) {
    let (_, bob, id) = couple(&site).await;
    let mut sockets = Vec::new();
    for n in 0..50 {
        let mut socket = Socket::open(&bob).await;
        if n % 2 == 0 {
            socket.ok("Login", json!({ "rooms": [{ "videoID": id }] })).await;
        }
        sockets.push(socket);
    }
    site.processes[edge].signal(Signal::TERM);
    let ends = sockets.into_iter().map(goodbye);
    for (events, code) in futures_util::future::join_all(ends).await {
        assert_eq!(code, 1012);
        let draining = events.iter().find(|event| event["event"] == "OnServerDraining");
        assert!(draining.unwrap_or_else(|| panic!("{events:?}"))["data"]["closeWithinMs"].is_u64());
    }
    assert!(site.processes[edge].wait().success(), "sockets do not hold the process");
    assert!(Hello::of(&bob).connect().await.is_none(), "nobody listens any more");
    site.processes.remove(edge);
    site.stop();
}

#[tokio::test]
async fn promise_19_sigterm_closes_50_sockets_with_1012_and_ends_with_0_embedded() {
    let home = Home::new();
    drains(home.serve(&["gateway.max_connections_per_platform=50"]), 0).await;
}

#[tokio::test]
async fn promise_19_sigterm_closes_50_sockets_with_1012_and_ends_with_0_alone() {
    let home = Home::new();
    drains(home.roles(&["gateway.max_connections_per_platform=50"]), 3).await;
}

/// A client that doesn't read can't hold the process, either.
#[tokio::test]
async fn promise_19_a_dead_client_does_not_hold_the_process() {
    let home = Home::new();
    let mut site = home.serve(&[]);
    let ann = Person::register(&site.base, "ann").await;
    let request = format!(
        "GET /ws?sendID=ann&platformID=5 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nConnection: upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ann.token
    );
    let address = site.base.strip_prefix("http://").unwrap().to_owned();
    let mut dead = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut dead, request.as_bytes()).unwrap();
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut dead, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 101");
    site.processes[0].signal(Signal::TERM);
    assert!(site.processes[0].wait().success());
    drop(dead);
}

/// api-service is killed under open sockets: they live on, and what is said after it came back arrives.
#[tokio::test]
async fn promise_13_and_17_sockets_live_on_while_api_service_is_away() {
    let home = Home::new();
    let mut site = home.roles(&[]);
    let (ann, bob, id) = couple(&site).await;
    let (mut anns, mut bobs) = (Socket::logged_in(&ann).await, Socket::logged_in(&bob).await);
    for socket in [&mut anns, &mut bobs] {
        socket.ok("JoinRoom", json!({ "videoID": id })).await;
    }
    anns.ok("PostComment", json!({ "videoID": id, "text": "before" })).await;
    assert_eq!(bobs.entry().await["seq"], 1);
    site.processes[0].signal(Signal::KILL);
    site.processes[0].wait();
    let away = u64::from(common::error::Code::UpstreamUnavailable.entry().number);
    assert_eq!(
        anns.refused("PostComment", json!({ "videoID": id, "text": "lost" }))
            .await,
        away
    );
    anns.is_alive().await;
    bobs.is_alive().await;
    let token = format!("Bearer {}", "n".repeat(43));
    let stranger = Hello {
        headers: vec![("authorization".into(), token)],
        ..Hello::of(&bob)
    };
    let Some(Err((status, body))) = stranger.connect().await else {
        panic!("what is not granted is not granted now")
    };
    assert_eq!((status, body["code"].as_str()), (503, Some("upstream_unavailable")));
    home.kill_and_restart(&mut site.processes[0]);
    common::testing::eventually("it is back", Duration::from_secs(30), || async {
        ann.post(&format!("/api/v1/videos/{id}/comments"), json!({ "text": "after" }))
            .await
            .status
            .eq(&201)
            .then_some(())
    })
    .await;
    for socket in [&mut anns, &mut bobs] {
        let after = socket
            .matching("what was said after", |event| event["data"]["data"]["text"] == "after")
            .await;
        assert_eq!(after["data"]["seq"], 2);
    }
    site.stop();
}
