//! `/media/{grant}/{videoId}/file`: grants, headers, limits, permits.

use crate::app::{App, SOON, on_each_app, on_each_app_with};
use common::{
    grant::Grant,
    ids::VideoId,
    messages::Visibility,
    testing::{eventually, random::Random},
    time::Timestamp,
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SIZE: usize = 300_000;

#[test]
fn promise_15_stored_media_is_served_as_video_and_nothing_else() {
    on_each_app(|app| async move {
        // A playable video that carries a page.
        let (video, mut bytes) = (VideoId::random(), crate::clip::clip(20_000, 1));
        bytes[10_000..10_031].copy_from_slice(b"<html><script>alert(1)</script>");
        assert_eq!(app.put(&video, bytes).await.status(), 201);
        for (query, range) in [("", None), ("?download=1", None), ("", Some("bytes=10000-10030"))] {
            let request = app.http.get(format!("{}{query}", app.file_url(&video)));
            let response = match range {
                Some(range) => request.header("range", range),
                None => request,
            };
            let response = response.header("accept", "text/html").send().await.unwrap();
            let headers = response.headers();
            assert_eq!(headers["content-type"], "video/mp4");
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert_eq!(headers["content-security-policy"], "sandbox; default-src 'none'");
            assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
            assert_eq!(headers["cache-control"], "private, no-cache");
            assert_eq!(headers["accept-ranges"], "bytes");
            let name = headers
                .get("content-disposition")
                .map(|value| value.to_str().unwrap().to_owned());
            let expected = (query == "?download=1").then(|| format!("attachment; filename=\"{video}.mp4\""));
            assert_eq!(name, expected);
        }
    });
}

#[test]
fn grants_are_checked_and_tell_nothing() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(5_000).await;
        let other = VideoId::random();
        let expired = Grant {
            expires_ms: Timestamp::now().millis() - 1,
            ..app.play_grant(&video)
        };
        let paths = [
            (format!("/media/{}/{video}/file", app.sign(&expired)), 401),
            (format!("/media/{}/{video}/file", app.upload_token(&video)), 401),
            (format!("/media/nonsense/{video}/file"), 401),
            (
                format!("/media/{}/{video}/file", app.sign(&app.play_grant(&other))),
                404,
            ),
            (
                format!("/media/{}/{other}/file", app.sign(&app.play_grant(&other))),
                404,
            ),
            (
                format!("/media/{}/{}/file", app.sign(&app.play_grant(&video)), "..%2f..%2fetc"),
                404,
            ),
            (
                format!("/media/{}/{video}/other", app.sign(&app.play_grant(&video))),
                404,
            ),
        ];
        for (path, status) in paths {
            let response = app
                .http
                .get(format!("{}{path}", app.running.public))
                .send()
                .await
                .unwrap();
            assert_eq!(App::problem(response).await.0, status, "{path}");
        }
        let response = app.http.post(app.file_url(&video)).send().await.unwrap();
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        assert_eq!(response.status(), 405);
    });
}

#[test]
fn promise_13_a_hidden_video_does_not_play_and_comes_back() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(5_000).await;
        let client = app.client();
        let hide = |hidden, version| {
            let visibility = Visibility {
                hidden,
                version,
                min_grant: 0,
            };
            client.set_hidden(&video, visibility)
        };
        assert_eq!(app.get(&video).await.status(), 200);
        hide(true, 3).await.unwrap();
        assert_eq!(app.get(&video).await.status(), 404, "at once, whatever was remembered");
        hide(false, 2).await.unwrap();
        assert_eq!(app.get(&video).await.status(), 404, "an older version changes nothing");
        hide(true, 3).await.unwrap();
        hide(false, 4).await.unwrap();
        assert_eq!(app.get(&video).await.bytes().await.unwrap(), bytes);
    });
}

#[test]
fn promise_13_what_another_process_hides_is_noticed_within_a_second() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(5_000).await;
        assert_eq!(app.get(&video).await.status(), 200);
        // As another process would: in the ledger, with a lost message.
        app.sql(&format!(
            "INSERT INTO media (video_id, hidden, version) VALUES ('{video}', TRUE, 1)"
        ))
        .await;
        let since = Instant::now();
        eventually("hidden", SOON, || async {
            (app.get(&video).await.status() == 404).then_some(())
        })
        .await;
        assert!(since.elapsed() < Duration::from_millis(1100), "{:?}", since.elapsed());
    });
}

#[test]
fn promise_8_a_client_that_asks_too_often_is_told_when_to_come_back() {
    on_each_app_with(
        |config| (config.stream.rate, config.stream.burst) = (1, 3),
        |app| async move {
            let video = VideoId::random();
            let url = app.file_url(&video);
            for _ in 0..3 {
                assert_eq!(app.http.get(&url).send().await.unwrap().status(), 404);
            }
            let refused = app.http.get(&url).send().await.unwrap();
            let headers = refused.headers().clone();
            let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert_eq!(headers["ratelimit-policy"], "\"rate\";q=3;w=3");
            assert_eq!(headers["ratelimit"], format!("\"rate\";r=0;t={wait}"));
            assert_eq!(App::problem(refused).await.1, "too_many_requests");
            // Another user is not affected, and a wait as told is enough.
            assert_eq!(app.get(&video).await.status(), 404);
            tokio::time::sleep(Duration::from_secs(wait)).await;
            assert_eq!(app.http.get(&url).send().await.unwrap().status(), 404);
        },
    );
}

#[test]
fn streams_are_counted_per_client_until_their_last_byte() {
    on_each_app_with(
        |config| (config.stream.max_streams_per_client, config.stream.max_streams) = (2, 3),
        |app| async move {
            let (video, _) = app.stored(8 << 20).await;
            let url = app.file_url(&video);
            let first = slow_stream(&app, &url).await;
            let second = slow_stream(&app, &url).await;
            let refused = app.http.get(&url).send().await.unwrap();
            assert_eq!(
                refused.headers()["ratelimit-policy"],
                "\"streams\";q=2;qu=\"concurrent-requests\""
            );
            assert!(refused.headers().contains_key("retry-after"));
            assert_eq!(App::problem(refused).await.1, "too_many_streams");
            // Heads cost no stream.
            assert_eq!(app.http.head(&url).send().await.unwrap().status(), 200);
            // Other clients have theirs, until the service has enough.
            let third = slow_stream(&app, &app.file_url(&video)).await;
            assert_eq!(app.get(&video).await.status(), 429);
            assert_eq!(app.state.limits.streams.held(), 3);
            drop((first, second, third));
            eventually("all permits are back", SOON, || async {
                (app.state.limits.streams.held() == 0).then_some(())
            })
            .await;
            assert_eq!(
                app.http.get(&url).send().await.unwrap().bytes().await.unwrap().len(),
                8 << 20
            );
        },
    );
}

/// A viewer that has read the head and takes its time.
pub async fn slow_stream(app: &App, url: &str) -> TcpStream {
    let mut socket = crate::upload::connect(app).await;
    let path = url.strip_prefix(&app.running.public).unwrap();
    socket
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let head = crate::upload::read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    socket
}

#[test]
fn promise_9_permits_come_back_from_viewers_who_leave_at_any_moment() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(2 << 20).await;
        let mut random = Random::from_clock();
        for round in 0..120 {
            let path = app.file_path(&video);
            let range = match random.below(4) {
                0 => "Range: bytes=0-99\r\n".to_owned(),
                1 => format!("Range: bytes={}-\r\n", random.below(2 << 20)),
                2 => "Range: bytes=0-1000,500000-900000,1000000-\r\n".to_owned(),
                _ => String::new(),
            };
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{range}\r\n");
            let mut socket = crate::upload::connect(&app).await;
            // Sometimes not even the head of the request is complete.
            let sent = if round % 10 == 0 {
                random.below(request.len())
            } else {
                request.len()
            };
            socket.write_all(&request.as_bytes()[..sent]).await.unwrap();
            let mut read = random.below(3 << 20);
            let mut buffer = vec![0; 1 << 16];
            while read > 0 && sent == request.len() {
                match tokio::time::timeout(Duration::from_millis(20), socket.read(&mut buffer)).await {
                    Ok(Ok(n)) if n > 0 => read = read.saturating_sub(n),
                    _ => break,
                }
            }
            drop(socket);
        }
        eventually("all permits are back", SOON, || async {
            (app.state.limits.streams.held() == 0).then_some(())
        })
        .await;
        let text = app.running.platform.metrics.encode();
        assert!(
            text.contains("sluice_stream_streams 0"),
            "the gauge of streams is not back at 0"
        );
    });
}

#[test]
fn promise_9_permits_come_back_from_uploads_that_end_at_any_moment() {
    on_each_app(|app| async move {
        let mut random = Random::from_clock();
        let bytes = crate::clip::clip(700_000, 1);
        for _ in 0..40 {
            let video = VideoId::random();
            let mut socket = crate::upload::connect(&app).await;
            let head = crate::upload::put_head(&app, &video, &app.upload_token(&video), "Content-Length: 700000\r\n");
            let whole = [head.as_bytes(), &bytes].concat();
            let sent = random.below(whole.len());
            // An answer that comes first (429) closes the connection under us.
            drop(socket.write_all(&whole[..sent]).await);
            drop(socket);
        }
        app.nothing_is_left().await;
    });
}

#[test]
fn a_paced_stream_goes_at_its_pace() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(3_500_000).await;
        // A megabyte per second, two seconds ahead: 3.5 MB take about a second and a half.
        app.state.limits.pace.store(1_000_000, Ordering::Relaxed);
        let since = Instant::now();
        assert_eq!(app.get(&video).await.bytes().await.unwrap(), bytes);
        assert!(since.elapsed() > Duration::from_millis(1200), "{:?}", since.elapsed());
        app.state.limits.pace.store(0, Ordering::Relaxed);
        let since = Instant::now();
        app.get(&video).await.bytes().await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_file_that_became_shorter_ends_the_connection_and_not_the_service() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(SIZE).await;
        let file = app.files().remove(0);
        std::fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(1000)
            .unwrap();
        assert_eq!(App::problem(app.get(&video).await).await.0, 500);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(App::problem(app.get(&video).await).await.0, 404);
        assert_eq!(app.state.limits.streams.held(), 0);
    });
}
