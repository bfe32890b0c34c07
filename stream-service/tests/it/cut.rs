//! What runs is cut when its video is hidden or purged, or its grant is taken back: promise 13 for open streams.

use crate::{
    app::{App, SOON, on_each_app, on_one_app_with},
    media::slow_stream,
};
use common::{config::Config, ids::VideoId, messages::Visibility, testing::eventually};
use std::{
    rc::Rc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::io::AsyncReadExt;

const SIZE: usize = 8 << 20;

fn hidden(version: i64) -> Visibility {
    Visibility {
        hidden: true,
        version,
        min_grant: 0,
    }
}

/// Descriptors of this process on files of the video, removed ones included.
pub fn descriptors(video: &VideoId) -> usize {
    let links = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links
        .filter(|link| link.to_string_lossy().contains(&format!("/{video}/")))
        .count()
}

/// Reads until the connection ends, and says how many bytes that were and whether it ended early.
async fn read_rest(viewer: &mut reqwest::Response) -> (usize, bool) {
    let mut read = 0;
    loop {
        match viewer.chunk().await {
            Ok(Some(piece)) => read += piece.len(),
            Ok(None) => return (read, false),
            Err(_) => return (read, true),
        }
    }
}

/// A viewer of a stream that takes about six seconds, with two seconds read ahead.
async fn paced_viewer(app: &App, url: &str) -> reqwest::Response {
    app.state.limits.pace.store(1_000_000, Ordering::Relaxed);
    let mut viewer = app.http.get(url).send().await.unwrap();
    assert_eq!(viewer.status(), 200);
    viewer.chunk().await.unwrap().unwrap();
    viewer
}

async fn is_cut(app: &App, mut viewer: reqwest::Response, since: Instant) {
    let (read, early) = read_rest(&mut viewer).await;
    assert!(early && read < SIZE, "{read} bytes were read");
    assert!(since.elapsed() < Duration::from_millis(1300), "{:?}", since.elapsed());
    eventually("the permit is back", SOON, || async {
        (app.state.limits.streams.held() == 0).then_some(())
    })
    .await;
}

#[test]
fn promise_13_a_running_stream_is_cut_when_its_video_is_hidden() {
    on_each_app(is_cut_by_hiding);
}

#[test]
fn promise_13_a_running_stream_is_cut_when_its_video_is_hidden_also_when_it_is_copied() {
    on_one_app_with(copying, is_cut_by_hiding);
}

fn copying(config: &mut Config) {
    config.server.zero_copy = false;
}

async fn is_cut_by_hiding(app: Rc<App>) {
    let (video, _) = app.stored(SIZE).await;
    let (other, _) = app.stored(3_000_000).await;
    let viewer = paced_viewer(&app, &app.file_url(&video)).await;
    let mut unconcerned = paced_viewer(&app, &app.file_url(&other)).await;
    app.client().set_hidden(&video, hidden(2)).await.unwrap();
    assert_eq!(descriptors(&video), 0, "closed when the call is answered");
    assert!(!read_rest(&mut unconcerned).await.1, "other videos go on");
    is_cut(&app, viewer, Instant::now()).await;
    // What changes nothing cuts nothing.
    let show = Visibility {
        hidden: false,
        ..hidden(3)
    };
    app.client().set_hidden(&video, show).await.unwrap();
    app.state.limits.pace.store(4_000_000, Ordering::Relaxed);
    let mut viewer = app.get(&video).await;
    app.client().set_hidden(&video, hidden(1)).await.unwrap();
    assert_eq!(read_rest(&mut viewer).await, (SIZE, false));
}

#[test]
fn promise_13_a_grant_that_was_taken_back_opens_nothing_and_its_streams_end() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(SIZE).await;
        let url = |version| {
            let grant = app.sign(&app.play_grant(&video).with_version(version));
            format!("{}/media/{grant}/{video}/file", app.running.public)
        };
        let status = async |version| app.http.head(url(version)).send().await.unwrap().status().as_u16();
        let tell = |hidden, version, min_grant| {
            let visibility = Visibility {
                hidden,
                version,
                min_grant,
            };
            let (client, video) = (app.client(), video.clone());
            async move { client.set_hidden(&video, visibility).await.unwrap() }
        };
        let old = paced_viewer(&app, &url(1)).await;
        let mut new = paced_viewer(&app, &url(2)).await;
        tell(false, 5, 2).await;
        app.state.limits.pace.store(0, Ordering::Relaxed);
        assert_eq!((status(0).await, status(1).await, status(2).await), (404, 404, 200));
        assert!(!read_rest(&mut new).await.1, "a newer grant goes on");
        is_cut(&app, old, Instant::now()).await;
        // It never falls, and rises also with a message that is too old to say what is hidden.
        tell(false, 6, 0).await;
        tell(true, 4, 3).await;
        assert_eq!((status(2).await, status(3).await), (404, 200));
        tell(true, 7, 0).await;
        tell(false, 8, 0).await;
        assert_eq!((status(2).await, status(3).await), (404, 200));
    });
}

#[test]
fn promise_13_a_running_stream_is_cut_within_a_second_when_another_process_hides_its_video() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(SIZE).await;
        let viewer = paced_viewer(&app, &app.file_url(&video)).await;
        // As another process would, whose bus this one is not on.
        app.sql(&format!(
            "INSERT INTO media (video_id, hidden, version) VALUES ('{video}', TRUE, 1)"
        ))
        .await;
        is_cut(&app, viewer, Instant::now()).await;
    });
}

#[test]
fn promise_3_a_receipt_comes_after_the_last_open_file_even_of_a_viewer_who_reads_nothing() {
    on_each_app(is_purged_under_a_stalled_viewer);
}

#[test]
fn promise_3_a_receipt_comes_after_the_last_open_file_also_when_it_is_copied() {
    on_one_app_with(copying, is_purged_under_a_stalled_viewer);
}

async fn is_purged_under_a_stalled_viewer(app: Rc<App>) {
    let (video, _) = app.stored(4 * SIZE).await;
    let mut stalled = slow_stream(&app, &app.file_url(&video)).await;
    eventually("the connection is full", SOON, || async {
        (descriptors(&video) == 1).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let receipt = app.client().delete_media(&video).await.unwrap();
    assert_eq!((receipt.objects, receipt.bytes), (1, 4 * SIZE as u64));
    assert_eq!(descriptors(&video), 0);
    assert_eq!(app.state.limits.streams.held(), 0);
    let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
    let end = async {
        while let Ok(bytes @ 1..) = stalled.read(&mut buffer).await {
            read += bytes;
        }
    };
    tokio::time::timeout(SOON, end).await.expect("the connection ends");
    assert!(read < 4 * SIZE, "all of it was delivered");
}

#[test]
fn promise_3_purges_beside_viewers_leave_no_file_open() {
    on_each_app(|app| async move {
        for _ in 0..8 {
            let (video, _) = app.stored(600_000).await;
            let views = (0..12).map(|_| async {
                // A connection that is cut before its head was sent answers nothing.
                match app.http.get(app.file_url(&video)).send().await {
                    Ok(response) => response.bytes().await.is_ok(),
                    Err(_) => false,
                }
            });
            let purge = async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                app.client().delete_media(&video).await.unwrap();
                descriptors(&video)
            };
            let (_, open) = tokio::join!(futures_util::future::join_all(views), purge);
            assert_eq!(open, 0);
            eventually("the permits are back", SOON, || async {
                (app.state.limits.streams.held() == 0).then_some(())
            })
            .await;
        }
    });
}
