//! `DELETE /internal/media/{videoId}`: everything goes, and the receipt is what the disk lost.

use crate::{
    app::{App, on_each_app},
    clip::clip,
};
use common::{
    ids::{Id, VideoId},
    messages::{MediaDeletion, MediaVisibility, Receipt, Sweep, Visibility, batch::Call},
    operation::OperationId,
};

const REAL: Sweep = Sweep { dry_run: false };

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

fn calls<T>(wanted: impl IntoIterator<Item = T>) -> Vec<Call<T>> {
    let call = |wanted| Call {
        operation: OperationId::mint(),
        wanted,
    };
    wanted.into_iter().map(call).collect()
}

#[test]
fn promise_3_deletions_of_many_videos_give_each_its_receipt() {
    on_each_app(|app| async move {
        let (kept, kept_bytes) = app.stored(9_000).await;
        let mut expected = Vec::new();
        for size in [50_000, 60_000, 70_000] {
            let (video, _) = app.stored(size).await;
            let bytes = size as u64;
            expected.push((video, Receipt { objects: 1, bytes }));
        }
        expected.push((VideoId::random(), Receipt::default()));
        let videos = || expected.iter().map(|(video, _)| video.clone());
        for hidden in [true, false] {
            let visibility = Visibility {
                hidden,
                version: 5 - i64::from(hidden),
                min_grant: 0,
            };
            let changes = videos().map(|video| MediaVisibility { video, visibility });
            let outcomes = app.client().set_hidden_many(calls(changes)).await.unwrap();
            assert!(outcomes.iter().all(Result::is_ok) && outcomes.len() == 4);
            let status = if hidden { 404 } else { 200 };
            assert_eq!(app.get(&expected[0].0).await.status(), status);
        }
        for _ in 0..2 {
            let before = app.bytes_on_disk();
            let wanted = videos().map(|video| MediaDeletion { video });
            let receipts = app.client().delete_many(calls(wanted)).await.unwrap();
            let receipts: Vec<_> = receipts.into_iter().map(Result::unwrap).collect();
            assert_eq!(
                receipts,
                expected.iter().map(|(_, receipt)| *receipt).collect::<Vec<_>>()
            );
            assert!([180_000, 0].contains(&(before - app.bytes_on_disk())));
        }
        assert_eq!(app.get(&kept).await.bytes().await.unwrap(), kept_bytes);
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
