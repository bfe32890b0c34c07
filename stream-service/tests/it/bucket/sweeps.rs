//! Bucket and ledger in step again after anything.

use super::{Bucket, config, on_bucket};
use crate::{
    app::{SOON, on_app_of},
    clip::clip,
    crash::Process,
    tus::client::{Client, create},
};
use bytes::Bytes;
use common::{
    db::Backend,
    ids::{Id, VideoId},
    messages::{StoreReport, Sweep},
    testing::{TestDatabase, eventually},
};
use std::time::Duration;

const REAL: Sweep = Sweep { dry_run: false };
const DRY: Sweep = Sweep { dry_run: true };
const LARGE: usize = 17_000_000;

#[test]
fn promise_2_what_lies_there_without_a_row_is_removed_and_nothing_else() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (video, _) = app.stored(10_000).await;
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..9_000_000]).await;
        let before = bucket.lies().await;
        let place = format!("{}{}/{video}/", bucket.prefix, &video.as_str()[..2]);
        let stored = before.objects.iter().find(|(key, _)| key.starts_with(&place));
        let stored = stored.unwrap().0.clone();
        let put = async |key: &str, length: usize| bucket.client.put(key, Bytes::from(vec![1; length])).await.unwrap();
        let begin = async |key: &str, length: usize| {
            let upload = bucket.client.create_multipart(key).await.unwrap();
            let part = Bytes::from(vec![1; length]);
            bucket.client.upload_part(key, &upload, 3, part).await.unwrap();
        };
        // Five orphans: an object, a tail, an upload, a stray thing, and what a request left beside an object that is stored.
        put(&format!("{place}{}", Id::now()), 100).await;
        put(&format!("{place}{}.tail-x", Id::now()), 20).await;
        begin(&format!("{}0a/0abcdefghjkm/{}", bucket.prefix, Id::now()), 3).await;
        put(&format!("{place}notes.txt"), 5).await;
        begin(&stored, 1000).await;
        put(&format!("{stored}.tail-y"), 7).await;
        // Not ours: beside the prefix, and below it in no place of a video.
        for key in ["notes.txt", "0a/0abcdefghjkm/x", &format!("{}readme", bucket.prefix)] {
            put(key, 11).await;
        }
        begin("elsewhere", 12).await;
        let dirty = bucket.lies().await;
        let dry = app.client().reconcile(DRY).await.unwrap();
        assert_eq!(bucket.lies().await, dirty, "a dry run changes nothing");
        let real = app.client().reconcile(REAL).await.unwrap();
        assert_eq!(dry, real);
        let orphans = (real.orphan_files, real.orphan_bytes, real.failed, real.lost_objects);
        assert_eq!(orphans, (5, 100 + 20 + 3 + 5 + 1007, 0, 0), "{real:?}");
        let clean = bucket.lies().await;
        assert_eq!(clean.objects.len(), before.objects.len() + 3);
        assert_eq!(clean.uploads.len(), before.uploads.len() + 1);
        assert_eq!(clean.bytes(), before.bytes() + 3 * 11 + 12);
        assert_eq!(app.client().reconcile(REAL).await.unwrap(), StoreReport::default());
        client.send(&upload, 9_000_000, &bytes[9_000_000..]).await;
    });
}

#[test]
fn what_the_bucket_lost_is_reported() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (video, _) = app.stored(10_000).await;
        let key = bucket.lies().await.objects.remove(0).0;
        bucket.client.delete(&key).await.unwrap();
        assert_eq!(app.client().reconcile(REAL).await.unwrap().lost_objects, 1);
        eventually("api-service is told", SOON, || async {
            app.told
                .lock()
                .unwrap()
                .failed
                .iter()
                .any(|(lost, _)| *lost == video)
                .then_some(())
        })
        .await;
    });
}

#[test]
fn young_things_are_left_alone() {
    let bucket = Bucket::new();
    let (bucket, server) = (&bucket, &bucket.server);
    on_app_of(
        Backend::Sqlite,
        |config| {
            config.store = self::config(server);
            config.stream.orphan_grace.0 = Duration::from_secs(3600);
        },
        |app| async move {
            let key = format!("{}0a/0abcdefghjkm/{}", bucket.prefix, Id::now());
            bucket.client.put(&key, Bytes::from_static(b"x")).await.unwrap();
            bucket.client.create_multipart(&key).await.unwrap();
            assert_eq!(app.client().reconcile(REAL).await.unwrap(), StoreReport::default());
            assert_eq!(bucket.lies().await.objects.len(), 1);
        },
    );
}

#[test]
fn a_start_removes_what_a_kill_left_and_keeps_what_goes_on() {
    let (bucket, key) = (Bucket::new(), common::grant::GrantKey::generate("k1"));
    let (database, dir) = (TestDatabase::new(Backend::Sqlite), tempfile::tempdir().unwrap());
    actix_web::rt::System::new().block_on(async {
        let endpoint = bucket.server.endpoint();
        let start = || Process::over(dir.path(), &database.url, &key, Some(&endpoint));
        let mut process = start();
        let (video, bytes) = (VideoId::random(), clip(LARGE, 1));
        let client = process.tus(&VideoId::random());
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..9_000_000]).await;
        let kept = bucket.lies().await;
        let slow = futures_util::stream::unfold(0, |at| async move {
            if at == 40 {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Some((Ok::<_, std::io::Error>(vec![7; 256 << 10]), at + 1))
        });
        let put = process.put(&video, 1 << 30, reqwest::Body::wrap_stream(slow));
        tokio::select! {
            _ = put => panic!("it never ends"),
            () = eventually("a part of it is there", SOON, || async {
                (bucket.lies().await.uploads.len() == 2).then_some(())
            }) => {}
        }
        process.kill();
        let process = start();
        assert_eq!(bucket.lies().await, kept);
        let client = Client::at(
            &process.public,
            reqwest::Client::builder().no_proxy().build().unwrap(),
            client.video.clone(),
            client.token.clone(),
        );
        client.send(&upload, 9_000_000, &bytes[9_000_000..]).await;
        assert!(bucket.only_object().await == bytes);
        drop(process);
    });
}
