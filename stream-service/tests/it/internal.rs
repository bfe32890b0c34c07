//! What the other services ask: purge, trash, ledger pages, announcements, sweeps.

use crate::{
    app::{App, SOON, on_each_app, on_each_app_with},
    clip::clip,
    upload::{begin, outbox_len},
};
use common::{
    clients::ClientError,
    ids::{Id, VideoId},
    messages::{Receipt, StoreReport, Sweep, Visibility},
    testing::eventually,
};
use std::{os::unix::fs::symlink, path::PathBuf, time::Duration};

const REAL: Sweep = Sweep { dry_run: false };
const DRY: Sweep = Sweep { dry_run: true };

#[test]
fn internal_routes_need_the_token_and_are_not_public() {
    on_each_app(|app| async move {
        let path = format!("/internal/media/{}", VideoId::random());
        let bare = app
            .http
            .delete(format!("{}{path}", app.running.internal))
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(bare).await.0, 401);
        let wrong = app
            .http
            .delete(format!("{}{path}", app.running.internal))
            .bearer_auth("x")
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(wrong).await.0, 401);
        let token = common::testing::INTERNAL_TOKEN;
        let public = app
            .http
            .delete(format!("{}{path}", app.running.public))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(public).await.0, 404);
    });
}

#[test]
fn promise_3_the_receipt_of_a_purge_is_what_the_disk_lost_and_stays() {
    on_each_app(|app| async move {
        let (kept, kept_bytes) = app.stored(9_000).await;
        let (video, _) = app.stored(300_000).await;
        let before = app.bytes_on_disk();
        let receipt = app.client().delete_media(&video).await.unwrap();
        assert_eq!(
            receipt,
            Receipt {
                objects: 1,
                bytes: 300_000
            }
        );
        assert_eq!(before - app.bytes_on_disk(), receipt.bytes);
        assert!(!app.media_dir().join(&video.as_str()[..2]).join(video.as_str()).exists());
        for _ in 0..3 {
            assert_eq!(app.client().delete_media(&video).await.unwrap(), receipt);
        }
        assert_eq!(app.get(&video).await.status(), 404);
        assert_eq!(app.get(&kept).await.bytes().await.unwrap(), kept_bytes);
        assert_eq!(App::problem(app.put(&video, clip(5_000, 1)).await).await.1, "gone");
        let never = VideoId::random();
        assert_eq!(app.client().delete_media(&never).await.unwrap(), Receipt::default());
        assert_eq!(
            App::problem(app.put(&never, clip(5_000, 1)).await).await.1,
            "gone",
            "and so is what never was"
        );
    });
}

#[test]
fn promise_3_purges_at_once_give_one_receipt() {
    on_each_app(|app| async move {
        for _ in 0..6 {
            let (video, _) = app.stored(50_000).await;
            let client = app.client();
            let calls = (0..8).map(|_| client.delete_media(&video));
            for receipt in futures_util::future::join_all(calls).await {
                assert_eq!(
                    receipt.unwrap(),
                    Receipt {
                        objects: 1,
                        bytes: 50_000
                    }
                );
            }
            assert!(app.files().is_empty() && app.rows().await.is_empty());
        }
    });
}

#[test]
fn promise_3_a_purge_that_was_cut_off_at_any_step_ends_with_the_same_receipt() {
    on_each_app(|app| async move {
        let doom = |video: &VideoId| {
            [
                format!("INSERT INTO tombstones (video_id, objects, bytes, begun_at) VALUES ('{video}', 0, 0, 1)"),
                format!("UPDATE objects SET state = 'deleting' WHERE video_id = '{video}'"),
            ]
        };
        let measure =
            |video: &VideoId| format!("UPDATE objects SET removed_bytes = size_bytes WHERE video_id = '{video}'");
        for step in 0..4 {
            let (video, _) = app.stored(20_000 + step).await;
            for statement in doom(&video) {
                app.sql(&statement).await;
            }
            if step >= 1 {
                app.sql(&measure(&video)).await;
            }
            if step >= 2 {
                std::fs::remove_file(app.files().remove(0)).unwrap();
            }
            let receipt = if step < 3 {
                app.client().delete_media(&video).await.unwrap()
            } else {
                // Nobody repeats the call: the reconciler finishes it.
                let report = app.client().reconcile(REAL).await.unwrap();
                assert_eq!((report.resumed_deletions, report.lost_objects), (1, 0));
                app.client().delete_media(&video).await.unwrap()
            };
            assert_eq!(
                receipt,
                Receipt {
                    objects: 1,
                    bytes: 20_000 + step as u64
                },
                "cut off at step {step}"
            );
            assert!(app.files().is_empty() && app.rows().await.is_empty());
        }
    });
}

#[test]
fn promise_3_files_of_the_video_that_no_row_knows_are_counted_too() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(10_000).await;
        let dir = app.files()[0].parent().unwrap().to_owned();
        std::fs::write(dir.join(format!("{}.part", Id::now())), [1; 700]).unwrap();
        std::fs::write(dir.join(Id::now().as_str()), [1; 30]).unwrap();
        let receipt = app.client().delete_media(&video).await.unwrap();
        assert_eq!(
            receipt,
            Receipt {
                objects: 3,
                bytes: 10_730
            }
        );
        assert!(app.files().is_empty());
    });
}

#[test]
fn hiding_an_unknown_or_purged_video_is_no_error_and_leaves_no_trace_of_it() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let hide = Visibility {
            hidden: true,
            version: 1,
        };
        app.client().set_hidden(&video, hide).await.unwrap();
        app.put(&video, clip(5_000, 1)).await;
        assert_eq!(app.get(&video).await.status(), 404, "hidden before it was uploaded");
        app.client().delete_media(&video).await.unwrap();
        app.client()
            .set_hidden(
                &video,
                Visibility {
                    hidden: false,
                    version: 9,
                },
            )
            .await
            .unwrap();
        assert_eq!(app.get(&video).await.status(), 404);
    });
}

#[test]
fn the_ledger_is_read_in_pages() {
    on_each_app(|app| async move {
        let mut videos = Vec::new();
        for size in 0..5 {
            videos.push((app.stored(5_000 + size).await.0, 5_000 + size as u64));
        }
        videos.sort();
        app.client()
            .set_hidden(
                &videos[1].0,
                Visibility {
                    hidden: true,
                    version: 1,
                },
            )
            .await
            .unwrap();
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = app.client().media(after.as_ref(), 2).await.unwrap();
            assert!(page.items.len() <= 2);
            seen.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let found: Vec<_> = seen.iter().map(|record| (record.id.clone(), record.bytes)).collect();
        assert_eq!(found, videos);
        for (index, record) in seen.iter().enumerate() {
            assert_eq!((record.live, record.hidden, record.objects), (true, index == 1, 1));
        }
        let bad = app
            .http
            .get(format!("{}/internal/media?after=../x", app.running.internal));
        assert_eq!(
            bad.bearer_auth(common::testing::INTERNAL_TOKEN)
                .send()
                .await
                .unwrap()
                .status(),
            400
        );
    });
}

#[test]
fn announcing_tells_api_service_once_more() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(5_000).await;
        let told = async |times: usize| {
            eventually("told", SOON, || async {
                let told = app
                    .told
                    .lock()
                    .unwrap()
                    .ready
                    .iter()
                    .filter(|(told, _)| *told == video)
                    .count();
                (told == times).then_some(())
            })
            .await;
        };
        told(1).await;
        app.client().announce(&video).await.unwrap();
        told(2).await;
        let refused = app.client().announce(&VideoId::random()).await;
        assert!(
            matches!(refused, Err(ClientError::Refused { status: 404, .. })),
            "{refused:?}"
        );
    });
}

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
        symlink("/", app.media_dir().join("zz")).unwrap();
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
