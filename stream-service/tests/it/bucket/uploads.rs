//! What becomes of uploads: one object, or nothing.

use super::on_bucket;
use crate::{
    app::App,
    clip::{clip, sha256},
    crash::undeclared,
    tus::client::{BYTES, Client, create, sha1},
};
use bytes::Bytes;
use common::{db::Backend, ids::VideoId, messages::Receipt};
use futures_util::stream;
use std::io;

/// More than two parts.
const LARGE: usize = 17_000_000;

#[test]
fn a_video_is_one_object_whatever_its_size() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        for (seed, size) in [2_000, 8 << 20, (8 << 20) + 1, LARGE].into_iter().enumerate() {
            let (video, bytes) = (VideoId::random(), clip(size, seed as u8));
            assert_eq!(app.put(&video, bytes.clone()).await.status(), 201);
            assert!(bucket.only_object().await == bytes, "{size}");
            let told = app.told.lock().unwrap().ready.pop().unwrap().1;
            assert_eq!((told.size_bytes, told.sha256), (size as u64, sha256(&bytes)));
            let key = bucket.lies().await.objects.remove(0).0;
            let place = format!("{}{}/{video}/", bucket.prefix, &video.as_str()[..2]);
            assert!(key.starts_with(&place), "{key}");
            let receipt = app.client().delete_media(&video).await.unwrap();
            assert_eq!((receipt.objects, receipt.bytes), (1, size as u64));
            bucket.is_empty().await;
        }
    });
}

#[test]
fn what_is_refused_leaves_nothing() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let no_video = app.put(&VideoId::random(), vec![7; LARGE]).await;
        assert_eq!(App::problem(no_video).await.1, "unsupported_media");
        bucket.is_empty().await;
        // Beyond the grant's 64 MiB, found out while it comes.
        let too_large = app.put(&VideoId::random(), undeclared(vec![7; (64 << 20) + 1])).await;
        assert_eq!(App::problem(too_large).await.1, "body_too_large");
        bucket.is_empty().await;
        let pieces = clip(LARGE, 1);
        let pieces: Vec<_> = pieces.chunks(1 << 20).map(|piece| Ok(piece.to_vec())).collect();
        let broken = pieces.into_iter().chain([Err(io::Error::other("gone"))]);
        let cut = app
            .http
            .put(app.put_url(&VideoId::random()))
            .bearer_auth(app.upload_token(&VideoId::random()))
            .body(reqwest::Body::wrap_stream(stream::iter(broken)));
        assert!(cut.send().await.is_err() || app.rows().await.is_empty());
        app.nothing_is_left().await;
        bucket.is_empty().await;
    });
}

#[test]
fn an_upload_in_pieces_is_one_object_in_the_end_and_nothing_beside_it() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let upload = create(&client, &bytes).await;
        let mut at = 0;
        for piece in [1, 100, 5_000_000, 4_000_000, 8 << 20, LARGE] {
            let to = bytes.len().min(at + piece);
            client.send(&upload, at, &bytes[at..to]).await;
            assert_eq!(client.offset(&upload).await, to);
            at = to;
        }
        assert!(bucket.only_object().await == bytes);
        assert_eq!(app.told.lock().unwrap().ready[0].1.sha256, sha256(&bytes));
    });
}

#[test]
fn promise_4_what_waits_in_the_bucket_and_is_not_what_came_is_not_gone_on_with() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..1000]).await;
        let tail = bucket.lies().await.objects.remove(0).0;
        let kept = Bytes::copy_from_slice(&bytes[..1000]);
        let mut other = kept.to_vec();
        other[500] ^= 1;
        bucket.client.put(&tail, other.into()).await.unwrap();
        let refused = client.patch(&upload, 1000, bytes[1000..].to_vec()).await;
        assert_eq!(App::problem(refused).await.0, 500);
        assert_eq!(client.offset(&upload).await, 1000);
        bucket.client.put(&tail, kept).await.unwrap();
        client.send(&upload, 1000, &bytes[1000..]).await;
        assert!(bucket.only_object().await == bytes);
    });
}

#[test]
fn bytes_under_a_checksum_are_all_or_nothing() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(2 * LARGE, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..1000]).await;
        let patch = |sum: String| {
            let patch = client.request("PATCH", &upload).header("content-type", BYTES);
            let patch = patch.header("upload-checksum", sum).header("upload-offset", 1000);
            patch.body(bytes[1000..].to_vec()).send()
        };
        assert_eq!(patch(sha1(b"other")).await.unwrap().status(), 460);
        assert_eq!(client.offset(&upload).await, 1000);
        assert_eq!(patch(sha1(&bytes[1000..])).await.unwrap().status(), 204);
        assert!(bucket.only_object().await == bytes);
    });
}

#[test]
fn promise_3_the_receipt_of_a_purge_is_what_the_bucket_lost() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (kept, _) = app.stored(9_000).await;
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        // Parts and a tail, only a tail, nothing yet.
        let half = create(&client, &bytes).await;
        client.send(&half, 0, &bytes[..10_000_000]).await;
        let little = create(&client, &bytes).await;
        client.send(&little, 0, &bytes[..5]).await;
        create(&client, &bytes).await;
        // What requests that were killed leave: a part and a tail that no row names, an upload that nobody knows.
        let known = bucket.client.list_multiparts("").await.unwrap().remove(0);
        let late = Bytes::from(vec![7; 1000]);
        let sent = bucket.client.upload_part(&known.key, &known.id, 99, late.clone()).await;
        sent.unwrap();
        bucket
            .client
            .put(&format!("{}.tail-late", known.key), late.clone())
            .await
            .unwrap();
        let unknown = bucket.client.create_multipart(&known.key).await.unwrap();
        let sent = bucket.client.upload_part(&known.key, &unknown, 1, late).await;
        sent.unwrap();
        let before = bucket.lies().await;
        assert_eq!(before.bytes(), 9_000 + 10_000_005 + 3 * 1000, "{before:?}");
        let receipt = app.client().delete_media(&client.video).await.unwrap();
        let after = bucket.lies().await;
        assert_eq!((after.objects.len(), after.uploads.len(), after.bytes()), (1, 0, 9_000));
        let lost = before.bytes() - after.bytes();
        assert_eq!(
            receipt,
            Receipt {
                objects: 2,
                bytes: lost
            }
        );
        assert_eq!(app.client().delete_media(&client.video).await.unwrap(), receipt);
        assert_eq!(app.client().delete_media(&kept).await.unwrap().bytes, 9_000);
        bucket.is_empty().await;
    });
}

#[test]
fn an_upload_that_its_client_ends_is_gone() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..10_000_000]).await;
        assert_eq!(client.delete(&upload).await.status(), 204);
        bucket.is_empty().await;
        assert!(app.rows().await.is_empty());
    });
}

#[test]
fn parts_that_a_client_joins_become_one_object() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 8));
        let mut parts = Vec::new();
        for (from, to) in [(0, 3_000_000), (3_000_000, 12_000_000), (12_000_000, LARGE)] {
            let length = (to - from).to_string();
            let part = client
                .create(&[("upload-length", &length), ("upload-concat", "partial")])
                .await;
            client.send(&part, 0, &bytes[from..from + 1000]).await;
            client.send(&part, 1000, &bytes[from + 1000..to]).await;
            parts.push(part);
        }
        // Once refused, because it is no video: the parts stay, and can be joined in another order.
        let wrong = format!("final;{} {}", parts[2], parts[0]);
        assert_eq!(client.creation(&[("upload-concat", &wrong)], None).await.status(), 415);
        let upload = client
            .create(&[("upload-concat", &format!("final;{}", parts.join(" ")))])
            .await;
        assert_eq!(client.offset(&upload).await, LARGE);
        assert!(bucket.only_object().await == bytes);
        assert_eq!(app.rows().await.len(), 1);
    });
}
