//! Many requests: one after the other, all at once, behind each other, and given up.

use super::{Random, Way, as_it_is, by_each_way, is_range, narrow, range_is_right, request};
use crate::app::{App, SOON};
use common::{
    config::Config,
    testing::{eventually, raw::Raw},
};
use futures_util::future::join_all;
use std::rc::Rc;
use tokio::io::AsyncReadExt;

#[test]
fn a_hundred_and_fifty_random_ranges_on_one_connection() {
    by_each_way(as_it_is, |app, way| async move {
        let (video, bytes) = app.stored(3 << 20).await;
        let (path, mut random) = (way.path(&app, &video), Random::from_clock());
        let mut client = Raw::connect(&app.running.public).await;
        for _ in 0..150 {
            let (start, end) = random.range(bytes.len(), 300_000);
            let (line, expected) = match random.below(8) {
                0 => (
                    format!("bytes=-{}", end - start),
                    (bytes.len() - (end - start), bytes.len()),
                ),
                1 => {
                    let start = start.max(2 << 20);
                    (format!("bytes={start}-"), (start, bytes.len()))
                }
                _ => (format!("bytes={start}-{}", end - 1), (start, end)),
            };
            client.send(&request("GET", &path, &format!("Range: {line}\r\n"))).await;
            is_range(&client.answer().await, expected, &bytes);
        }
        drop(client);
        app.nothing_is_held().await;
    });
}

/// Two of three answers have a head that says nothing of their body's length on the wire: whoever counts wrong reads the
/// bytes of one as the next.
#[test]
fn twelve_pipelined_ranges_heads_and_refusals_are_answered_in_their_order() {
    by_each_way(as_it_is, |app, way| async move {
        let (video, bytes) = app.stored(1 << 20).await;
        let path = way.path(&app, &video);
        let part = |number: usize| (number * 70_000, number * 70_000 + 66_000);
        // The framework encodes an answer by what it read last: each kind is the last once.
        for last in 0..3 {
            let kind = |number: usize| (number + last) % 3;
            let mut all = String::new();
            for number in 0..12 {
                let (start, end) = part(number);
                all += &match kind(number) {
                    0 => request("GET", &path, &format!("Range: bytes={start}-{}\r\n", end - 1)),
                    1 => request("HEAD", &path, ""),
                    _ => request("GET", &path, "Range: bytes=9000000-\r\n"),
                };
            }
            let mut client = Raw::connect(&app.running.public).await;
            client.send(&all).await;
            for number in 0..12 {
                match kind(number) {
                    0 => is_range(&client.answer().await, part(number), &bytes),
                    1 => {
                        let head = client.head().await;
                        assert_eq!((head.status, head.header("content-length")), (200, Some("1048576")));
                    }
                    _ => client.answer().await.check_problem(416, "range_not_satisfiable"),
                }
            }
            // Nothing of it all is left over.
            range_is_right(&mut client, &path, (1000, 500_000), &bytes).await;
        }
        app.nothing_is_held().await;
    });
}

#[test]
fn thirty_two_connections_in_parallel_get_their_own_bytes() {
    let allowed = |config: &mut Config| config.stream.max_streams_per_client = 32;
    by_each_way(allowed, |app, way| async move {
        let (video, bytes) = app.stored(2 << 20).await;
        let (path, bytes) = (&way.path(&app, &video), &bytes);
        let app = &app;
        let clients = (0..32).map(|number| async move {
            let mut random = Random::from_clock();
            let mut client = if number % 2 == 0 {
                narrow(app).await
            } else {
                Raw::connect(&app.running.public).await
            };
            for _ in 0..6 {
                let range = random.range(bytes.len(), if number % 2 == 0 { 100_000 } else { 1 << 20 });
                range_is_right(&mut client, path, range, bytes).await;
            }
        });
        join_all(clients).await;
        app.nothing_is_held().await;
    });
}

/// Sockets that the service has accepted and not closed.
fn connections(app: &App) -> usize {
    let folder = &app.running.config.server.socket_dir;
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    // Connected (SS_CONNECTED of include/uapi/linux/net.h), and named as the listener was.
    let open =
        |line: &&str| !folder.is_empty() && line.contains(folder) && line.split_whitespace().nth(5) == Some("03");
    connections_by_tcp(app) + table.lines().filter(open).count()
}

fn connections_by_tcp(app: &App) -> usize {
    let port: u16 = app.running.public.rsplit(':').next().unwrap().parse().unwrap();
    let local = format!(":{port:04X}");
    // Established or closed by the client alone (see include/net/tcp_states.h).
    let open = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&local) && ["01", "08"].contains(&fields[3])
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).filter(open).count()
}

#[test]
fn two_hundred_clients_that_leave_in_mid_body_leave_nothing_behind() {
    by_each_way(as_it_is, |app, way| async move {
        let (video, _) = app.stored(8 << 20).await;
        let (path, mut random) = (way.path(&app, &video), Random::from_clock());
        // The client that uploaded keeps one or two.
        let before = connections(&app);
        for round in 0..200 {
            let mut client = Raw::connect(&app.running.public).await.io;
            let range = format!("Range: bytes={}-\r\n", random.below(2 << 20));
            let text = request("GET", &path, if round % 2 == 0 { "" } else { &range });
            tokio::io::AsyncWriteExt::write_all(&mut client, text.as_bytes())
                .await
                .unwrap();
            let mut piece = vec![0; 1 + random.below(200_000)];
            let read = tokio::time::timeout(SOON, client.read(&mut piece)).await;
            assert!(read.unwrap().unwrap() > 0);
            // What is left unread makes the end of the connection a reset.
            drop(client);
        }
        all_are_gone(&app, way, before).await;
        let descriptors = || crate::cut::descriptors(&video);
        // The cache of open files keeps one for a second.
        eventually("the file is closed", SOON, || async {
            (descriptors() == 0).then_some(())
        })
        .await;
    });
}

async fn all_are_gone(app: &Rc<App>, way: Way, before: usize) {
    app.nothing_is_held().await;
    let what = format!("{way:?}: all connections are closed");
    eventually(&what, SOON, || async { (connections(app) <= before).then_some(()) }).await;
    let text = app.running.platform.metrics.encode();
    assert!(
        text.contains("sluice_stream_streams 0"),
        "the gauge of streams is not back at 0"
    );
}
