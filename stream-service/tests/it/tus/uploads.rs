//! What a tus client lives through: uploads in pieces, checksums, parts, stalled requests, ended sessions, expiry.

use super::client::{BYTES, Client, offset_of, sha1};
use crate::{
    app::{App, SOON, on_each_app, on_each_app_with, upload_grant},
    clip::{clip, sha256},
};
use common::{
    grant::{Grant, Permission},
    ids::{Id, VideoId},
    messages::Sweep,
    testing::{eventually, raw::Raw},
};
use futures_util::future::join_all;
use std::time::Duration;

fn length(bytes: &[u8]) -> String {
    bytes.len().to_string()
}

async fn create(client: &Client, bytes: &[u8]) -> String {
    client.create(&[("upload-length", &length(bytes))]).await
}

async fn plays(app: &App, client: &Client, bytes: &[u8]) {
    let response = app.get(&client.video).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["etag"], format!("\"{}\"", sha256(bytes)));
    assert!(response.bytes().await.unwrap() == *bytes);
}

#[test]
fn an_upload_in_pieces_becomes_the_video() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(1_200_000, 3));
        let upload = create(&client, &bytes).await;
        let mut at = 0;
        for size in [1, 262_143, 300_000, 0, 500_000] {
            client.send(&upload, at, &bytes[at..at + size]).await;
            at += size;
            assert_eq!(client.offset(&upload).await, at);
        }
        assert_eq!(app.get(&client.video).await.status(), 404);
        client.send(&upload, at, &bytes[at..]).await;
        plays(&app, &client, &bytes).await;
        assert_eq!(app.told.lock().unwrap().ready.len(), 1);
        // The answer may have been lost: it is told again.
        assert_eq!(client.offset(&upload).await, bytes.len());
        assert_eq!(app.files().len(), 1);
        assert_eq!(app.state.limits.uploads.held(), 0);
        assert!(app.state.uploads.objects().is_empty());
    });
}

#[test]
fn what_is_not_a_video_is_refused_at_its_end_and_gone() {
    on_each_app(|app| async move {
        let client = Client::new(&app);
        let upload = client.create(&[("upload-length", "3000")]).await;
        client.send(&upload, 0, &[7; 1000]).await;
        let refused = client.patch(&upload, 1000, vec![7; 2000]).await;
        assert_eq!(refused.headers()["tus-resumable"], "1.0.0");
        let (status, code, problem) = App::problem(refused).await;
        assert_eq!((status, code.as_str()), (415, "unsupported_media"));
        assert!(problem["found"].is_string());
        assert_eq!(client.head(&upload).await.status(), 410);
        app.nothing_is_left().await;
        // The video goes on waiting for a file.
        let bytes = clip(5_000, 1);
        let created = client.creation(&[("upload-length", "5000")], Some(bytes.clone())).await;
        assert_eq!((created.status().as_u16(), offset_of(&created)), (201, Some(5000)));
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn an_empty_upload_is_no_video() {
    on_each_app(|app| async move {
        let client = Client::new(&app);
        let refused = client.creation(&[("upload-length", "0")], None).await;
        assert_eq!(App::problem(refused).await.1, "unsupported_media");
        app.nothing_is_left().await;
    });
}

#[test]
fn bytes_under_a_checksum_are_all_or_nothing() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(600_000, 5));
        let upload = create(&client, &bytes).await;
        let send = |at: usize, to: usize, checksum: String, sent: Vec<u8>| {
            let request = client.request("PATCH", &upload).header("content-type", BYTES);
            assert_eq!(sent.len(), to - at);
            request
                .header("upload-offset", at)
                .header("upload-checksum", checksum)
                .body(sent)
                .send()
        };
        let first = &bytes[..400_000];
        let mut damaged = first.to_vec();
        damaged[399_999] ^= 1;
        let wrong = send(0, 400_000, sha1(first), damaged).await.unwrap();
        let (status, code, _) = App::problem(wrong).await;
        assert_eq!((status, code.as_str()), (460, "checksum_mismatch"));
        assert_eq!(client.offset(&upload).await, 0);
        let good = send(0, 400_000, sha1(first), first.to_vec()).await.unwrap();
        assert_eq!((good.status().as_u16(), offset_of(&good)), (204, Some(400_000)));
        // Of a request that is cut off nothing is known to be good.
        let mut raw = Raw::connect(&app.running.public).await;
        raw.send(&patch_head(
            &app,
            &client,
            &upload,
            400_000,
            200_000,
            &format!("Upload-Checksum: {}\r\n", sha1(&bytes[400_000..])),
        ))
        .await;
        raw.send_bytes(&bytes[400_000..500_000]).await;
        drop(raw);
        eventually("the request has ended", SOON, || async {
            app.state.uploads.objects().is_empty().then_some(())
        })
        .await;
        assert_eq!(client.offset(&upload).await, 400_000);
        client.send(&upload, 400_000, &bytes[400_000..]).await;
        plays(&app, &client, &bytes).await;
    });
}

pub fn patch_head(app: &App, client: &Client, upload: &str, at: usize, length: usize, more: &str) -> String {
    let host = app.running.public.strip_prefix("http://").unwrap();
    format!(
        "PATCH {upload} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\nContent-Type: {BYTES}\r\n\
         Upload-Offset: {at}\r\nContent-Length: {length}\r\n{more}\r\n",
        client.token
    )
}

/// A request that has sent `sent` bytes from the start of the upload and sends no more.
async fn stalled(app: &App, client: &Client, upload: &str, bytes: &[u8], sent: usize) -> Raw {
    let before = app.bytes_on_disk();
    let mut raw = Raw::connect(&app.running.public).await;
    raw.send(&patch_head(app, client, upload, 0, bytes.len(), "")).await;
    raw.send_bytes(&bytes[..sent]).await;
    eventually("it is being received", SOON, || async {
        (app.bytes_on_disk() > before).then_some(())
    })
    .await;
    raw
}

#[test]
fn a_new_request_takes_an_upload_over_from_a_stalled_one_and_loses_nothing() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 6));
        let upload = create(&client, &bytes).await;
        // The stall timeout is a minute and the test's patience less than half of it: only a takeover ends it.
        let mut first = stalled(&app, &client, &upload, &bytes, 500_000).await;
        let at = eventually("all that was sent is saved", SOON, || async {
            Some(client.offset(&upload).await)
        })
        .await;
        first.answer().await.check_problem(409, "conflict");
        assert!((262_144..=500_000).contains(&at), "{at}");
        client.send(&upload, at, &bytes[at..]).await;
        plays(&app, &client, &bytes).await;
        assert_eq!(app.state.limits.uploads.held(), 0);
    });
}

#[test]
fn a_patch_takes_over_too_and_is_told_the_true_offset() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 7));
        let upload = create(&client, &bytes).await;
        let mut first = stalled(&app, &client, &upload, &bytes, 500_000).await;
        let second = client.patch(&upload, 0, bytes.clone()).await;
        let at = offset_of(&second).unwrap();
        let (status, code, problem) = App::problem(second).await;
        assert_eq!(
            (status, code.as_str(), &problem["offset"]),
            (409, "offset_mismatch", &at.into())
        );
        first.answer().await.check_problem(409, "conflict");
        client.send(&upload, at, &bytes[at..]).await;
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn a_stalled_request_does_not_count_against_the_one_that_takes_over() {
    on_each_app_with(
        |config| config.stream.max_uploads_per_user = 1,
        |app| async move {
            let (client, bytes) = (Client::new(&app), clip(900_000, 7));
            let upload = create(&client, &bytes).await;
            let _first = stalled(&app, &client, &upload, &bytes, 500_000).await;
            let other = client
                .creation(&[("upload-length", "900000")], Some(bytes.clone()))
                .await;
            assert_eq!(App::problem(other).await.1, "too_many_uploads");
            let at = client.offset(&upload).await;
            client.send(&upload, at, &bytes[at..]).await;
            plays(&app, &client, &bytes).await;
        },
    );
}

#[test]
fn of_many_requests_at_once_the_bytes_come_out_whole() {
    on_each_app(|app| async move {
        for round in 0..4u8 {
            let (client, bytes) = (Client::new(&app), clip(400_000, round));
            let upload = create(&client, &bytes).await;
            let answers = join_all((0..4).map(|_| client.patch(&upload, 0, bytes.clone()))).await;
            let taken = answers.iter().filter(|answer| answer.status() == 204).count();
            assert!(taken <= 1, "the same bytes were taken {taken} times");
            assert!(
                answers
                    .iter()
                    .all(|answer| [204, 409].contains(&answer.status().as_u16()))
            );
            let at = client.offset(&upload).await;
            if at < bytes.len() {
                assert_eq!(taken, 0);
                client.send(&upload, at, &bytes[at..]).await;
            }
            plays(&app, &client, &bytes).await;
        }
    });
}

#[test]
fn parts_sent_in_parallel_become_one_video() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(1_000_000, 8));
        let cuts = [(0, 333_333), (333_333, 700_000), (700_000, 1_000_000)];
        let parts = join_all(cuts.map(|(from, to)| {
            let (client, bytes) = (&client, &bytes);
            async move {
                let part = client
                    .create(&[
                        ("upload-length", &(to - from).to_string()),
                        ("upload-concat", "partial"),
                    ])
                    .await;
                client.send(&part, 0, &bytes[from..from + 1000]).await;
                client.send(&part, 1000, &bytes[from + 1000..to]).await;
                part
            }
        }))
        .await;
        // Addresses as clients write them: paths and absolute ones.
        let list = format!("final;{}{} {} {}", app.running.public, parts[0], parts[1], parts[2]);
        let upload = client
            .create(&[("upload-concat", &list), ("upload-metadata", "filename YQ==")])
            .await;
        plays(&app, &client, &bytes).await;
        let head = client.head(&upload).await;
        assert_eq!(offset_of(&head), Some(bytes.len()));
        assert_eq!(head.headers()["upload-concat"], format!("final;{}", parts.join(" ")));
        assert_eq!(head.headers()["upload-metadata"], "filename YQ==");
        assert_eq!(client.head(&parts[0]).await.status(), 410, "the parts are gone");
        assert_eq!((app.files().len(), app.rows().await.len()), (1, 1));
    });
}

#[test]
fn only_whole_parts_of_the_same_video_are_joined() {
    on_each_app(|app| async move {
        let (client, stranger) = (Client::limited(&app, 6_000), Client::new(&app));
        let partial = ("upload-concat", "partial");
        let open = client.create(&[("upload-length", "3000"), partial]).await;
        let usual = client.create(&[("upload-length", "3000")]).await;
        let whole = client.create(&[("upload-length", "4000"), partial]).await;
        client.send(&whole, 0, &[7; 4000]).await;
        let theirs = stranger.create(&[("upload-length", "4000"), partial]).await;
        stranger.send(&theirs, 0, &[7; 4000]).await;
        let gone = client.create(&[("upload-length", "4000"), partial]).await;
        client.delete(&gone).await;
        for (list, status) in [(&open, 409), (&usual, 409), (&theirs, 404), (&gone, 410)] {
            let refused = client
                .creation(&[("upload-concat", &format!("final;{whole} {list}"))], None)
                .await;
            assert_eq!(refused.status(), status, "{list}");
        }
        client.send(&open, 0, &[7; 3000]).await;
        let large = client
            .creation(&[("upload-concat", &format!("final;{whole} {open}"))], None)
            .await;
        let (status, _, problem) = App::problem(large).await;
        assert_eq!((status, &problem["maxBytes"]), (413, &6000.into()));
        // Not a video: the parts stay, so that they can be joined in another order.
        let damaged = client
            .creation(&[("upload-concat", &format!("final;{whole}"))], None)
            .await;
        assert_eq!(damaged.status(), 415);
        assert_eq!(client.offset(&whole).await, 4000);
    });
}

#[test]
fn a_stranger_knows_nothing_of_an_upload() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(5_000, 1));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..1000]).await;
        let stranger = Client::new(&app);
        assert_eq!(stranger.head(&upload).await.status(), 404);
        assert_eq!(stranger.patch(&upload, 1000, vec![0; 10]).await.status(), 404);
        assert_eq!(stranger.delete(&upload).await.status(), 404);
        let nobody = Client::with(&app, client.video.clone(), "nonsense".into());
        for method in ["HEAD", "DELETE"] {
            assert_eq!(nobody.request(method, &upload).send().await.unwrap().status(), 401);
        }
        let play = Client::with(&app, client.video.clone(), app.sign(&app.play_grant(&client.video)));
        assert_eq!(play.creation(&[("upload-length", "5000")], None).await.status(), 401);
        assert_eq!(client.offset(&upload).await, 1000);
    });
}

#[test]
fn promise_13_an_ended_session_goes_no_further_and_another_one_goes_on() {
    on_each_app(|app| async move {
        let (video, session, bytes) = (VideoId::random(), Id::now(), clip(900_000, 2));
        let permission = Permission::Upload {
            max_bytes: 1 << 20,
            session: session.clone(),
        };
        let grant = Grant {
            permission,
            ..upload_grant(&video)
        };
        let client = Client::with(&app, video.clone(), app.sign(&grant));
        let upload = create(&client, &bytes).await;
        let mut running = stalled(&app, &client, &upload, &bytes, 500_000).await;
        app.told.lock().unwrap().revoked.insert(session);
        running.answer().await.check_problem(401, "unauthenticated");
        assert_eq!(client.head(&upload).await.status(), 401);
        assert_eq!(client.creation(&[("upload-length", "5")], None).await.status(), 401);
        let again = Client::with(&app, video.clone(), app.upload_token(&video));
        let at = again.offset(&upload).await;
        assert!(at >= 262_144, "what came is kept: {at}");
        again.send(&upload, at, &bytes[at..]).await;
        plays(&app, &again, &bytes).await;
    });
}

#[test]
fn a_purge_ends_uploads_and_its_receipt_counts_their_bytes() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 2));
        let idle = create(&client, &bytes).await;
        client.send(&idle, 0, &bytes[..100_000]).await;
        let upload = create(&client, &bytes).await;
        let mut running = stalled(&app, &client, &upload, &bytes, 500_000).await;
        let receipt = app.client().delete_media(&client.video).await.unwrap();
        running.answer().await.check_problem(410, "gone");
        assert_eq!(receipt.objects, 2);
        assert!(receipt.bytes >= 100_000 && receipt.bytes <= 600_000, "{receipt:?}");
        assert_eq!(client.head(&idle).await.status(), 410);
        assert_eq!(client.creation(&[("upload-length", "5")], None).await.status(), 410);
        app.nothing_is_left().await;
    });
}

#[test]
fn an_unfinished_upload_is_kept_until_it_expires() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(5_000, 2));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..3000]).await;
        // Silent for longer than any heartbeat, and no sweep touches it.
        app.sql("UPDATE objects SET heartbeat_at = 0").await;
        assert_eq!(
            app.client()
                .expire_uploads(Sweep { dry_run: false })
                .await
                .unwrap()
                .count,
            0
        );
        app.client().reconcile(Sweep { dry_run: false }).await.unwrap();
        assert_eq!(client.offset(&upload).await, 3000);
        app.sql("UPDATE tus_uploads SET expires_at = 1").await;
        assert_eq!(client.head(&upload).await.status(), 410);
        assert_eq!(client.patch(&upload, 3000, vec![0; 10]).await.status(), 410);
        app.sql("UPDATE objects SET heartbeat_at = 0").await;
        assert_eq!(
            app.client()
                .expire_uploads(Sweep { dry_run: false })
                .await
                .unwrap()
                .count,
            1
        );
        app.nothing_is_left().await;
        assert_eq!(
            client.head(&upload).await.status(),
            404,
            "forgotten when it ended long ago"
        );
    });
}

#[test]
fn unfinished_uploads_of_a_video_are_bounded_and_go_with_the_first_that_is_whole() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(5_000, 2));
        let mut uploads = Vec::new();
        for _ in 0..32 {
            uploads.push(create(&client, &bytes).await);
        }
        let more = client.creation(&[("upload-length", "5000")], None).await;
        assert!(more.headers().contains_key("retry-after"));
        assert_eq!(App::problem(more).await.1, "too_many_uploads");
        assert_eq!(client.delete(&uploads[1]).await.status(), 204);
        uploads[1] = create(&client, &bytes).await;
        client.send(&uploads[1], 0, &bytes[..1000]).await;
        client.send(&uploads[0], 0, &bytes).await;
        assert_eq!((app.files().len(), app.rows().await.len()), (1, 1));
        assert_eq!(client.head(&uploads[1]).await.status(), 410);
        let late = client.creation(&[("upload-length", "5000")], None).await;
        assert_eq!(App::problem(late).await.1, "conflict");
        assert_eq!(app.put(&client.video, bytes).await.status(), 409);
    });
}

#[test]
fn bytes_in_chunks_are_counted() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::limited(&app, 100_000), clip(90_000, 2));
        let upload = create(&client, &bytes).await;
        let body = |bytes: Vec<u8>| {
            let pieces: Vec<_> = bytes
                .chunks(1000)
                .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                .collect();
            reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
        };
        let beyond = client
            .patch(&upload, 0, body([bytes.clone(), vec![0; 1]].concat()))
            .await;
        assert_eq!(App::problem(beyond).await.0, 413);
        let at = client.offset(&upload).await;
        assert!(at <= 90_000);
        let rest = client.patch(&upload, at, body(bytes[at..].to_vec())).await;
        assert_eq!((rest.status().as_u16(), offset_of(&rest)), (204, Some(90_000)));
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn promise_9_no_permit_is_left_by_clients_that_leave() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 2));
        let upload = create(&client, &bytes).await;
        let mut at = 0;
        for _ in 0..4 {
            let mut raw = Raw::connect(&app.running.public).await;
            raw.send(&patch_head(&app, &client, &upload, at, bytes.len() - at, ""))
                .await;
            raw.send_bytes(&bytes[at..at + 100_000]).await;
            eventually("it is being received", SOON, || async {
                (app.state.limits.uploads.held() == 1).then_some(())
            })
            .await;
            drop(raw);
            eventually("it has ended", SOON, || async {
                (app.state.uploads.objects().is_empty() && app.state.limits.uploads.held() == 0).then_some(())
            })
            .await;
            let kept = client.offset(&upload).await;
            assert!((at..=at + 100_000).contains(&kept), "{kept} after {at}");
            at = kept;
        }
        client.delete(&upload).await;
        app.nothing_is_left().await;
    });
}

#[test]
fn the_owner_hears_how_far_the_whole_upload_is() {
    on_each_app(|app| async move {
        let (video, ann, bytes) = (VideoId::random(), Id::now(), clip(50_000, 2));
        let token = app.sign(&Grant {
            user: Some(ann.clone()),
            ..upload_grant(&video)
        });
        let mut owner = app.running.platform.bus.subscribe(&common::bus::Subject::User(ann));
        let client = Client::with(&app, video.clone(), token);
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..20_000]).await;
        client.send(&upload, 20_000, &bytes[20_000..]).await;
        let message = tokio::time::timeout(Duration::from_secs(10), owner.next())
            .await
            .unwrap()
            .unwrap();
        let event: common::messages::UserEvent = message.decode().unwrap();
        assert_eq!(event.event, "OnUploadProgress");
        assert_eq!(
            event.data,
            serde_json::json!({"videoID": video, "receivedBytes": 50_000, "totalBytes": 50_000})
        );
    });
}
