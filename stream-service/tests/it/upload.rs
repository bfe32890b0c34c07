//! `/uploads/by-video/{videoId}`: what is taken, what is refused, and that refusals leave nothing behind.

use crate::{
    app::{App, SOON, on_each_app, on_each_app_with, upload_grant},
    clip::{clip, sha256},
};
use common::{
    error::Code,
    grant::{Grant, Permission},
    ids::{Id, VideoId},
    testing::eventually,
    time::Timestamp,
};
use futures_util::stream;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[test]
fn a_video_goes_in_and_api_service_is_told() {
    on_each_app(|app| async move {
        let (video, bytes) = (VideoId::random(), clip(700_000, 1));
        let response = app.put(&video, bytes.clone()).await;
        assert_eq!(response.status(), 201);
        let stored: serde_json::Value = response.json().await.unwrap();
        assert_eq!(stored["videoId"], video.as_str());
        assert_eq!(stored["sizeBytes"], 700_000);
        assert_eq!(stored["sha256"], sha256(&bytes));
        assert_eq!(stored["mime"], "video/mp4");
        assert_eq!(
            (&stored["width"], &stored["height"], &stored["durationMs"]),
            (&320.into(), &240.into(), &2000.into())
        );
        assert_eq!(stored["codecs"][0], "avc1.64001f");
        let (told, ready) = eventually("api-service is told", SOON, || async {
            app.told.lock().unwrap().ready.pop()
        })
        .await;
        assert_eq!(told, video);
        assert_eq!(
            (ready.size_bytes, ready.sha256, ready.width),
            (700_000, sha256(&bytes), Some(320))
        );
        assert_eq!(app.files().len(), 1);
        assert_eq!(std::fs::read(&app.files()[0]).unwrap(), bytes);
    });
}

#[test]
fn a_form_goes_in() {
    on_each_app(|app| async move {
        let (video, bytes) = (VideoId::random(), clip(300_000, 2));
        let body = form(&[("title", None, b"ignored"), ("file", Some("holiday.mp4"), &bytes)]);
        let response = post_form(&app, &video, body).await;
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        assert_eq!(app.get(&video).await.bytes().await.unwrap(), bytes);
    });
}

#[test]
fn a_second_upload_for_a_video_is_refused() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(5_000).await;
        let (status, code, _) = App::problem(app.put(&video, clip(6_000, 3)).await).await;
        assert_eq!((status, code.as_str()), (409, "conflict"));
        assert_eq!(app.get(&video).await.bytes().await.unwrap(), bytes);
        assert_eq!(app.files().len(), 1);
    });
}

#[test]
fn of_two_uploads_at_once_one_wins() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let put = |seed| app.put(&video, clip(400_000, seed));
        let (a, b) = tokio::join!(put(1), put(2));
        let mut statuses = [a.status().as_u16(), b.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        eventually("one file, one row", SOON, || async {
            (app.files().len() == 1 && app.rows().await.len() == 1).then_some(())
        })
        .await;
    });
}

#[test]
fn grants_are_checked() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let expired = Grant {
            expires_ms: Timestamp::now().millis() - 1,
            ..upload_grant(&video)
        };
        let play = Grant {
            permission: Permission::Play,
            ..upload_grant(&video)
        };
        let tokens = [
            (app.sign(&expired), 401, "unauthenticated"),
            (app.sign(&play), 401, "unauthenticated"),
            ("nonsense".to_owned(), 401, "unauthenticated"),
            (app.upload_token(&VideoId::random()), 404, "not_found"),
        ];
        for (token, status, code) in tokens {
            let (found, name, _) = App::problem(app.put_as(&video, &token, clip(5_000, 1)).await).await;
            assert_eq!((found, name.as_str()), (status, code));
        }
        let bare = app.http.put(app.put_url(&video)).body("x").send().await.unwrap();
        assert_eq!(App::problem(bare).await.0, 401);
        let url = format!("{}/uploads/by-video/NOT-AN-ID", app.running.public);
        let odd = app
            .http
            .put(url)
            .bearer_auth(app.upload_token(&video))
            .body("x")
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(odd).await.0, 404);
        let get = app.http.get(app.put_url(&video)).send().await.unwrap();
        assert_eq!(get.headers()["allow"], "PUT, POST");
        assert_eq!(App::problem(get).await.1, "method_not_allowed");
        app.nothing_is_left().await;
    });
}

#[test]
fn a_grant_of_an_ended_session_is_refused() {
    on_each_app(|app| async move {
        let (video, session) = (VideoId::random(), Id::now());
        let permission = Permission::Upload {
            max_bytes: 1 << 20,
            session: session.clone(),
        };
        app.told.lock().unwrap().revoked.insert(session);
        let token = app.sign(&Grant {
            permission,
            ..upload_grant(&video)
        });
        assert_eq!(
            App::problem(app.put_as(&video, &token, clip(5_000, 1)).await).await.1,
            "unauthenticated"
        );
        app.nothing_is_left().await;
    });
}

#[test]
fn promise_7_a_body_larger_than_the_grant_is_cut_at_the_byte_that_crosses() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let permission = Permission::Upload {
            max_bytes: 100_000,
            session: Id::now(),
        };
        let token = app.sign(&Grant {
            permission,
            ..upload_grant(&video)
        });
        // Without a declared length: chunked.
        let pieces = stream::iter((0..11).map(|_| Ok::<_, io::Error>(vec![1u8; 10_000])));
        let response = app.put_as(&video, &token, reqwest::Body::wrap_stream(pieces)).await;
        let (status, code, problem) = App::problem(response).await;
        assert_eq!(
            (status, code.as_str(), problem["maxBytes"].as_u64()),
            (413, "body_too_large", Some(100_000))
        );
        app.nothing_is_left().await;
        let exactly = clip(100_000, 1);
        let pieces = stream::iter([Ok::<_, io::Error>(exactly)]);
        assert_eq!(
            app.put_as(&video, &token, reqwest::Body::wrap_stream(pieces))
                .await
                .status(),
            201
        );
    });
}

#[test]
fn promise_7_the_configured_maximum_holds_whatever_the_grant_says() {
    on_each_app_with(
        |config| config.stream.max_upload.0 = 50_000,
        |app| async move {
            let (status, _, problem) = App::problem(app.put(&VideoId::random(), clip(50_001, 1)).await).await;
            assert_eq!((status, problem["maxBytes"].as_u64()), (413, Some(50_000)));
            assert_eq!(app.put(&VideoId::random(), clip(50_000, 1)).await.status(), 201);
        },
    );
}

#[test]
fn promise_8_a_declared_length_over_the_limit_is_refused_before_the_body() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let head = put_head(
            &app,
            &video,
            &app.upload_token(&video),
            "Content-Length: 99999999999\r\n",
        );
        let mut socket = connect(&app).await;
        socket.write_all(head.as_bytes()).await.unwrap();
        // Not one byte of the body is sent.
        let answer = read_head(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        app.nothing_is_left().await;
    });
}

#[test]
fn promise_8_too_many_uploads_are_refused_before_the_body() {
    on_each_app_with(
        |config| config.stream.max_uploads_per_user = 1,
        |app| async move {
            let user = Id::now();
            let token = |video: &VideoId, user: &Id| {
                app.sign(&Grant {
                    user: Some(user.clone()),
                    ..upload_grant(video)
                })
            };
            let (first, second) = (VideoId::random(), VideoId::random());
            let mut running = connect(&app).await;
            let head = put_head(&app, &first, &token(&first, &user), "Content-Length: 5000\r\n");
            running.write_all(head.as_bytes()).await.unwrap();
            eventually("the first upload runs", SOON, || async {
                (app.rows().await.len() == 1).then_some(())
            })
            .await;
            let mut refused = connect(&app).await;
            let head = put_head(&app, &second, &token(&second, &user), "Content-Length: 5000\r\n");
            refused.write_all(head.as_bytes()).await.unwrap();
            let answer = read_head(&mut refused).await;
            assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
            for field in [
                "retry-after: 2",
                "ratelimit-policy: \"uploads\";q=1;qu=\"concurrent-requests\"",
                "ratelimit: \"uploads\";r=0",
            ] {
                assert!(answer.to_lowercase().contains(field), "no {field} in {answer}");
            }
            assert_eq!(
                app.put_as(&second, &token(&second, &Id::now()), clip(5_000, 1))
                    .await
                    .status(),
                201
            );
            running.write_all(&clip(5_000, 1)).await.unwrap();
            assert!(read_head(&mut running).await.starts_with("HTTP/1.1 201"));
            assert_eq!(app.state.limits.uploads.held(), 0);
        },
    );
}

#[test]
fn api_service_is_told_until_it_listens_or_wants_nothing() {
    on_each_app(|app| async move {
        app.told.lock().unwrap().refuse = Some(Code::Internal);
        let (video, _) = app.stored(5_000).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(app.told.lock().unwrap().ready.is_empty());
        app.told.lock().unwrap().refuse = None;
        eventually("told at last", SOON, || async {
            app.told
                .lock()
                .unwrap()
                .ready
                .iter()
                .any(|(told, _)| *told == video)
                .then_some(())
        })
        .await;
        // A wrong address answers so too: it is tried again.
        app.told.lock().unwrap().refuse = Some(Code::NotFound);
        app.stored(5_000).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(outbox_len(&app).await, 1);
        app.told.lock().unwrap().refuse = Some(Code::Gone);
        app.stored(5_000).await;
        eventually("the outbox is empty", SOON, || async {
            (outbox_len(&app).await == 0).then_some(())
        })
        .await;
    });
}

pub async fn outbox_len(app: &App) -> i64 {
    use diesel::prelude::*;
    diesel::table! { outbox (id) { id -> BigInt, } }
    let count = app
        .db
        .read(|conn| Ok::<_, common::db::DbError>(outbox::table.count().get_result(conn)?));
    count.await.unwrap()
}

/// Begins an upload that has sent some of its bytes and waits.
pub async fn begin(app: &App, video: &VideoId, token: &str) -> TcpStream {
    let mut socket = connect(app).await;
    let head = put_head(app, video, token, "Content-Length: 600000\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&clip(600_000, 1)[..300_000]).await.unwrap();
    eventually("some of it is on disk", SOON, || async {
        (app.bytes_on_disk() > 0).then_some(())
    })
    .await;
    socket
}

pub async fn connect(app: &App) -> TcpStream {
    TcpStream::connect(app.running.public.strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

pub fn put_head(app: &App, video: &VideoId, token: &str, framing: &str) -> String {
    let host = app.running.public.strip_prefix("http://").unwrap();
    format!("PUT /uploads/by-video/{video} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{framing}\r\n")
}

/// The head of an answer; what came of it when the connection ended before.
pub async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
    };
    tokio::time::timeout(SOON, read).await.expect("an answer in time");
    String::from_utf8(head).unwrap()
}

const BOUNDARY: &str = "----sluice-test-boundary";

/// A form; fields are name, file name, content.
pub fn form(fields: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in fields {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub async fn post_form(app: &App, video: &VideoId, body: Vec<u8>) -> reqwest::Response {
    post_form_as(app, video, &app.upload_token(video), body).await
}

pub async fn post_form_as(
    app: &App,
    video: &VideoId,
    token: &str,
    body: impl Into<reqwest::Body>,
) -> reqwest::Response {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = app
        .http
        .post(app.put_url(video))
        .bearer_auth(token)
        .header("content-type", kind);
    request.body(body).send().await.unwrap()
}
