//! Bytes in pieces, under checksums, in chunks, and what becomes of them.

use super::client::{BYTES, Client, create, offset_of, patch_head, plays, sha1, stalled};
use crate::{
    app::{App, SOON, on_each_app, upload_grant},
    clip::{clip, sha256},
};
use common::{
    error::Code,
    grant::Grant,
    ids::{Id, VideoId},
    testing::{eventually, raw::Raw},
};
use std::{os::unix::fs::FileExt, sync::atomic::Ordering, time::Duration};

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
fn an_upload_whose_disk_is_slow_leaves_the_worker_and_nothing_else_changes() {
    on_each_app(|app| async move {
        app.state.disk.patience.store(0, Ordering::Relaxed);
        let (client, bytes) = (Client::new(&app), clip(20_000_000, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..9_000_001]).await;
        client.send(&upload, 9_000_001, &bytes[9_000_001..]).await;
        plays(&app, &client, &bytes).await;
        // 77 buffers, and only the first of the first request was written by a worker.
        let on_the_pool = app.state.metrics.pool_writes.get();
        assert!(on_the_pool > 70, "{on_the_pool}");
        let (video, bytes) = app.stored(12_345_678).await;
        assert!(app.get(&video).await.bytes().await.unwrap() == bytes);
        assert_eq!(app.told.lock().unwrap().ready[1].1.sha256, sha256(&bytes));
    });
}

#[test]
fn an_upload_counts_until_its_video_is_stored() {
    on_each_app(|app| async move {
        // Then the end of it takes half a second.
        app.told.lock().unwrap().refuse = Some(Code::Internal);
        let (client, bytes) = (Client::new(&app), clip(600_000, 3));
        let upload = create(&client, &bytes).await;
        let mut running = stalled(&app, &client, &upload, &bytes, 300_000).await;
        assert_eq!(app.state.limits.uploads.held(), 1);
        running.send_bytes(&bytes[300_000..]).await;
        let watched = async {
            loop {
                let held = app.state.limits.uploads.held();
                let stored = app.state.metrics.uploads_stored.get();
                assert!(held == 1 || stored == 1, "it is still being finished");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let answer = tokio::select! {
            answer = running.answer() => answer,
            never = watched => match never {},
        };
        assert_eq!(answer.status, 204);
    });
}

#[test]
fn promise_4_what_is_vouched_for_is_what_was_sent_not_what_the_disk_made_of_it() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(800_000, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..500_000]).await;
        let file = std::fs::File::options().write(true).open(&app.files()[0]).unwrap();
        file.write_all_at(&[!bytes[400_000]], 400_000).unwrap();
        // Bytes that are not kept, nor their hash.
        let cut = client.request("PATCH", &upload).header("content-type", BYTES);
        let cut = cut
            .header("upload-checksum", sha1(b"other"))
            .header("upload-offset", 500_000);
        assert_eq!(cut.body(vec![1; 1000]).send().await.unwrap().status(), 460);
        client.send(&upload, 500_000, &bytes[500_000..]).await;
        assert_eq!(app.told.lock().unwrap().ready[0].1.sha256, sha256(&bytes));
        let stored = app.get(&client.video).await.bytes().await.unwrap();
        assert!(sha256(&stored) != sha256(&bytes));
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
