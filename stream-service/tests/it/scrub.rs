//! `POST /internal/scrub`: what a disk has changed is found.

use crate::{
    app::{App, SOON, on_each_app, on_each_app_with, on_one_app_with},
    bucket::on_bucket,
};
use common::{
    db::Backend,
    ids::VideoId,
    messages::{Scrub, ScrubReport},
    testing::eventually,
    time::Timestamp,
};
use std::{os::unix::fs::FileExt, path::PathBuf, time::Duration};

/// What is due by itself.
const DUE: Scrub = Scrub { before: None };

/// Everything.
fn all() -> Scrub {
    Scrub {
        before: Some(Timestamp::now() + Duration::from_secs(3600)),
    }
}

fn file_of(app: &App, video: &VideoId) -> PathBuf {
    let files = app.files();
    files
        .into_iter()
        .find(|path| path.to_string_lossy().contains(video.as_str()))
        .unwrap()
}

/// Changes one bit of a file, whose size and times stay as they are.
fn flip(path: &PathBuf, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    file.set_modified(modified).unwrap();
    file.sync_all().unwrap();
}

fn report(objects: u64, bytes: usize) -> ScrubReport {
    ScrubReport {
        objects,
        bytes: bytes as u64,
        ..ScrubReport::default()
    }
}

#[test]
fn promise_4_a_changed_bit_is_found_and_its_video_is_lost() {
    on_each_app(|app| async move {
        let (small, small_bytes) = app.stored(10_000).await;
        // More than one read, and no multiple of a block.
        let (large, large_bytes) = app.stored(2_500_001).await;
        let both = small_bytes.len() + large_bytes.len();
        assert_eq!(app.client().scrub(all()).await.unwrap(), report(2, both));
        flip(&file_of(&app, &large), large_bytes.len() as u64 - 1);
        let found = app.client().scrub(all()).await.unwrap();
        assert_eq!((found.objects, found.damaged, found.failed, found.left), (2, 1, 0, 0));
        assert!(found.samples[0].starts_with(large.as_str()), "{found:?}");
        eventually("api-service is told", SOON, || async {
            let told = app.told.lock().unwrap();
            (told.failed.len() == 1 && told.failed[0].0 == large).then_some(())
        })
        .await;
        assert_eq!(app.get(&large).await.status(), 404);
        assert_eq!(app.get(&small).await.bytes().await.unwrap(), small_bytes);
        assert_eq!(
            app.client().scrub(all()).await.unwrap(),
            report(1, small_bytes.len()),
            "it is found once"
        );
        let metrics = app.running.platform.metrics.encode();
        assert!(metrics.contains("sluice_stream_damaged_objects_total 1"));
    });
}

#[test]
fn what_was_checked_is_due_again_after_its_time() {
    let tune = |config: &mut common::config::Config| config.stream.scrub_after.0 = Duration::from_secs(3600);
    on_each_app_with(tune, |app| async move {
        let (_, bytes) = app.stored(10_000).await;
        assert_eq!(
            app.client().scrub(DUE).await.unwrap(),
            report(0, 0),
            "it was hashed as it came"
        );
        for _ in 0..2 {
            // Two hours later.
            app.sql("UPDATE objects SET checked_at = checked_at - 7200000").await;
            assert_eq!(app.client().scrub(DUE).await.unwrap(), report(1, bytes.len()));
            assert_eq!(app.client().scrub(DUE).await.unwrap(), report(0, 0));
        }
        // As rows of the version before this one are.
        app.sql("UPDATE objects SET checked_at = 0").await;
        assert_eq!(app.client().scrub(DUE).await.unwrap(), report(1, bytes.len()));
    });
}

#[test]
fn what_cannot_be_read_keeps_nothing_else_waiting() {
    on_each_app(|app| async move {
        let (gone, _) = app.stored(10_000).await;
        let (shorter, _) = app.stored(11_000).await;
        let (_, bytes) = app.stored(12_000).await;
        std::fs::remove_file(file_of(&app, &gone)).unwrap();
        let file = std::fs::File::options().write(true).open(file_of(&app, &shorter));
        file.unwrap().set_len(10).unwrap();
        let before = all();
        let found = app.client().scrub(before).await.unwrap();
        assert_eq!((found.objects, found.bytes), (1, bytes.len() as u64));
        assert_eq!((found.damaged, found.failed, found.left), (0, 2, 0), "{found:?}");
        assert_eq!(app.rows().await.len(), 3, "what is gone is the reconciler's to report");
    });
}

#[test]
fn much_damage_at_once_is_not_believed() {
    on_one_app_with(
        |_| {},
        |app| async move {
            for _ in 0..11 {
                app.stored(9_000).await;
            }
            for file in app.files() {
                flip(&file, 5_000);
            }
            let refused = app.client().scrub(all()).await.unwrap_err();
            assert_eq!(refused.status(), Some(409), "{refused}");
            assert!(refused.to_string().contains("11 of 11 files"), "{refused}");
            assert!(app.rows().await.iter().all(|(_, state)| state == "live"));
            for file in app.files() {
                flip(&file, 5_000);
            }
            assert_eq!(app.client().scrub(all()).await.unwrap().objects, 11);
        },
    );
}

#[test]
fn it_keeps_its_rate_and_a_deletion_does_not_wait_for_it() {
    on_one_app_with(
        |config| config.stream.scrub_rate.0 = 1 << 20,
        |app| async move {
            let (video, _) = app.stored(8 << 20).await;
            let client = app.client();
            let scrub = tokio::task::spawn_local(async move { client.scrub(all()).await });
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(!scrub.is_finished(), "8 MiB at 1 MiB/s");
            app.client().delete_media(&video).await.unwrap();
            assert_eq!(scrub.await.unwrap().unwrap(), report(0, 0), "it was removed meanwhile");
        },
    );
}

#[test]
fn without_a_rate_nothing_is_read() {
    on_one_app_with(
        |config| config.stream.scrub_rate.0 = 0,
        |app| async move {
            app.stored(9_000).await;
            app.sql("UPDATE objects SET checked_at = 0").await;
            assert_eq!(app.client().scrub(DUE).await.unwrap(), report(0, 0));
            let refused = app.client().scrub(all()).await.unwrap_err();
            assert!(refused.to_string().contains("scrub_rate"), "{refused}");
        },
    );
}

#[test]
fn promise_4_a_changed_bit_in_a_bucket_is_found() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (video, bytes) = app.stored(2_500_000).await;
        assert_eq!(app.client().scrub(all()).await.unwrap(), report(1, bytes.len()));
        let key = bucket.lies().await.objects.remove(0).0;
        let mut changed = bytes.clone();
        changed[1_234_567] ^= 1;
        bucket.client.put(&key, changed.into()).await.unwrap();
        let found = app.client().scrub(all()).await.unwrap();
        assert_eq!((found.objects, found.damaged), (1, 1), "{found:?}");
        assert_eq!(app.get(&video).await.status(), 404);
    });
}
