//! Who does not read is cut off (4408), and nobody else waits for it. How much the kernel takes in for a silent client is
//! measured first: it differs between machines.

use std::time::Duration;

use common::config::Span;
use common::ids::VideoId;
use common::testing::eventually;
use common::testing::raw::Raw;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::api::User;
use super::client::{Came, Client, PATIENCE, seqs};
use super::knock::Knock;
use super::rooms::expect_entries;
use super::site::Site;

const TOO_SLOW: &str = r#"sluice_gateway_closed_total{code="4408"}"#;

/// Of one event of filler.
const PIECE: usize = 30_000;

fn closed(site: &Site) -> u64 {
    let page = site.edge.platform.metrics.encode();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{TOO_SLOW} ")));
    line.map_or(0, |count| count.parse().unwrap())
}

async fn until_too_slow(site: &Site, count: u64) {
    eventually("closed for being too slow", Duration::from_secs(30), || async {
        (closed(site) == count).then_some(())
    })
    .await;
}

/// Tells `user` so many bytes, and a witness so that it is known when they were written.
async fn fill(site: &Site, user: &User, bytes: usize, number: &mut u64) {
    let mut witness = site.logged_in(user).await;
    for _ in 0..bytes.div_ceil(PIECE) {
        *number += 1;
        let (percent, filler) = (*number, "x".repeat(PIECE));
        site.tell(
            user,
            "OnUploadProgress",
            json!({"videoID": "v", "receivedBytes": percent, "totalBytes": null}),
        );
        site.tell(user, "OnSelfInfoUpdated", json!({"filler": filler, "number": percent}));
        let seen = witness.event("OnSelfInfoUpdated").await;
        assert_eq!(seen["data"]["number"], percent);
    }
    witness.leave().await;
}

/// What a silent client of this site can be sent before it is cut off, less the megabyte that may wait for it.
async fn kernel_takes(site: &Site) -> usize {
    let probe = site.api.user("probe");
    let silent = site.logged_in(&probe).await;
    fill(site, &probe, 12 << 20, &mut 0).await;
    until_too_slow(site, 1).await;
    let mut taken = 0;
    let (mut io, mut buffer) = (silent.raw.io, vec![0; 1 << 16]);
    while let Ok(count @ 1..) = io.read(&mut buffer).await {
        taken += count;
    }
    assert!(
        taken < 10 << 20,
        "a silent client costs the kernel's buffers and a megabyte: {taken}"
    );
    taken
}

#[actix_web::test]
async fn progress_is_merged_for_a_slow_reader_and_one_that_stands_still_is_4408() {
    // One thread: what a witness has seen was written to the others before.
    let site = Site::with(|config| config.gateway.workers = 1).await;
    let capacity = kernel_takes(&site).await;
    // More than a quarter of a megabyte waits, and less than one.
    let amount = capacity + 550_000;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let mut slow = site.logged_in(&ann).await;
    let stalled = site.logged_in(&bob).await;
    let mut told = 0;
    fill(&site, &ann, amount, &mut told).await;
    fill(&site, &bob, amount, &mut 0).await;
    let (mut last, mut count, mut fillers) = (0, 0, 0);
    while fillers < told {
        let event = slow.next().await;
        if event["event"] == "OnUploadProgress" {
            let number = event["data"]["receivedBytes"].as_u64().unwrap();
            assert!(number > last, "the newest counts: {number} after {last}");
            (last, count) = (number, count + 1);
        }
        if event["event"] == "OnSelfInfoUpdated" {
            fillers += 1;
            assert_eq!(event["data"]["number"], fillers, "no event is lost");
        }
    }
    assert!(count < told, "{count} of {told}: none was merged");
    // It reads again, and is told as before.
    site.tell(
        &ann,
        "OnUploadProgress",
        json!({"videoID": "v", "receivedBytes": told + 1, "totalBytes": null}),
    );
    assert_eq!(slow.event("OnUploadProgress").await["data"]["receivedBytes"], told + 1);
    slow.leave().await;
    // The other one takes nothing for ten seconds.
    until_too_slow(&site, 2).await;
    drop(stalled);
    site.stop().await;
}

#[actix_web::test]
async fn one_stalled_reader_among_a_thousand_is_4408_and_all_others_get_everything() {
    let site = Site::with(|config| {
        config.gateway.workers = 1;
        config.gateway.max_connections_per_platform = 2000;
    })
    .await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let (crowded, busy) = (site.api.room(), site.api.room());
    let mut others = join_all((0..999).map(|_| site.member(&ann, &crowded))).await;
    let mut stalled = site.member(&bob, &crowded).await;
    stalled.join(&busy).await;
    let mut neighbour = site.member(&bob, &busy).await;
    assert_eq!(
        neighbour.call("GetRoomMemberCount", json!({"videoID": crowded})).await["count"],
        1000
    );
    let mut seq = 0;
    let mut flood = async |site: &Site, room: &VideoId| {
        for _ in 0..40 {
            seq += 1;
            site.danmaku(room, &"y".repeat(12_000));
        }
        expect_entries(&mut neighbour, seq - 39, seq).await;
    };
    for round in 1..=20 {
        flood(&site, &busy).await;
        site.danmaku(&crowded, &round.to_string());
    }
    // Everything was written; now it reads what it was sent before it was given up.
    let (numbers, end) = read_to_the_end(&mut stalled, &busy).await;
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    assert!(numbers.len() < 800);
    assert!(matches!(end, Came::End | Came::Close(4408, _)), "{end:?}");
    drop(stalled);
    until_too_slow(&site, 1).await;
    for client in &mut others {
        expect_entries(client, 1, 20).await;
    }
    assert_eq!(
        neighbour.call("GetRoomMemberCount", json!({"videoID": crowded})).await["count"],
        999
    );
    drop((others, neighbour));
    site.stop().await;
}

/// The numbers of the entries of one room, and how the connection ended.
async fn read_to_the_end(client: &mut Client, room: &VideoId) -> (Vec<i64>, Came) {
    let mut numbers = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, client.came()).await.unwrap() {
            Came::Text(event) if event["event"] == "OnRecvDanmaku" && event["data"]["videoID"] == json!(room) => {
                numbers.push(event["data"]["seq"].as_i64().unwrap());
            }
            Came::Text(Value::Object(_)) => {}
            end => return (numbers, end),
        }
    }
}

#[actix_web::test]
async fn many_large_answers_asked_for_at_once_all_come_to_who_reads_late() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    for _ in 0..100 {
        site.unpublished(&room, &"w".repeat(1_900));
    }
    let mut client = site.member(&ann, &room).await;
    let mut asked = Vec::new();
    for _ in 0..24 {
        asked.push(client.begin("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await);
    }
    // They are asked for while nobody reads: about five megabytes, of which a fourth may wait here.
    let neighbour = site.member(&site.api.user("bob"), &room).await;
    for operation in asked {
        let answer = client.answer(&operation).await;
        assert_eq!(answer["errCode"], 0);
        assert_eq!(
            seqs(answer["data"]["events"].as_array().unwrap()),
            (1..=100).collect::<Vec<_>>()
        );
    }
    client.leave().await;
    neighbour.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn promise_6_who_reads_slowly_but_moves_is_not_dead_though_its_pongs_are_late() {
    let site = Site::with(|config| {
        config.gateway.heartbeat = Span(Duration::from_millis(400));
        config.gateway.dead_after = Span(Duration::from_millis(1500));
    })
    .await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    for _ in 0..100 {
        site.unpublished(&room, &"w".repeat(1_900));
    }
    // With a small window, so that what waits does so here and not in the kernel.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 << 10).unwrap();
    let address = site.base().strip_prefix("http://").unwrap().parse().unwrap();
    let mut raw = Raw::over(socket.connect(address).await.unwrap());
    raw.send(&Knock::by(&ann).text()).await;
    assert_eq!(raw.head().await.status, 101);
    let mut client = Client::over(raw);
    client.login().await;
    client.join(&room).await;
    for _ in 0..36 {
        client.begin("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await;
    }
    // Seven megabytes for about four seconds, in which not a word is said.
    let (mut io, mut buffer, mut taken) = (client.raw.io, vec![0; 64 << 10], 0);
    while taken < 36 * 200 * 1_000 {
        let count = io.read(&mut buffer).await.unwrap_or(0);
        assert!(count > 0, "closed after {taken} bytes");
        taken += count;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    drop(io);
    site.stop().await;
}
