//! Clients that do everything wrong, beside clients that don't: bad input costs whoever sends it, and nobody else (promises 6 to 10).

use super::{Random, Way, by_each_way, is_range, range_is_right, request};
use crate::{
    app::{App, SOON},
    clip::clip,
};
use common::{
    config::{Config, Span},
    ids::VideoId,
    testing::raw::Raw,
};
use futures_util::{FutureExt, future::LocalBoxFuture, future::join_all};
use std::{cell::Cell, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SIZE: usize = 12 << 20;

/// Longer than a busy machine takes for what is right.
const STALL: Duration = Duration::from_millis(1200);

fn impatient(config: &mut Config) {
    config.server.head_timeout = Span(STALL);
    config.server.stall_timeout = Span(STALL);
    config.stream.stall_timeout = Span(STALL);
    config.stream.max_streams_per_client = 64;
}

/// Whom the bad ones are up against.
struct Place<'a> {
    app: &'a App,
    path: String,
    bytes: &'a [u8],
    /// After which who takes nothing is cut.
    stall: Duration,
}

impl Place<'_> {
    async fn connect(&self) -> Raw {
        Raw::connect(&self.app.running.public).await
    }

    /// Reads until the server ends the connection, in time.
    async fn ends(&self, mut client: Raw) {
        let mut piece = vec![0; 1 << 16];
        let end = async { while let Ok(1..) = client.io.read(&mut piece).await {} };
        tokio::time::timeout(SOON, end)
            .await
            .expect("the server ends the connection");
    }
}

async fn drips_a_head(place: &Place<'_>) {
    let mut client = place.connect().await;
    for byte in format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(2000)).bytes() {
        if client.io.write_all(&[byte]).await.is_err() {
            return;
        }
        let gone = tokio::time::timeout(Duration::from_millis(10), client.io.read_u8()).await;
        if matches!(gone, Ok(Err(_))) {
            return;
        }
    }
    panic!("the head was taken, however slow");
}

async fn says_nothing(place: &Place<'_>) {
    place.ends(place.connect().await).await;
}

async fn takes_nothing(place: &Place<'_>) {
    let mut client = place.connect().await;
    client.send(&request("GET", &place.path, "")).await;
    let head = client.head().await;
    tokio::time::sleep(place.stall * 2).await;
    assert!(!client.body(&head).await.1, "a client that took nothing was not cut");
}

async fn stalls_in_its_second_request(place: &Place<'_>) {
    let mut client = place.connect().await;
    let first = request("GET", &place.path, "Range: bytes=0-99999\r\n");
    client
        .send(&format!("{first}GET {} HTTP/1.1\r\nHost", place.path))
        .await;
    is_range(&client.answer().await, (0, 100_000), place.bytes);
    place.ends(client).await;
}

async fn lies_about_its_length(place: &Place<'_>) {
    let video = VideoId::random();
    let mut client = place.connect().await;
    let (app, length) = (place.app, "Content-Length: 400000\r\n");
    client
        .send(&crate::upload::put_head(app, &video, &app.upload_token(&video), length))
        .await;
    client.send_bytes(&clip(400_000, 1)[..5_000]).await;
    client.answer().await.check_problem(408, "request_timeout");
}

async fn asks_for_ten_thousand_ranges(place: &Place<'_>) {
    let ranges: Vec<String> = (0..10_000).map(|at| format!("{at}-{at}")).collect();
    let mut client = place.connect().await;
    let line = format!("Range: bytes={}\r\n", ranges.join(","));
    client.send(&request("GET", &place.path, &line)).await;
    assert_eq!(client.head().await.status, 200);
    // And leaves with a reset.
}

async fn closes_its_half(place: &Place<'_>) {
    let mut client = place.connect().await;
    client
        .send(&request("GET", &place.path, "Range: bytes=-100000\r\n"))
        .await;
    client.io.shutdown().await.unwrap();
    is_range(&client.answer().await, (SIZE - 100_000, SIZE), place.bytes);
    assert_eq!(client.rest().await, b"");
}

/// The answer to what was right comes whole, then the refusal of what was not.
async fn sends_junk_behind_a_request(place: &Place<'_>) {
    for junk in [
        "\0\u{1}\u{2}junk\r\n\r\n",
        "GET\r\n\r\n",
        "{}\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut client = place.connect().await;
        let first = request("GET", &place.path, "Range: bytes=1000000-5999999\r\n");
        client.send(&(first + junk)).await;
        is_range(&client.answer().await, (1_000_000, 6_000_000), place.bytes);
        client.answer().await.check_problem(400, "bad_request");
        assert_eq!(client.rest().await, b"", "{junk:?}");
    }
}

/// Hundreds of requests at once, of which it takes no answer: the framework must not turn in circles with them.
async fn asks_and_asks_and_takes_nothing(place: &Place<'_>) {
    let mut client = place.connect().await;
    let many = request("GET", &place.path, "").repeat(1000);
    let sent = tokio::time::timeout(Duration::from_millis(300), client.io.write_all(many.as_bytes())).await;
    drop(sent);
    tokio::time::sleep(place.stall * 2).await;
    place.ends(client).await;
}

async fn leaves_with_a_reset(place: &Place<'_>) {
    let mut random = Random::from_clock();
    for _ in 0..20 {
        let mut client = place.connect().await;
        let text = request("GET", &place.path, "");
        client.send(&text[..1 + random.below(text.len())]).await;
        let mut piece = vec![0; 1 + random.below(100_000)];
        drop(tokio::time::timeout(Duration::from_millis(5), client.io.read(&mut piece)).await);
        socket_resets(client);
    }
}

fn socket_resets(client: Raw) {
    client.io.set_zero_linger().unwrap();
}

/// Goes through the file in ranges on one connection until `done`; the number of them.
async fn behaves(place: &Place<'_>, done: &Cell<bool>) -> usize {
    let (mut random, mut client, mut count) = (Random::from_clock(), place.connect().await, 0);
    while !done.get() || count < 20 {
        let range = random.range(SIZE, 1 << 20);
        range_is_right(&mut client, &place.path, range, place.bytes).await;
        count += 1;
    }
    count
}

/// Each bad client, by its name.
fn bad_ones<'a>(place: &'a Place<'a>) -> Vec<LocalBoxFuture<'a, ()>> {
    vec![
        drips_a_head(place).boxed_local(),
        says_nothing(place).boxed_local(),
        takes_nothing(place).boxed_local(),
        stalls_in_its_second_request(place).boxed_local(),
        lies_about_its_length(place).boxed_local(),
        asks_for_ten_thousand_ranges(place).boxed_local(),
        closes_its_half(place).boxed_local(),
        sends_junk_behind_a_request(place).boxed_local(),
        asks_and_asks_and_takes_nothing(place).boxed_local(),
        leaves_with_a_reset(place).boxed_local(),
    ]
}

#[test]
fn bad_input_of_all_kinds_is_not_noticed_by_the_good_clients_beside_it() {
    by_each_way(impatient, |app, way: Way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let place = Place {
            app: &app,
            path: way.path(&app, &video),
            bytes: &bytes,
            stall: way.stall(STALL),
        };
        let done = Cell::new(false);
        let good = join_all((0..4).map(|_| behaves(&place, &done)));
        let bad = async {
            join_all(bad_ones(&place)).await;
            done.set(true);
        };
        let (served, ()) = tokio::join!(good, bad);
        println!("{way:?}: the good clients were served {served:?} ranges");
        app.nothing_is_held().await;
        assert_eq!(app.state.limits.uploads.held(), 0);
    });
}

#[test]
fn bad_input_junk_behind_a_request_does_not_cost_its_answer() {
    by_each_way(super::as_it_is, |app, way: Way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let place = Place {
            app: &app,
            path: way.path(&app, &video),
            bytes: &bytes,
            stall: way.stall(STALL),
        };
        sends_junk_behind_a_request(&place).await;
        app.nothing_is_held().await;
    });
}
