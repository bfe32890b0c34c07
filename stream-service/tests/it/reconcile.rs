//! `POST /internal/reconcile` and `POST /internal/uploads/expire`: store and ledger in step again after anything.

use crate::{
    app::{App, SOON, on_each_app, on_each_app_with},
    clip::clip,
    upload::{begin, outbox_len},
};
use common::{
    ids::{Id, VideoId},
    messages::{Receipt, StoreReport, Sweep},
    testing::eventually,
};
use std::{os::unix::fs::symlink, path::PathBuf, time::Duration};

const REAL: Sweep = Sweep { dry_run: false };
const DRY: Sweep = Sweep { dry_run: true };

#[test]
fn promise_2_what_lies_there_without_a_row_is_removed_and_nothing_else() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(10_000).await;
        let upload = begin(&app, &VideoId::random(), &app.upload_token(&VideoId::random())).await;
        drop(upload);
        eventually("the refused upload is gone", SOON, || async {
            (app.files().len() == 1).then_some(())
        })
        .await;
        let running_video = VideoId::random();
        let running = begin_large(&app, &running_video).await;
        let dir = app.media_dir().join(&video.as_str()[..2]).join(video.as_str());
        let outside = app.dir.path().join("outside");
        std::fs::write(&outside, "not ours").unwrap();
        std::fs::write(dir.join(Id::now().as_str()), [1; 100]).unwrap();
        std::fs::write(dir.join(format!("{}.part", Id::now())), [1; 20]).unwrap();
        std::fs::write(dir.join("notes.txt"), "hello").unwrap();
        symlink(&outside, dir.join(Id::now().as_str())).unwrap();
        // No id of a video begins with a `u`: nothing of ours lies there already.
        symlink("/", app.media_dir().join("uu")).unwrap();
        let orphan_dir = app.media_dir().join("0a/0abcdefghjkm");
        std::fs::create_dir_all(&orphan_dir).unwrap();
        std::fs::write(orphan_dir.join(Id::now().as_str()), [1; 1]).unwrap();

        let before = app.files();
        let dry = app.client().reconcile(DRY).await.unwrap();
        assert_eq!(app.files(), before, "a dry run changes nothing");
        let real = app.client().reconcile(REAL).await.unwrap();
        assert_eq!(dry, real);
        assert_eq!(
            (real.orphan_files, real.stale_uploads, real.lost_objects),
            (5, 0, 0),
            "{real:?}"
        );
        assert_eq!(real.samples.len(), 5);
        assert!(outside.exists(), "a link was followed");
        let second = app.client().reconcile(REAL).await.unwrap();
        assert_eq!(second, StoreReport::default(), "the second run does nothing");
        assert_eq!(app.get(&video).await.bytes().await.unwrap(), bytes);
        finish_large(&app, running, &running_video).await;
    });
}

#[test]
fn promise_2_what_is_younger_than_its_grace_stays() {
    on_each_app_with(
        |config| config.stream.orphan_grace.0 = Duration::from_secs(3600),
        |app| async move {
            let (video, _) = app.stored(5_000).await;
            let dir = app.media_dir().join(&video.as_str()[..2]).join(video.as_str());
            let (young, old, future) = (dir.join(Id::now().as_str()), dir.join("old"), dir.join("future"));
            for path in [&young, &old, &future] {
                std::fs::write(path, "x").unwrap();
            }
            let touch = |path: &PathBuf, time| {
                std::fs::File::options()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_modified(time)
            };
            let now = std::time::SystemTime::now();
            touch(&old, now - Duration::from_secs(7200)).unwrap();
            touch(&future, now + Duration::from_secs(7200)).unwrap();
            let report = app.client().reconcile(REAL).await.unwrap();
            assert_eq!(report.orphan_files, 1, "{report:?}");
            assert!(young.exists() && future.exists() && !old.exists());
        },
    );
}

#[test]
fn promise_2_a_live_row_without_its_file_is_reported_once() {
    on_each_app(|app| async move {
        let (gone, _) = app.stored(5_000).await;
        let first = app.files().remove(0);
        let (shorter, _) = app.stored(6_000).await;
        let second = app.files().into_iter().find(|path| *path != first).unwrap();
        let (kept, bytes) = app.stored(7_000).await;
        std::fs::remove_file(first).unwrap();
        std::fs::File::options()
            .write(true)
            .open(second)
            .unwrap()
            .set_len(10)
            .unwrap();
        assert_eq!(app.client().reconcile(DRY).await.unwrap().lost_objects, 2);
        assert!(app.told.lock().unwrap().failed.is_empty());
        assert_eq!(app.client().reconcile(REAL).await.unwrap().lost_objects, 2);
        eventually("api-service is told", SOON, || async {
            (app.told.lock().unwrap().failed.len() == 2).then_some(())
        })
        .await;
        let mut told: Vec<VideoId> = app
            .told
            .lock()
            .unwrap()
            .failed
            .iter()
            .map(|(video, _)| video.clone())
            .collect();
        told.sort();
        let mut expected = [gone.clone(), shorter.clone()];
        expected.sort();
        assert_eq!(told, expected);
        assert_eq!(
            app.client().reconcile(REAL).await.unwrap(),
            StoreReport::default(),
            "the second run does nothing"
        );
        assert_eq!(app.get(&gone).await.status(), 404);
        assert_eq!(app.get(&kept).await.bytes().await.unwrap(), bytes);
        // What is lost can be purged and replaced; the receipt says what the disk lost, not what the ledger remembers.
        assert_eq!(
            app.client().delete_media(&shorter).await.unwrap(),
            Receipt { objects: 1, bytes: 10 }
        );
        assert_eq!(app.put(&gone, clip(8_000, 1)).await.status(), 201);
        assert_eq!(
            app.client().delete_media(&gone).await.unwrap(),
            Receipt {
                objects: 1,
                bytes: 8_000
            }
        );
    });
}

#[test]
fn promise_2_a_store_that_is_not_there_is_not_taken_for_a_loss() {
    on_each_app(|app| async move {
        for _ in 0..12 {
            app.stored(2_000).await;
        }
        for path in app.files() {
            std::fs::remove_file(path).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(app.client().reconcile(REAL).await.unwrap().lost_objects, 12);
        }
        assert_eq!(outbox_len(&app).await, 0);
        assert!(app.told.lock().unwrap().failed.is_empty());
    });
}

#[test]
fn promise_2_an_upload_whose_process_is_gone_is_removed_with_its_file() {
    on_each_app(|app| async move {
        let (video, object) = (VideoId::random(), Id::now());
        let dead = |object: &Id, state: &str, heartbeat: i64| {
            format!(
                "INSERT INTO objects (object_id, video_id, kind, state, size_bytes, sha256, mime, media, session_id, owner, \
                 heartbeat_at, created_at, updated_at) VALUES ('{object}', '{video}', 'source', '{state}', 0, '', '', '', '', \
                 'gone', {heartbeat}, 1, 1)"
            )
        };
        app.sql(&dead(&object, "writing", 1)).await;
        // Killed between the rename and the commit; and one whose removal was cut off.
        let dir = app.media_dir().join(&video.as_str()[..2]).join(video.as_str());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(object.as_str()), [1; 100]).unwrap();
        let condemned = Id::now();
        app.sql(&dead(&condemned, "deleting", 1)).await;
        std::fs::write(dir.join(format!("{condemned}.part")), [1; 100]).unwrap();
        let running_video = VideoId::random();
        let running = begin_large(&app, &running_video).await;
        assert_eq!(app.client().expire_uploads(DRY).await.unwrap().count, 1);
        assert_eq!(app.files().len(), 3);
        assert_eq!(app.client().expire_uploads(REAL).await.unwrap().count, 2);
        assert_eq!(app.client().expire_uploads(REAL).await.unwrap().count, 0);
        assert_eq!(app.files().len(), 1, "the running upload is not touched");
        finish_large(&app, running, &running_video).await;
    });
}

/// An upload that has sent half of its bytes.
async fn begin_large(app: &App, video: &VideoId) -> tokio::net::TcpStream {
    let before = app.files().len();
    let socket = begin(app, video, &app.upload_token(video)).await;
    eventually("its file is there", SOON, || async {
        (app.files().len() > before).then_some(())
    })
    .await;
    socket
}

async fn finish_large(app: &App, mut socket: tokio::net::TcpStream, video: &VideoId) {
    use tokio::io::AsyncWriteExt;
    socket.write_all(&clip(600_000, 1)[300_000..]).await.unwrap();
    let answer = crate::upload::read_head(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(app.get(video).await.bytes().await.unwrap(), clip(600_000, 1));
}

#[test]
fn promise_2_an_upload_of_another_process_is_left_for_as_long_as_it_says_that_it_lives() {
    on_each_app(|app| async move {
        let now = common::time::Timestamp::now().millis();
        app.sql(&format!(
            "INSERT INTO objects (object_id, video_id, kind, state, size_bytes, sha256, mime, media, session_id, owner, \
             heartbeat_at, created_at, updated_at) VALUES ('{}', '{}', 'source', 'writing', 0, '', '', '', '', 'other', \
             {now}, 1, 1)",
            Id::now(),
            VideoId::random()
        ))
        .await;
        assert_eq!(app.client().expire_uploads(REAL).await.unwrap().count, 0);
        app.sql("UPDATE objects SET heartbeat_at = heartbeat_at - 31000").await;
        assert_eq!(app.client().expire_uploads(REAL).await.unwrap().count, 1);
    });
}

#[test]
fn promise_2_uploads_beside_sweeps_that_never_rest_all_arrive() {
    on_each_app(|app| async move {
        let over = std::cell::Cell::new(false);
        let sweep = async {
            let mut sweeps = 0;
            while !over.get() {
                app.client().expire_uploads(REAL).await.unwrap();
                app.client().reconcile(REAL).await.unwrap();
                sweeps += 1;
            }
            sweeps
        };
        let upload = async {
            let uploaders = (0..4u8).map(|_| async {
                for size in 0..40 {
                    app.stored(3_000 + size).await;
                }
            });
            futures_util::future::join_all(uploaders).await;
            over.set(true);
        };
        let (sweeps, ()) = tokio::join!(sweep, upload);
        assert!(sweeps > 5, "only {sweeps} sweeps ran beside the uploads");
        assert_eq!(app.files().len(), 160);
    });
}

#[test]
fn an_upload_whose_file_was_removed_as_dead_is_told_so() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let mut socket = begin_large(&app, &video).await;
        // As the sweep of a process that hears nothing of this one.
        app.sql(&format!(
            "UPDATE objects SET state = 'deleting' WHERE video_id = '{video}'"
        ))
        .await;
        std::fs::remove_file(app.files().remove(0)).unwrap();
        use tokio::io::AsyncWriteExt;
        socket.write_all(&clip(600_000, 1)[300_000..]).await.unwrap();
        let answer = crate::upload::read_head(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
        assert_eq!(app.client().expire_uploads(REAL).await.unwrap().count, 1);
        app.nothing_is_left().await;
    });
}

#[test]
fn promise_2_one_thing_that_cannot_be_removed_does_not_keep_the_rest() {
    on_each_app(|app| async move {
        let mut doomed = Vec::new();
        for _ in 0..3 {
            doomed.push(app.stored(5_000).await.0);
        }
        doomed.sort();
        let place = |video: &VideoId| app.media_dir().join(&video.as_str()[..2]).join(video.as_str());
        for video in &doomed {
            app.sql(&format!(
                "INSERT INTO tombstones (video_id, objects, bytes, begun_at) VALUES ('{video}', 0, 0, 1)"
            ))
            .await;
        }
        // The first: a folder in the place of its file can't be unlinked, not even by root.
        let stuck = crate::app::files(&place(&doomed[0])).remove(0);
        std::fs::remove_file(&stuck).unwrap();
        std::fs::create_dir(&stuck).unwrap();
        let dead = Id::now();
        app.sql(&format!(
            "INSERT INTO objects (object_id, video_id, kind, state, size_bytes, sha256, mime, media, session_id, owner, \
             heartbeat_at, created_at, updated_at) VALUES ('{dead}', '0000000000zz', 'source', 'deleting', 0, '', '', '', '', \
             'gone', 1, 1, 1)"
        ))
        .await;
        let stuck_too = app.media_dir().join("00/0000000000zz").join(dead.as_str());
        std::fs::create_dir_all(&stuck_too).unwrap();
        let orphan = app.media_dir().join("zz/orphan");
        std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
        std::fs::write(&orphan, "x").unwrap();

        let report = app.client().reconcile(REAL).await.unwrap();
        assert_eq!(
            (report.failed, report.resumed_deletions, report.orphan_files),
            (2, 2, 1),
            "{report:?}"
        );
        assert!(!orphan.exists() && !place(&doomed[1]).exists() && !place(&doomed[2]).exists());
        std::fs::remove_dir(&stuck).unwrap();
        std::fs::remove_dir(&stuck_too).unwrap();
        let report = app.client().reconcile(REAL).await.unwrap();
        assert_eq!((report.failed, report.resumed_deletions), (0, 1), "{report:?}");
        assert!(app.rows().await.is_empty());
        assert_eq!(app.client().reconcile(REAL).await.unwrap(), StoreReport::default());
    });
}
