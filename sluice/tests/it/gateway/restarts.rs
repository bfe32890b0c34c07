//! The process ends, politely or not, and clients come back: nobody misses anything, nobody gets anything twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::resume::{Follower, TALKATIVE};
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

/// Comments that were acknowledged, and those of which it is not known.
struct Said {
    acknowledged: Vec<String>,
    cut: Vec<String>,
}

async fn talks(person: Person, id: String, name: String, stop: Arc<AtomicBool>) -> Said {
    let mut said = Said {
        acknowledged: Vec::new(),
        cut: Vec::new(),
    };
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{name} {n}");
        let request = person.request(reqwest::Method::POST, &format!("/api/v1/videos/{id}/comments"));
        match person.try_change(request.json(&json!({ "text": text }))).await {
            Ok(answer) => {
                answer.expect(201);
                said.acknowledged.push(text);
            }
            Err(_) => {
                said.cut.push(text);
                break;
            }
        }
    }
    said
}

/// Follows until the connection ends.
async fn follows(mut follower: Follower, mut socket: Socket) -> Follower {
    loop {
        for event in socket.take_kept() {
            if event["data"]["kind"].is_string() {
                follower.take(event["data"].clone());
            }
        }
        match socket.hear(PATIENCE).await {
            Some(Heard::Frame(event)) if event["data"]["kind"].is_string() => follower.take(event["data"].clone()),
            Some(Heard::Frame(_)) => {}
            _ => return follower,
        }
    }
}

#[tokio::test]
async fn promise_1_and_17_after_kill_9_clients_come_back_and_the_log_has_no_gap_and_no_twin() {
    let home = Home::new();
    let mut site = home.serve(&TALKATIVE);
    let (mut ann, mut bob, id) = couple(&site).await;
    let mut followers: Vec<Follower> = (0..4).map(|_| Follower::new(&id)).collect();
    let (mut acknowledged, mut cut) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let stop = Arc::new(AtomicBool::new(false));
        let mut following = Vec::new();
        for mut follower in followers.drain(..) {
            let mut socket = Socket::logged_in(&bob).await;
            follower.join(&mut socket).await.unwrap();
            following.push(tokio::spawn(follows(follower, socket)));
        }
        let talking: Vec<_> = (0..3)
            .map(|n| tokio::spawn(talks(ann.clone(), id.clone(), format!("{round} {n}"), stop.clone())))
            .collect();
        let pause = rand::rng().random_range(100..500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        site.kill();
        stop.store(true, Ordering::Relaxed);
        for talk in talking {
            let said = talk.await.unwrap();
            acknowledged.extend(said.acknowledged);
            cut.extend(said.cut);
        }
        for follow in following {
            followers.push(follow.await.unwrap());
        }
        site = home.serve(&TALKATIVE);
        ann.base.clone_from(&site.base);
        bob.base.clone_from(&site.base);
    }
    let log = bob
        .get(&format!("/api/v1/videos/{id}/events?limit=1000"))
        .await
        .expect(200);
    let (items, head) = (log["items"].as_array().unwrap(), log["seq"].as_u64().unwrap());
    assert!(acknowledged.len() > 10, "the kills met work: {}", acknowledged.len());
    for follower in &mut followers {
        let mut socket = Socket::logged_in(&bob).await;
        follower.join(&mut socket).await.unwrap();
        follower.follow(&mut socket, head).await;
        assert_eq!(follower.last(), head);
        // What was shown before a kill was in the log already: it is the same entry now.
        assert_eq!(follower.entries[..items.len()], items[..]);
        let mut texts = follower.texts();
        texts.sort_unstable();
        let all = texts.len();
        texts.dedup();
        assert_eq!(all, texts.len(), "nothing stands twice");
        for text in &acknowledged {
            assert!(
                texts.binary_search(&text.as_str()).is_ok(),
                "{text} was acknowledged and is lost"
            );
        }
        let known = |text: &&&str| !acknowledged.iter().chain(&cut).any(|said| said == **text);
        let invented: Vec<_> = texts.iter().filter(known).collect();
        assert!(invented.is_empty(), "{invented:?} was never said");
    }
    site.stop();
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
