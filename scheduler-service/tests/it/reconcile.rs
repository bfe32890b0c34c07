//! The reconciler against services that differ in every way it knows.

use common::db::{Db, DbError, now_ms};
use common::ids::VideoId;
use common::messages::VideoState;
use common::testing::on_each_backend;
use common::time::Timestamp;
use scheduler_service::MIGRATIONS;
use scheduler_service::job::{Kind, State};
use scheduler_service::jobs::reconcile::{Report, What};
use scheduler_service::ops;

use crate::sweeps::finished;
use crate::worker::{Worker, arm, job, limits, purge_request, until};
use crate::world::{World, video_id};

async fn reconcile(db: &Db, payload: &'static str) -> Report {
    let key = db
        .write(move |conn| -> Result<_, DbError> {
            let now = now_ms(conn)?;
            Ok(ops::run_now(conn, now, Kind::Reconcile, payload, "by-hand")?
                .unwrap()
                .key)
        })
        .await
        .unwrap();
    let job = finished(db, Kind::Reconcile, &key).await;
    assert_eq!(job.state, State::Done, "{job:?}");
    serde_json::from_value(job.result.unwrap()).unwrap()
}

fn names(report: &Report, what: What) -> Vec<String> {
    report
        .samples
        .iter()
        .filter(|sample| sample.what == what)
        .map(|sample| sample.name.clone())
        .collect()
}

/// One of everything, and enough of what is right that pages turn.
async fn everything_wrong(db: &Db, world: &World) -> [VideoId; 7] {
    for n in 1000..2200 {
        world.video(n, VideoState::Ready);
        world.media(n, 10);
    }
    let unknown = world.media(1, 10);
    let unannounced = {
        world.video(2, VideoState::Processing);
        world.media(2, 10)
    };
    let lost = world.video(3, VideoState::Ready);
    let no_job = world.trashed(4, 10);
    let dead_job = world.trashed(5, 10);
    let shown = {
        world.video(6, VideoState::Ready);
        world.media(6, 10)
    };
    let planned = world.trashed(7, 10);
    world.things().media.get_mut(shown.as_str()).unwrap().hidden = true;
    world.things().orphan_files = 3;
    arm(db, purge_request(dead_job.as_str())).await;
    kill_job(db, dead_job.as_str()).await;
    // Not yet due by the scheduler: a job that waits is a job.
    arm(
        db,
        ops::Request {
            run_at: 4_000_000_000_000,
            ..purge_request(planned.as_str())
        },
    )
    .await;
    [unknown, unannounced, lost, no_job, dead_job, shown, planned]
}

async fn kill_job(db: &Db, key: &str) {
    let key = key.to_owned();
    db.write(move |conn| -> Result<_, DbError> {
        use diesel::prelude::*;
        diesel::sql_query("UPDATE jobs SET state = 'dead', attempts = 8 WHERE key = $1")
            .bind::<diesel::sql_types::Text, _>(key)
            .execute(conn)?;
        Ok(())
    })
    .await
    .unwrap();
}

#[test]
fn promise_2_a_dry_run_reports_a_real_run_mends_and_the_next_finds_nothing() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let [unknown, unannounced, lost, no_job, dead_job, shown, planned] = everything_wrong(&db, &world).await;
        let worker = Worker::start(&db, &world, limits());
        let before = world.things().media.clone();

        let dry = reconcile(&db, r#"{"dryRun":true}"#).await;
        assert_eq!((dry.videos, dry.media, dry.found), (1206, 1206, 9), "{dry:?}");
        assert_eq!(names(&dry, What::UnknownMedia), [unknown.as_str()]);
        assert_eq!(names(&dry, What::UnannouncedMedia), [unannounced.as_str()]);
        assert_eq!(names(&dry, What::LostMedia), [lost.as_str()]);
        assert_eq!(names(&dry, What::MissingPurge), [no_job.as_str(), dead_job.as_str()]);
        assert_eq!(names(&dry, What::WrongVisibility), [shown.as_str()]);
        assert_eq!(world.things().media, before);
        let changes = ["DELETE", "PUT", "announce", "media-failed", "purge/begin"];
        assert!(
            changes.iter().all(|call| world.calls(call) == 0),
            "{:?}",
            world.things().calls
        );
        assert_eq!(job(&db, Kind::Purge, dead_job.as_str()).await.state, State::Dead);

        let real = reconcile(&db, "{}").await;
        assert_eq!((real.found, real.failed, real.refused), (9, 0, 0), "{real:?}");
        for purged in [&no_job, &dead_job] {
            until(&db, purged.as_str(), State::Done).await;
        }
        {
            let things = world.things();
            assert!(!things.media.contains_key(unknown.as_str()));
            assert_eq!(things.videos[unannounced.as_str()].state, VideoState::Ready);
            assert_eq!(things.videos[lost.as_str()].state, VideoState::Failed);
            assert!(!things.media[shown.as_str()].hidden);
            assert!(things.purged.contains_key(no_job.as_str()) && things.purged.contains_key(dead_job.as_str()));
            assert!(things.media.contains_key(planned.as_str()), "its time has not come");
            assert_eq!(things.media.len(), 1203, "nothing else was touched");
        }
        let second = reconcile(&db, "{}").await;
        assert_eq!(second.found, 0, "{second:?}");
        worker.drain().await;
        world.stop().await;
    });
}

/// What is younger than its grace may be on its way; what changed since it was listed is left alone.
#[test]
fn promise_2_nothing_live_or_young_is_removed() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let now = db
            .read(|conn| -> Result<_, DbError> { Ok(now_ms(conn)?) })
            .await
            .unwrap();
        let young = world.media(1, 10);
        world.things().media.get_mut(young.as_str()).unwrap().created_at = Timestamp(now);
        // Ready without media when videos are listed; uploaded right after.
        let uploading = world.video(2, VideoState::Ready);
        let (mut arrived, go) = world.gate("GET /internal/videos", true);
        let worker = Worker::start(&db, &world, limits());
        let report = tokio::task::spawn_local({
            let db = db.clone();
            async move { reconcile(&db, "{}").await }
        });
        arrived.recv().await.unwrap();
        world.media(2, 10);
        go.send(()).unwrap();
        let report = report.await.unwrap();
        assert_eq!(report.found, 0, "{report:?}");
        assert_eq!(world.calls("DELETE") + world.calls("media-failed"), 0);
        assert_eq!(world.things().videos[uploading.as_str()].state, VideoState::Ready);
        worker.drain().await;
        world.stop().await;
    });
}

/// A video that api-service lists only when asked again (a listing that lagged) keeps its media.
#[test]
fn promise_2_unknown_media_is_asked_about_again_before_it_is_deleted() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let late = world.media(1, 10);
        let (mut arrived, go) = world.gate("GET /internal/videos", true);
        let worker = Worker::start(&db, &world, limits());
        let report = tokio::task::spawn_local({
            let db = db.clone();
            async move { reconcile(&db, "{}").await }
        });
        arrived.recv().await.unwrap();
        world.video(1, VideoState::Ready);
        go.send(()).unwrap();
        let report = report.await.unwrap();
        assert_eq!((report.found, world.calls("DELETE")), (0, 0), "{report:?}");
        assert!(world.things().media.contains_key(late.as_str()));
        worker.drain().await;
        world.stop().await;
    });
}

/// api-service with the wrong or an empty database must not cost every video its bytes.
#[test]
fn promise_2_media_is_not_deleted_wholesale_because_the_videos_are_unknown() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        for n in 0..50 {
            world.media(n, 10);
        }
        let worker = Worker::start(&db, &world, limits());
        let report = reconcile(&db, "{}").await;
        assert_eq!(
            (report.refused, report.found, world.things().media.len()),
            (50, 0, 50),
            "{report:?}"
        );
        let forced = reconcile(&db, r#"{"force":true}"#).await;
        assert_eq!(
            (forced.refused, forced.unknown_media, world.things().media.len()),
            (0, 50, 0)
        );
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn one_thing_that_can_not_be_mended_does_not_keep_the_others_from_it() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let ids: Vec<VideoId> = (1..4).map(|n| world.media(n, 10)).collect();
        world
            .things()
            .broken
            .push((format!("DELETE /internal/media/{}", video_id(2)), 500));
        let worker = Worker::start(&db, &world, limits());
        let report = reconcile(&db, "{}").await;
        assert_eq!((report.unknown_media, report.failed), (3, 1), "{report:?}");
        assert!(
            report
                .samples
                .iter()
                .any(|sample| sample.failure.as_ref().is_some_and(|text| text.contains("500")))
        );
        assert_eq!(world.things().media.keys().collect::<Vec<_>>(), [ids[1].as_str()]);
        worker.drain().await;
        world.stop().await;
    });
}

/// A long job stops between two steps when the process drains, and begins again in the next.
#[test]
fn a_reconcile_is_given_back_when_the_process_drains() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        for n in 0..600 {
            world.video(n, VideoState::Ready);
            world.media(n, 10);
        }
        let (mut arrived, go) = world.gate("GET /internal/videos", true);
        let key = db
            .write(|conn| -> Result<_, DbError> {
                let now = now_ms(conn)?;
                Ok(ops::run_now(conn, now, Kind::Reconcile, "{}", "by-hand")?.unwrap().key)
            })
            .await
            .unwrap();
        let worker = Worker::start(&db, &world, limits());
        arrived.recv().await.unwrap();
        let draining = tokio::task::spawn_local(worker.drain());
        // The order to drain is set before the page arrives.
        tokio::task::yield_now().await;
        go.send(()).unwrap();
        draining.await.unwrap();
        let given_back = job(&db, Kind::Reconcile, &key).await;
        assert_eq!((given_back.state, given_back.attempts), (State::Ready, 0));
        let next = Worker::start(&db, &world, limits());
        assert_eq!(finished(&db, Kind::Reconcile, &key).await.state, State::Done);
        next.drain().await;
        world.stop().await;
    });
}
