//! Deadlines of an answer (promise 6): for who takes nothing, and not for who takes its time.

use super::{Way, as_it_is, by_each_way, range_is_right, request};
use crate::app::on_one_app_with;
use common::{
    config::{Config, Span},
    testing::raw::Raw,
};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

/// More than the kernel takes for a client that reads nothing.
const SIZE: usize = 12 << 20;

const STALL: Duration = Duration::from_millis(700);

fn short_stall(config: &mut Config) {
    config.server.stall_timeout = Span(STALL);
}

/// Deadlines of what is no answer: longer than a busy machine takes for a head.
const HEAD: Duration = Duration::from_millis(1200);

fn short_head(config: &mut Config) {
    config.server.head_timeout = Span(HEAD);
    config.server.keep_alive = Span(HEAD);
}

#[test]
fn promise_6_a_viewer_that_takes_nothing_is_cut() {
    by_each_way(short_stall, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let path = way.path(&app, &video);
        let mut client = Raw::connect(&app.running.public).await;
        client.send(&request("GET", &path, "")).await;
        let head = client.head().await;
        app.nothing_is_held().await;
        let (body, whole) = client.body(&head).await;
        assert!(!whole && bytes.starts_with(&body), "{} bytes came", body.len());
    });
}

/// Reads the body of `head` in about `time`, however large the pieces are in which it comes.
async fn read_slowly(client: &mut Raw, expected: &[u8], time: Duration) {
    let mut body = Vec::with_capacity(expected.len());
    while body.len() < expected.len() {
        let piece = client.take((256 << 10).min(expected.len() - body.len())).await;
        let piece = piece.unwrap_or_else(|| panic!("cut after {} bytes", body.len()));
        tokio::time::sleep(time * u32::try_from(piece.len()).unwrap() / u32::try_from(expected.len()).unwrap()).await;
        body.extend(piece);
    }
    assert!(body == expected);
}

#[test]
fn promise_6_a_slow_viewer_that_moves_gets_everything() {
    by_each_way(short_stall, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let path = way.path(&app, &video);
        let mut client = Raw::connect(&app.running.public).await;
        client.send(&request("GET", &path, "")).await;
        assert_eq!(client.head().await.status, 200);
        let began = Instant::now();
        read_slowly(&mut client, &bytes, way.stall(STALL) * 3).await;
        assert!(began.elapsed() > way.stall(STALL) * 2, "or it proves nothing");
        range_is_right(&mut client, &path, (5, 500), &bytes).await;
    });
}

/// What somebody behind a proxy takes moves the proxy's connection in lumps (promise 6 is about that somebody).
#[test]
fn promise_6_a_proxy_is_waited_for_longer_than_a_viewer_and_not_for_ever() {
    let behind_a_proxy = |config: &mut Config| {
        short_stall(config);
        config.server.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
    };
    on_one_app_with(behind_a_proxy, |app| async move {
        let (video, bytes) = app.stored(SIZE).await;
        for way in [Way::Fast, Way::App] {
            let path = way.path(&app, &video);
            let ask = async || {
                let mut proxy = Raw::connect(&app.running.public).await;
                proxy.send(&request("GET", &path, "")).await;
                let head = proxy.head().await;
                (proxy, head)
            };
            let ((mut lumpy, head), (mut hanging, hung)) = (ask().await, ask().await);
            tokio::time::sleep(STALL * 5 / 2).await;
            let (body, whole) = lumpy.body(&head).await;
            assert!(whole && body == bytes, "cut after {} bytes by {way:?}", body.len());
            app.nothing_is_held().await;
            let (_, whole) = hanging.body(&hung).await;
            assert!(!whole, "one that hangs is waited for by {way:?}");
        }
    });
}

#[test]
fn promise_6_a_viewer_that_takes_less_than_the_kernel_asks_for_is_not_cut() {
    by_each_way(short_stall, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let path = way.path(&app, &video);
        let mut client = Raw::connect(&app.running.public).await;
        client.send(&request("GET", &path, "")).await;
        assert_eq!(client.head().await.status, 200);
        // A full socket takes bytes from us again when a third of its megabytes is free, which at this rate takes longer than
        // the limit.
        let (mut body, began) = (Vec::new(), Instant::now());
        while began.elapsed() < way.stall(STALL) * 6 {
            body.extend(client.take(32 << 10).await.expect("cut although it moves"));
            tokio::time::sleep(way.stall(STALL) / 6).await;
        }
        while body.len() < bytes.len() {
            let more = client.take((256 << 10).min(bytes.len() - body.len())).await;
            body.extend(more.expect("cut although it moves"));
        }
        assert!(body == bytes);
    });
}

#[test]
fn promise_6_a_pace_is_no_stall() {
    let shorter_than_a_slice = |config: &mut Config| config.server.stall_timeout = Span(Duration::from_millis(150));
    by_each_way(shorter_than_a_slice, |app, way| async move {
        let (video, bytes) = app.stored(1_500_000).await;
        // Two seconds' worth at once, the rest by quarters of a second.
        app.state.limits.pace.store(500_000, Ordering::Relaxed);
        let mut client = Raw::connect(&app.running.public).await;
        client.send(&request("GET", &way.path(&app, &video), "")).await;
        let answer = client.answer().await;
        app.state.limits.pace.store(0, Ordering::Relaxed);
        assert!(answer.body == bytes);
    });
}

#[test]
fn promise_6_deadlines_of_heads_and_idle_connections_do_not_cut_an_answer() {
    by_each_way(short_head, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let path = way.path(&app, &video);
        let mut client = Raw::connect(&app.running.public).await;
        client.send(&request("GET", &path, "")).await;
        assert_eq!(client.head().await.status, 200);
        // The connection may be idle for the server while its last megabytes wait in the kernel.
        read_slowly(&mut client, &bytes, HEAD * 4).await;
        assert_eq!(client.rest().await, b"", "idle for too long");
    });
}

#[test]
fn promise_6_half_a_request_behind_a_long_answer_is_cut_after_it() {
    by_each_way(short_head, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let path = way.path(&app, &video);
        let mut client = Raw::connect(&app.running.public).await;
        client
            .send(&format!("{}GET /media/x HTT", request("GET", &path, "")))
            .await;
        assert_eq!(client.head().await.status, 200);
        read_slowly(&mut client, &bytes, HEAD * 2).await;
        assert_eq!(client.rest().await, b"", "nothing but the end comes for half a head");
    });
}

#[test]
fn a_paced_stream_comes_in_slices_not_in_lumps() {
    by_each_way(as_it_is, |app, way| async move {
        let (video, bytes) = app.stored(2_000_000).await;
        app.state.limits.pace.store(800_000, Ordering::Relaxed);
        let (mut client, began) = (Raw::connect(&app.running.public).await, Instant::now());
        client.send(&request("GET", &way.path(&app, &video), "")).await;
        assert_eq!(client.head().await.status, 200);
        let mut body = Vec::new();
        while body.len() < bytes.len() {
            let piece = client.some().await;
            assert!(!piece.is_empty(), "cut after {} bytes", body.len());
            body.extend(piece);
            // Never further than its head start of two seconds, one slice and the time that has passed.
            let earned = (began.elapsed().as_secs_f64() * 800_000.0) as usize + 1_600_000 + 200_000;
            assert!(body.len() <= earned, "{} of {earned} bytes", body.len());
        }
        app.state.limits.pace.store(0, Ordering::Relaxed);
        assert!(body == bytes);
    });
}
