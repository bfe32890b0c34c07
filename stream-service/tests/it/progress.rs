//! `OnUploadProgress`: what the owner of an upload is told while the bytes come in.

use crate::{
    app::{App, SOON, on_each_app, upload_grant},
    clip::clip,
    upload::{form, post_form_as},
};
use common::{
    bus::{Subject, Subscription},
    grant::Grant,
    ids::{Id, VideoId},
    messages::UserEvent,
};
use futures_util::{FutureExt, stream};
use serde_json::{Value, json};
use std::io;
use tokio::sync::mpsc;

fn listen(app: &App, user: &Id) -> Subscription {
    app.running.platform.bus.subscribe(&Subject::User(user.clone()))
}

async fn next(owner: &mut Subscription) -> Value {
    let message = tokio::time::timeout(SOON, owner.next())
        .await
        .expect("something is told");
    let event: UserEvent = message.unwrap().decode().unwrap();
    assert_eq!(event.event, "OnUploadProgress");
    assert!(event.operation.is_some());
    event.data
}

fn nothing_more(owner: &mut Subscription) -> bool {
    tokio::task::unconstrained(owner.next()).now_or_never().is_none()
}

/// A grant of `user` for `video`, signed.
fn token(app: &App, video: &VideoId, user: Option<&Id>) -> String {
    app.sign(&Grant {
        user: user.cloned(),
        ..upload_grant(video)
    })
}

/// A body whose pieces the test sends when it likes.
pub fn dripping() -> (mpsc::UnboundedSender<Vec<u8>>, reqwest::Body) {
    let (sender, receiver) = mpsc::unbounded_channel::<Vec<u8>>();
    let pieces = stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((Ok::<_, io::Error>(piece), receiver))
    });
    (sender, reqwest::Body::wrap_stream(pieces))
}

#[test]
fn the_owner_hears_how_far_it_is_and_when_all_is_in() {
    on_each_app(|app| async move {
        let (video, ann, bytes) = (VideoId::random(), Id::now(), clip(30_000, 1));
        let mut owner = listen(&app, &ann);
        let mut stranger = listen(&app, &Id::now());
        let (sender, body) = dripping();
        let token = token(&app, &video, Some(&ann));
        let upload = async {
            let request = app.http.put(app.put_url(&video)).bearer_auth(&token);
            request
                .header("content-length", 30_000)
                .body(body)
                .send()
                .await
                .unwrap()
        };
        let drip = async {
            for (n, piece) in (1..).zip(bytes.chunks(10_000)) {
                sender.send(piece.to_vec()).unwrap();
                // Until it is told, no more is sent; a part of a piece may be told before.
                loop {
                    let told = next(&mut owner).await;
                    let received = told["receivedBytes"].as_u64().unwrap();
                    assert_eq!(
                        told,
                        json!({ "videoID": video, "receivedBytes": received, "totalBytes": 30_000 })
                    );
                    assert!(received > (n - 1) * 10_000 && received <= n * 10_000, "{received}");
                    if received == n * 10_000 {
                        break;
                    }
                }
            }
            drop(sender);
        };
        let (answer, ()) = tokio::join!(upload, drip);
        assert_eq!(answer.status(), 201);
        // At most the last number once more: the one before may have been the same.
        while !nothing_more(&mut owner) {
            assert_eq!(next(&mut owner).await["receivedBytes"], 30_000);
        }
        assert!(nothing_more(&mut stranger));
    });
}

#[test]
fn a_small_upload_is_told_once() {
    on_each_app(|app| async move {
        let (video, ann) = (VideoId::random(), Id::now());
        let mut owner = listen(&app, &ann);
        let token = token(&app, &video, Some(&ann));
        // Without a declared length: the end tells it.
        let pieces = stream::iter([Ok::<_, io::Error>(clip(5_000, 1))]);
        let answer = app.put_as(&video, &token, reqwest::Body::wrap_stream(pieces)).await;
        assert_eq!(answer.status(), 201);
        let mut last = next(&mut owner).await;
        // On a machine that is very busy it was told before, too.
        while !nothing_more(&mut owner) {
            last = next(&mut owner).await;
        }
        assert_eq!(
            last,
            json!({ "videoID": video, "receivedBytes": 5_000, "totalBytes": 5_000 })
        );
    });
}

#[test]
fn a_form_tells_its_total_at_the_end() {
    on_each_app(|app| async move {
        let (video, ann, bytes) = (VideoId::random(), Id::now(), clip(20_000, 2));
        let mut owner = listen(&app, &ann);
        let token = token(&app, &video, Some(&ann));
        let body = form(&[("title", None, b"ignored"), ("file", Some("a.mp4"), &bytes)]);
        let cut = body.len() - 8_000;
        let (sender, dripped) = dripping();
        let upload = post_form_as(&app, &video, &token, dripped);
        let drip = async {
            sender.send(body[..cut].to_vec()).unwrap();
            let first = next(&mut owner).await;
            sender.send(body[cut..].to_vec()).unwrap();
            drop(sender);
            first
        };
        let (answer, first) = tokio::join!(upload, drip);
        assert_eq!(answer.status(), 201);
        assert_eq!((&first["videoID"], &first["totalBytes"]), (&json!(video), &json!(null)));
        let early = first["receivedBytes"].as_u64().unwrap();
        assert!((1..20_000).contains(&early), "{early}");
        let mut last = next(&mut owner).await;
        while !nothing_more(&mut owner) {
            last = next(&mut owner).await;
        }
        assert_eq!(
            last,
            json!({ "videoID": video, "receivedBytes": 20_000, "totalBytes": 20_000 })
        );
    });
}

#[test]
fn an_upload_of_nobody_is_told_to_nobody() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let token = token(&app, &video, None);
        assert_eq!(app.put_as(&video, &token, clip(5_000, 1)).await.status(), 201);
    });
}

#[test]
fn a_refused_upload_has_no_last_report() {
    on_each_app(|app| async move {
        let (video, ann) = (VideoId::random(), Id::now());
        let mut owner = listen(&app, &ann);
        let token = token(&app, &video, Some(&ann));
        let pieces = stream::iter((0..70).map(|_| Ok::<_, io::Error>(vec![1_u8; 1 << 20])));
        let answer = app.put_as(&video, &token, reqwest::Body::wrap_stream(pieces)).await;
        assert_eq!(answer.status(), 413);
        // What is there is looked at, and nothing waited for.
        while let Some(message) = tokio::task::unconstrained(owner.next()).now_or_never() {
            let told = message.unwrap().decode::<UserEvent>().unwrap().data;
            assert_eq!(told["totalBytes"], json!(null), "{told}");
        }
    });
}
