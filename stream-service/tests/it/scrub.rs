//! `POST /internal/scrub`: what a disk has changed is found.

use crate::{
    app::{App, SOON, on_each_app, on_each_app_with, on_one_app_with},
    bucket::on_bucket,
};
use common::{
    clients::ClientError,
    db::Backend,
    ids::VideoId,
    messages::{Scrub, ScrubReport, Visibility},
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
fn promise_4_a_changed_bit_is_found_named_and_forgotten_when_it_is_put_right() {
    on_each_app(|app| async move {
        let (_, small_bytes) = app.stored(10_000).await;
        // More than one read, and no multiple of a block.
        let (large, large_bytes) = app.stored(2_500_001).await;
        let both = small_bytes.len() + large_bytes.len();
        assert_eq!(app.client().scrub(all()).await.unwrap(), report(2, both));
        let file = app.file_of(&large);
        flip(&file, large_bytes.len() as u64 - 1);
        for found in [1, 0] {
            let again = app.client().scrub(all()).await.unwrap();
            assert_eq!((again.objects, again.found, again.damaged), (2, found, 1), "{again:?}");
            assert!(again.samples[0].starts_with(large.as_str()), "{again:?}");
            assert!(again.samples[0].contains("have changed"), "{again:?}");
        }
        // Nothing is taken away for it, and nothing due does not mean that it is forgotten.
        assert_eq!(app.get(&large).await.status(), 200);
        assert_eq!(app.client().scrub(DUE).await.unwrap().damaged, 1);
        assert!(app.told.lock().unwrap().failed.is_empty());
        let metrics = app.running.platform.metrics.encode();
        assert!(metrics.contains("sluice_stream_damaged_objects 1"));
        flip(&file, large_bytes.len() as u64 - 1);
        assert_eq!(app.client().scrub(DUE).await.unwrap().damaged, 1, "not yet");
        later(&app, 25).await;
        let mended = app.client().scrub(DUE).await.unwrap();
        assert_eq!(
            mended,
            report(1, large_bytes.len()),
            "what was damaged is looked at again after a day"
        );
    });
}

/// So many hours later, for the scrub.
async fn later(app: &App, hours: i64) {
    let ms = hours * 3_600_000;
    app.sql(&format!("UPDATE objects SET tried_at = tried_at - {ms}")).await;
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
            later(&app, 2).await;
            assert_eq!(app.client().scrub(DUE).await.unwrap(), report(1, bytes.len()));
            assert_eq!(app.client().scrub(DUE).await.unwrap(), report(0, 0));
        }
        // A turn that another version began.
        app.sql("UPDATE objects SET tried_at = 0, scrub_place = 1048576, scrub_state = 'x'")
            .await;
        assert_eq!(app.client().scrub(DUE).await.unwrap().objects, 1);
        assert_eq!(app.client().scrub(DUE).await.unwrap(), report(0, 0));
    });
}

#[test]
fn what_cannot_be_read_is_damaged_and_keeps_nothing_else_waiting() {
    on_each_app(|app| async move {
        let (gone, _) = app.stored(10_000).await;
        let (shorter, _) = app.stored(11_000).await;
        let (longer, bytes) = app.stored(11_500).await;
        let mut whole = 0;
        for _ in 0..3 {
            whole += app.stored(12_000).await.1.len();
        }
        std::fs::remove_file(app.file_of(&gone)).unwrap();
        let file = std::fs::File::options().write(true).open(app.file_of(&shorter));
        file.unwrap().set_len(10).unwrap();
        // Its first bytes are as they were.
        let file = std::fs::File::options().write(true).open(app.file_of(&longer));
        file.unwrap().set_len(bytes.len() as u64 + 1).unwrap();
        let found = app.client().scrub(all()).await.unwrap();
        assert_eq!((found.objects, found.bytes), (3, whole as u64));
        assert_eq!((found.found, found.damaged, found.left), (3, 3, 0), "{found:?}");
        assert!(
            found.samples.iter().all(|sample| sample.contains("can't be read")),
            "{found:?}"
        );
        let rows = app.rows().await;
        assert!(
            rows.iter().all(|(_, state)| state == "live"),
            "what is gone is the reconciler's to give up"
        );
    });
}

#[test]
fn a_store_that_is_not_mounted_is_not_a_library_of_damaged_files() {
    on_one_app_with(
        |_| {},
        |app| async move {
            for _ in 0..11 {
                app.stored(9_000).await;
            }
            let (there, away) = (app.media_dir(), app.dir.path().join("unmounted"));
            std::fs::create_dir(&away).unwrap();
            for entry in std::fs::read_dir(&there).unwrap() {
                let entry = entry.unwrap();
                std::fs::rename(entry.path(), away.join(entry.file_name())).unwrap();
            }
            let refused = app.client().scrub(all()).await.unwrap_err();
            assert_eq!(refused.status(), Some(409), "{refused}");
            assert!(refused.to_string().contains("11 of 11 files"), "{refused}");
            // Also when only a few are due.
            let id = app.sql_text("SELECT MIN(object_id) AS t FROM objects").await;
            app.sql(&format!("UPDATE objects SET tried_at = 0 WHERE object_id = '{id}'"))
                .await;
            assert_eq!(app.client().scrub(DUE).await.unwrap_err().status(), Some(409));
            for entry in std::fs::read_dir(&away).unwrap() {
                let entry = entry.unwrap();
                std::fs::rename(entry.path(), there.join(entry.file_name())).unwrap();
            }
            let mounted = app.client().scrub(all()).await.unwrap();
            assert_eq!((mounted.objects, mounted.damaged), (11, 0));
        },
    );
}

#[test]
fn promise_3_a_purge_waits_for_a_read_that_it_has_ended() {
    on_one_app_with(
        |config| config.stream.scrub_rate.0 = 1 << 20,
        |app| async move {
            let (video, _) = app.stored(8 << 20).await;
            let (file, scrub) = reading(&app, &video, all()).await;
            app.client().delete_media(&video).await.unwrap();
            assert!(!is_open(&file), "a receipt before that would not be true");
            // At its rate it would have read for eight seconds.
            let report = scrub.await.unwrap().unwrap();
            assert_eq!((report.objects, report.found, report.left), (0, 0, 0));
        },
    );
}

#[test]
fn hiding_a_video_does_not_end_its_turn() {
    on_one_app_with(
        |config| config.stream.scrub_rate.0 = 1 << 20,
        |app| async move {
            let (video, bytes) = app.stored(2_500_000).await;
            later(&app, 100_000).await;
            let (_, scrub) = reading(&app, &video, DUE).await;
            let hidden = Visibility {
                hidden: true,
                version: 2,
                min_grant: 0,
            };
            app.client().set_hidden(&video, hidden).await.unwrap();
            assert_eq!(scrub.await.unwrap().unwrap(), report(1, bytes.len()));
        },
    );
}

/// Checks a file that takes longer than one call, changed or not.
fn in_two_calls(changed: bool) {
    on_one_app_with(
        |config| config.stream.scrub_rate.0 = 1 << 20,
        |app| async move {
            let (video, bytes) = app.stored(11 << 20).await;
            later(&app, 100_000).await;
            if changed {
                flip(&app.file_of(&video), 0);
            }
            let first = app.client().scrub(DUE).await.unwrap();
            assert_eq!((first.objects, first.left), (0, 1));
            assert!(first.bytes > 0 && first.bytes < bytes.len() as u64, "{first:?}");
            let place = app.sql_text("SELECT CAST(scrub_place AS TEXT) AS t FROM objects").await;
            assert_eq!(place, first.bytes.to_string());
            let second = app.client().scrub(DUE).await.unwrap();
            assert_eq!((second.objects, second.left), (1, 0));
            assert_eq!((second.found, second.damaged), (u64::from(changed), u64::from(changed)));
            assert_eq!(first.bytes + second.bytes, bytes.len() as u64);
        },
    );
}

#[test]
fn a_turn_that_takes_longer_than_a_call_goes_on_in_the_next() {
    in_two_calls(false);
}

#[test]
fn promise_4_a_changed_bit_in_a_file_of_several_calls_is_found() {
    in_two_calls(true);
}

#[test]
fn a_turn_that_another_copy_has_ended_says_nothing_more() {
    on_one_app_with(
        |config| config.stream.scrub_rate.0 = 1 << 20,
        |app| async move {
            let (video, _) = app.stored(2_500_000).await;
            later(&app, 100_000).await;
            flip(&app.file_of(&video), 0);
            let (_, scrub) = reading(&app, &video, DUE).await;
            app.sql("UPDATE objects SET tried_at = tried_at + 1").await;
            let late = scrub.await.unwrap().unwrap();
            assert_eq!((late.found, late.damaged), (0, 0), "{late:?}");
            assert_eq!(app.client().scrub(DUE).await.unwrap().found, 1, "it is due still");
        },
    );
}

#[test]
fn promise_18_a_turn_in_the_future_is_due() {
    on_each_app(|app| async move {
        let (_, bytes) = app.stored(10_000).await;
        later(&app, -100_000).await;
        assert_eq!(app.client().scrub(DUE).await.unwrap(), report(1, bytes.len()));
        assert_eq!(app.client().scrub(DUE).await.unwrap(), report(0, 0));
    });
}

/// A call that is reading the file of a video now, and that file.
async fn reading(
    app: &App,
    video: &VideoId,
    wanted: Scrub,
) -> (PathBuf, tokio::task::JoinHandle<Result<ScrubReport, ClientError>>) {
    let (file, client) = (app.file_of(video), app.client());
    let scrub = tokio::task::spawn_local(async move { client.scrub(wanted).await });
    eventually("the file is read", SOON, || async { is_open(&file).then_some(()) }).await;
    (file, scrub)
}

/// Whether this process has the file open, deleted or not.
fn is_open(path: &std::path::Path) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .any(|open| open.to_string_lossy().starts_with(&*path.to_string_lossy()))
}

#[test]
fn without_a_rate_nothing_is_read() {
    on_one_app_with(
        |config| config.stream.scrub_rate.0 = 0,
        |app| async move {
            app.stored(9_000).await;
            later(&app, 100_000).await;
            assert_eq!(app.client().scrub(DUE).await.unwrap(), report(0, 0));
            let refused = app.client().scrub(all()).await.unwrap_err();
            assert!(refused.to_string().contains("scrub_rate"), "{refused}");
        },
    );
}

#[test]
fn promise_4_a_changed_bit_in_a_bucket_is_found() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (_, bytes) = app.stored(2_500_000).await;
        assert_eq!(app.client().scrub(all()).await.unwrap(), report(1, bytes.len()));
        let key = bucket.lies().await.objects.remove(0).0;
        let mut changed = bytes.clone();
        changed[1_234_567] ^= 1;
        bucket.client.put(&key, changed.into()).await.unwrap();
        let found = app.client().scrub(all()).await.unwrap();
        assert_eq!((found.objects, found.found, found.damaged), (1, 1, 1), "{found:?}");
    });
}
