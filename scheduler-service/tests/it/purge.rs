//! The purge job: its endings, its failures, and a crash at every step.

use std::time::Duration;

use common::db::Db;
use common::messages::{Receipt, VideoState};
use common::testing::{eventually, on_each_backend};
use common::time::Timestamp;
use scheduler_service::MIGRATIONS;
use scheduler_service::job::{Kind, State};
use scheduler_service::ops::Request;
use scheduler_service::runner::Limits;

use crate::worker::{SOON, Worker, arm, job, limits, purge_request, until};
use crate::world::World;

#[test]
fn a_purge_ends_with_the_receipt_and_the_operation_that_caused_it() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 123_456);
        arm(&db, purge_request(video.as_str())).await;
        let worker = Worker::start(&db, &world, limits());
        let done = until(&db, video.as_str(), State::Done).await;
        assert_eq!(
            done.result.unwrap(),
            serde_json::json!({ "objects": 2, "bytes": 123_456 })
        );
        assert!(done.finished_at >= done.started_at && done.last_error.is_none());
        {
            let things = world.things();
            assert_eq!(
                things.purged[video.as_str()],
                Receipt {
                    objects: 2,
                    bytes: 123_456
                }
            );
            assert!(things.media.is_empty() && things.videos.is_empty());
            assert!(
                things.operations.iter().all(|operation| operation == "test-operation"),
                "{:?}",
                things.operations
            );
            assert_eq!(things.operations.len(), 3);
        }
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn a_restored_video_ends_the_job_and_keeps_its_media() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.video(1, VideoState::Ready);
        world.media(1, 5);
        arm(&db, purge_request(video.as_str())).await;
        let worker = Worker::start(&db, &world, limits());
        let ended = until(&db, video.as_str(), State::Cancelled).await;
        assert!(ended.last_error.unwrap().contains("it was restored"));
        assert_eq!(world.calls("DELETE"), 0);
        assert_eq!(world.things().media.len(), 1);
        worker.drain().await;
        world.stop().await;
    });
}

/// The restore wins the race at the last moment: the job is leased, api-service is asked, and says no.
#[test]
fn a_video_restored_while_the_job_runs_is_kept() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 5);
        let (mut arrived, go) = world.gate("purge/begin", false);
        arm(&db, purge_request(video.as_str())).await;
        let worker = Worker::start(&db, &world, limits());
        arrived.recv().await.unwrap();
        world.things().videos.get_mut(video.as_str()).unwrap().state = VideoState::Ready;
        go.send(()).unwrap();
        until(&db, video.as_str(), State::Cancelled).await;
        assert_eq!((world.calls("DELETE"), world.things().media.len()), (0, 1));
        worker.drain().await;
        world.stop().await;
    });
}

/// The clock of api-service is behind ours, or the video was restored and trashed again: the purge waits, and is not lost.
#[test]
fn a_purge_that_is_not_due_at_api_service_waits() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 5);
        world.things().videos.get_mut(video.as_str()).unwrap().purge_at = Some(Timestamp(2));
        arm(&db, purge_request(video.as_str())).await;
        let worker = Worker::start(&db, &world, limits());
        eventually("it was postponed", SOON, || async {
            (job(&db, Kind::Purge, video.as_str()).await.state == State::Scheduled).then_some(())
        })
        .await;
        let waiting = job(&db, Kind::Purge, video.as_str()).await;
        assert_eq!((waiting.attempts, waiting.last_error), (0, None));
        assert_eq!((world.calls("DELETE"), world.things().media.len()), (0, 1));
        world.things().later = 1;
        db.shift_clock(2000);
        until(&db, video.as_str(), State::Done).await;
        worker.drain().await;
        world.stop().await;
    });
}

/// Also by services of a version that takes no such requests.
#[test]
fn promise_3_purges_that_are_carried_together_are_answered_each_by_itself() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        for (first, before_batches) in [(0, false), (100, true)] {
            let world = World::start();
            world.things().before_batches = before_batches;
            let restored = world.video(first, VideoState::Ready);
            world.media(first, 1);
            let videos: Vec<_> = (1..=40)
                .map(|n| (world.trashed(first + n, n as u64), n as u64))
                .collect();
            let videos = &videos;
            for (video, bytes) in videos {
                let operation_id = format!("operation-{bytes}");
                let request = purge_request(video.as_str());
                arm(
                    &db,
                    Request {
                        operation_id,
                        ..request
                    },
                )
                .await;
            }
            arm(&db, purge_request(restored.as_str())).await;
            let worker = Worker::start(&db, &world, limits());
            for (video, bytes) in videos {
                let done = until(&db, video.as_str(), State::Done).await;
                assert_eq!(done.attempts, 1, "before batches: {before_batches}");
                let receipt = Receipt {
                    objects: 2,
                    bytes: *bytes,
                };
                assert_eq!(
                    done.result.unwrap(),
                    serde_json::json!(receipt),
                    "before batches: {before_batches}"
                );
            }
            until(&db, restored.as_str(), State::Cancelled).await;
            for (call, times) in [("purge/begin", 41), ("DELETE /internal/media", 40), ("purge/done", 40)] {
                assert_eq!(world.calls(call), times, "{call}");
            }
            {
                let things = world.things();
                assert_eq!((things.purged.len(), things.media.len()), (40, 1));
                assert_eq!(things.batches > 0, !before_batches);
                for (_, n) in videos {
                    let operation = format!("operation-{n}");
                    let carried = things
                        .operations
                        .iter()
                        .filter(|carried| **carried == operation)
                        .count();
                    assert_eq!(carried, 3, "each call belongs to the operation that caused it");
                }
            }
            worker.drain().await;
            world.stop().await;
        }
    });
}

#[test]
fn a_deletion_that_takes_longer_than_those_beside_it_is_made_alone() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let videos: Vec<_> = (1..=3).map(|n| world.trashed(n, n as u64)).collect();
        let slow = &videos[1];
        world.things().slow.push(slow.to_string());
        for video in &videos {
            arm(&db, purge_request(video.as_str())).await;
        }
        let worker = Worker::start(&db, &world, limits());
        for video in &videos {
            let done = until(&db, video.as_str(), State::Done).await;
            assert_eq!(
                (done.attempts, world.calls(&format!("DELETE /internal/media/{video}"))),
                (1, 1)
            );
        }
        assert!(world.things().batches > 0, "or it proves nothing");
        assert_eq!(
            world.calls(&format!("{slow}/purge/begin")),
            1,
            "in the same run of its job"
        );
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn a_video_that_was_purged_loses_what_a_crash_left_in_the_store() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let purged = world.media(2, 6);
        let receipt = Receipt { objects: 2, bytes: 6 };
        world.things().purged.insert(purged.to_string(), receipt);
        let worker = Worker::start(&db, &world, limits());
        arm(&db, purge_request(purged.as_str())).await;
        let done = until(&db, purged.as_str(), State::Done).await;
        assert_eq!(done.result.unwrap(), serde_json::json!(receipt));
        assert!(world.things().media.is_empty());
        worker.drain().await;
        world.stop().await;
    });
}

/// 404 is what a wrong address or an older replica says too: at no step does anything follow from it.
#[test]
fn promise_3_nothing_is_deleted_and_no_receipt_is_made_because_of_a_404() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        for (n, step) in ["purge/begin", "DELETE /internal/media", "purge/done"]
            .into_iter()
            .enumerate()
        {
            let world = World::start();
            let video = world.trashed(n, 5);
            world.things().broken.push((step.to_owned(), 404));
            arm(&db, purge_request(video.as_str())).await;
            let worker = Worker::start(&db, &world, limits());
            let failed = eventually("the attempt failed", SOON, || async {
                Some(job(&db, Kind::Purge, video.as_str()).await).filter(|job| job.last_error.is_some())
            })
            .await;
            assert_eq!((failed.state, failed.attempts), (State::Scheduled, 1), "{step}");
            assert!(failed.last_error.unwrap().contains("look at internal."), "{step}");
            assert_eq!(world.calls("DELETE"), n.min(1), "{step}");
            assert_eq!(world.calls("purge/done"), usize::from(n == 2), "{step}");
            assert_eq!(world.things().media.len(), usize::from(n < 2), "{step}");
            assert!(world.things().purged.is_empty());
            // The right service again: it ends, with the first receipt.
            world.things().broken.clear();
            db.shift_clock(3_600_000 * (n as i64 + 1));
            let done = until(&db, video.as_str(), State::Done).await;
            assert_eq!(done.result.unwrap()["bytes"], 5, "{step}");
            worker.drain().await;
            world.stop().await;
        }
    });
}

/// A job for a video that api-service never knew deletes nothing and ends where operators look.
#[test]
fn a_purge_of_an_unknown_video_ends_dead() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let unknown = world.media(1, 5);
        let worker = Worker::start(
            &db,
            &world,
            Limits {
                max_attempts: 2,
                ..limits()
            },
        );
        arm(&db, purge_request(unknown.as_str())).await;
        eventually("the attempt failed", SOON, || async {
            (job(&db, Kind::Purge, unknown.as_str()).await.last_error.is_some()).then_some(())
        })
        .await;
        db.shift_clock(600_000);
        let dead = until(&db, unknown.as_str(), State::Dead).await;
        assert!(dead.last_error.unwrap().contains("reconciler"));
        assert_eq!((world.calls("DELETE"), world.things().media.len()), (0, 1));
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn a_key_that_is_no_video_ends_without_a_call() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        arm(&db, purge_request("not-a-video")).await;
        let worker = Worker::start(&db, &world, limits());
        until(&db, "not-a-video", State::Cancelled).await;
        assert_eq!(world.calls(""), 0);
        worker.drain().await;
        world.stop().await;
    });
}

/// A crash before and after the effect of each step repeats to the same receipt.
#[test]
fn promise_16_a_crash_at_any_step_of_a_purge_leaves_one_receipt() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let mut n = 0;
        for step in ["purge/begin", "DELETE /internal/media", "purge/done"] {
            for effect_first in [false, true] {
                n += 1;
                let world = World::start();
                let video = world.trashed(n, 1000 + n as u64);
                let (mut arrived, go) = world.gate(step, effect_first);
                arm(&db, purge_request(video.as_str())).await;
                let dying = Worker::start(&db, &world, limits());
                arrived.recv().await.unwrap();
                dying.kill().await;
                drop(go);
                db.shift_clock(i64::try_from(n).unwrap() * 600_000);
                let next = Worker::start(&db, &world, limits());
                let done = until(&db, video.as_str(), State::Done).await;
                assert_eq!(done.attempts, 2, "{step} {effect_first}");
                let receipt = Receipt {
                    objects: 2,
                    bytes: 1000 + n as u64,
                };
                assert_eq!(world.things().purged[video.as_str()], receipt, "{step} {effect_first}");
                assert_eq!(
                    done.result.unwrap(),
                    serde_json::json!(receipt),
                    "{step} {effect_first}"
                );
                next.drain().await;
                world.stop().await;
            }
        }
    });
}

/// Eight refusals make it dead; between them it waits, longer each time; an operator's retry brings it back.
#[test]
fn a_job_that_keeps_failing_waits_longer_and_ends_dead() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 5);
        world.things().broken.push(("DELETE /internal/media".into(), 500));
        arm(&db, purge_request(video.as_str())).await;
        let worker = Worker::start(&db, &world, limits());
        let mut shift = 0;
        for attempt in 1..8 {
            let failed = eventually("the attempt failed", SOON, || async {
                let job = job(&db, Kind::Purge, video.as_str()).await;
                (job.attempts == attempt && job.state == State::Scheduled).then_some(job)
            })
            .await;
            assert!(failed.last_error.as_ref().unwrap().contains("500"), "{failed:?}");
            let wait = failed.run_at.since(failed.started_at.unwrap());
            let whole = Duration::from_secs(3_u64.pow(u32::try_from(attempt).unwrap() - 1).min(600));
            assert!(
                wait >= whole / 2 && wait <= whole + SOON,
                "attempt {attempt} waits {wait:?}"
            );
            // Time is told: the wait is over.
            shift += 601_000;
            db.shift_clock(shift);
        }
        let dead = until(&db, video.as_str(), State::Dead).await;
        assert_eq!(dead.attempts, 8);
        assert!(dead.last_error.unwrap().contains("500"));
        assert_eq!(world.calls("DELETE"), 8);
        worker.drain().await;
        world.stop().await;
    });
}

/// However long an outage lasts, and whatever it looks like: no answer of the service's kind, or 503. The job is not used up,
/// and half a minute after the return it is done.
#[test]
fn promise_16_an_outage_uses_no_attempt_up() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        for (n, status) in [0, 503].into_iter().enumerate() {
            let world = World::start();
            let video = world.trashed(n, 5);
            world.things().broken.push(("purge/done".into(), status));
            arm(&db, purge_request(video.as_str())).await;
            let worker = Worker::start(&db, &world, Limits { workers: 1, ..limits() });
            let mut shift = n as i64 * 3_600_000;
            for tried in 1..=12 {
                let waiting = eventually("it was tried", SOON, || async {
                    let job = job(&db, Kind::Purge, video.as_str()).await;
                    let tried = world.calls("purge/done") == tried;
                    (tried && job.state == State::Scheduled).then_some(job)
                })
                .await;
                assert_eq!(waiting.attempts, 0, "try {tried}");
                assert!(waiting.last_error.is_some(), "it is shown why it waits");
                let wait = waiting.run_at.since(waiting.started_at.unwrap());
                assert!(wait <= Duration::from_secs(30) + SOON, "{wait:?}");
                if tried == 12 {
                    world.things().broken.clear();
                }
                shift += 31_000;
                db.shift_clock(shift);
            }
            let done = until(&db, video.as_str(), State::Done).await;
            assert_eq!((done.attempts, done.result.unwrap()["bytes"].clone()), (1, 5.into()));
            assert_eq!(done.last_error, None);
            worker.drain().await;
            world.stop().await;
        }
    });
}
