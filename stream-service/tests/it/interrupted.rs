//! Uploads that end before their last byte: the session ends, the video is purged, the client stalls.

use crate::{
    app::{App, on_each_app, on_each_app_with, upload_grant},
    clip::clip,
    upload::{begin, read_head},
};
use common::{
    bus::Subject,
    error::Code,
    grant::{Grant, Permission},
    ids::{Id, VideoId},
    messages::SessionsRevoked,
};
use futures_util::{StreamExt, stream};
use std::{io, time::Duration};
use tokio::{io::AsyncWriteExt, time::Instant};

#[test]
fn promise_13_the_end_of_a_session_ends_its_upload_within_a_second() {
    on_each_app(|app| async move {
        let (video, session) = (VideoId::random(), Id::now());
        let permission = Permission::Upload {
            max_bytes: 1 << 20,
            session: session.clone(),
        };
        let token = app.sign(&Grant {
            permission,
            ..upload_grant(&video)
        });
        let mut socket = begin(&app, &video, &token).await;
        let ended = SessionsRevoked {
            user: Id::now(),
            sessions: vec![Id::now(), session],
        };
        let since = Instant::now();
        app.running.platform.bus.publish(&Subject::SessionsRevoked, &ended);
        let answer = read_head(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(since.elapsed() < Duration::from_secs(1));
        app.nothing_is_left().await;
    });
}

#[test]
fn promise_13_the_end_of_a_session_ends_its_upload_within_a_second_also_without_a_message() {
    on_each_app(|app| async move {
        let (video, session) = (VideoId::random(), Id::now());
        let permission = Permission::Upload {
            max_bytes: 1 << 20,
            session: session.clone(),
        };
        let token = app.sign(&Grant {
            permission,
            ..upload_grant(&video)
        });
        let mut socket = begin(&app, &video, &token).await;
        app.told.lock().unwrap().revoked.insert(session);
        let since = Instant::now();
        assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 401"));
        assert!(since.elapsed() < Duration::from_millis(1200), "{:?}", since.elapsed());
        app.nothing_is_left().await;
    });
}

#[test]
fn promise_13_without_an_answer_about_its_session_no_upload_begins_and_a_running_one_goes_on() {
    on_each_app(|app| async move {
        let (running, refused) = (VideoId::random(), VideoId::random());
        let mut socket = begin(&app, &running, &app.upload_token(&running)).await;
        for code in [
            Code::Internal,
            Code::UpstreamUnavailable,
            Code::NotFound,
            Code::Unauthenticated,
        ] {
            app.told.lock().unwrap().unable = Some(code);
            is_unavailable(app.put(&refused, clip(5_000, 1)).await).await;
        }
        // Two checks of the running one are not answered either.
        tokio::time::sleep(Duration::from_millis(1800)).await;
        socket.write_all(&clip(600_000, 1)[300_000..]).await.unwrap();
        let answer = read_head(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        app.told.lock().unwrap().unable = None;
        assert_eq!(app.put(&refused, clip(5_000, 1)).await.status(), 201);
    });
}

#[test]
fn promise_13_no_upload_begins_while_api_service_is_away() {
    on_each_app_with(
        |config| config.internal.api = vec!["http://127.0.0.1:9".into()],
        |app| async move {
            is_unavailable(app.put(&VideoId::random(), clip(5_000, 1)).await).await;
            app.nothing_is_left().await;
        },
    );
}

async fn is_unavailable(response: reqwest::Response) {
    assert!(response.headers().contains_key("retry-after"));
    let (status, code, _) = App::problem(response).await;
    assert_eq!((status, code.as_str()), (503, "upstream_unavailable"));
}

#[test]
fn a_purge_ends_the_upload_of_its_video_within_a_second() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let mut socket = begin(&app, &video, &app.upload_token(&video)).await;
        let since = Instant::now();
        let receipt = app.client().delete_media(&video).await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(1));
        assert_eq!(
            (receipt.objects, receipt.bytes),
            (0, 0),
            "the upload took its file with it"
        );
        assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 410"));
        app.nothing_is_left().await;
        let (status, code, _) = App::problem(app.put(&video, clip(5_000, 1)).await).await;
        assert_eq!((status, code.as_str()), (410, "gone"));
    });
}

#[test]
fn promise_6_an_upload_that_stalls_ends_and_one_that_only_drips_does_not() {
    on_each_app_with(
        |config| config.stream.stall_timeout.0 = Duration::from_millis(400),
        |app| async move {
            let stalls = async {
                let video = VideoId::random();
                let mut socket = begin(&app, &video, &app.upload_token(&video)).await;
                let since = Instant::now();
                let answer = read_head(&mut socket).await;
                assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
                assert!(since.elapsed() < Duration::from_secs(2));
            };
            let drips = async {
                let video = VideoId::random();
                let pieces: Vec<Vec<u8>> = clip(3_000, 1).chunks(300).map(<[u8]>::to_vec).collect();
                let slow = stream::iter(pieces).then(|piece| async {
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    Ok::<_, io::Error>(piece)
                });
                let slow = actix_web::rt::spawn({
                    let (http, url, token) = (app.http.clone(), app.put_url(&video), app.upload_token(&video));
                    async move {
                        http.put(url)
                            .bearer_auth(token)
                            .body(reqwest::Body::wrap_stream(slow))
                            .send()
                            .await
                    }
                });
                assert_eq!(slow.await.unwrap().unwrap().status(), 201);
            };
            tokio::join!(stalls, drips);
            assert_eq!(app.files().len(), 1);
        },
    );
}
