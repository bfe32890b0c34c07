//! Promise 18: time may jump. Due times come from the database's clock, durations from a monotonic one.

use std::time::Duration;

use common::db::{AnyConn, Db, DbError, now_ms};
use common::testing::on_each_backend;
use diesel::RunQueryDsl;
use scheduler_service::MIGRATIONS;
use scheduler_service::job::{Kind, State};
use scheduler_service::ops::{self, Request, Terms};
use scheduler_service::runner::Limits;

use crate::worker::{Worker, arm, job, limits, purge_request, until};
use crate::world::World;

const HOUR: i64 = 3_600_000;

async fn now(db: &Db) -> i64 {
    db.read(|conn| -> Result<_, DbError> { Ok(now_ms(conn)?) })
        .await
        .unwrap()
}

#[test]
fn promise_18_due_times_follow_the_databases_clock() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let worker = Worker::start(&db, &world, limits());
        let video = world.trashed(1, 1);
        let due = now(&db).await + HOUR;
        arm(
            &db,
            Request {
                run_at: due,
                ..purge_request(video.as_str())
            },
        )
        .await;
        // A job that is due proves that the worker looked, again and again.
        let probe = world.trashed(2, 1);
        arm(&db, purge_request(probe.as_str())).await;
        until(&db, probe.as_str(), State::Done).await;
        assert_eq!(job(&db, Kind::Purge, video.as_str()).await.state, State::Scheduled);
        db.shift_clock(HOUR);
        until(&db, video.as_str(), State::Done).await;
        worker.drain().await;
        world.stop().await;
    });
}

/// The clock is set back by a day while a worker holds a lease and dies: its lease must not last a day.
#[test]
fn promise_18_a_clock_set_back_does_not_keep_a_dead_workers_lease() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        db.shift_clock(24 * HOUR);
        let video = world.trashed(1, 1);
        let (mut arrived, go) = world.gate("purge/begin", false);
        arm(&db, purge_request(video.as_str())).await;
        let dying = Worker::start(&db, &world, limits());
        arrived.recv().await.unwrap();
        dying.kill().await;
        drop(go);
        db.shift_clock(0);
        let next = Worker::start(&db, &world, limits());
        until(&db, video.as_str(), State::Done).await;
        next.drain().await;
        world.stop().await;
    });
}

/// A worker that lives through a jump keeps its job: it renews by the monotonic clock, and a jump ahead that makes its lease
/// look over costs a second run at the most, never a second effect.
#[test]
fn promise_18_a_jump_during_a_run_leaves_one_effect() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        for jump in [HOUR, -HOUR] {
            let world = World::start();
            let video = world.trashed(1, 77);
            let (mut arrived, go) = world.gate("DELETE /internal/media", true);
            arm(&db, purge_request(video.as_str())).await;
            let quick = Limits {
                lease: Duration::from_millis(900),
                ..limits()
            };
            let workers = [
                Worker::start(&db, &world, quick.clone()),
                Worker::start(&db, &world, quick),
            ];
            arrived.recv().await.unwrap();
            db.shift_clock(jump);
            go.send(()).unwrap();
            let done = until(&db, video.as_str(), State::Done).await;
            assert_eq!(done.result.unwrap()["bytes"], 77);
            assert_eq!(world.things().purged[video.as_str()].bytes, 77);
            for worker in workers {
                worker.drain().await;
            }
            world.stop().await;
            db.shift_clock(0);
        }
    });
}

/// One purge, leased on these terms.
fn leased_one(conn: &mut AnyConn, now: i64) -> Result<Terms, DbError> {
    let terms = Terms {
        owner: "t".into(),
        lease_ms: 30_000,
        max_attempts: 8,
    };
    ops::arm(conn, now, &purge_request("k"))?;
    assert_eq!(ops::lease(conn, now, &terms, 1, true)?.len(), 1);
    Ok(terms)
}

#[test]
fn a_lease_that_no_clock_could_have_given_is_over() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        db.write(|conn| -> Result<(), DbError> {
            let now = now_ms(conn)?;
            let terms = leased_one(conn, now)?;
            assert_eq!(ops::due_in(conn, now, &terms)?, Some(30_000));
            // Set back by less than a lease: it ends a little later. By more: at once.
            assert!(ops::lease(conn, now - 29_000, &terms, 1, true)?.is_empty());
            assert_eq!(ops::due_in(conn, now - HOUR, &terms)?, Some(0));
            assert_eq!(ops::lease(conn, now - HOUR, &terms, 1, true)?.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
    });
}

#[test]
fn promise_22_a_job_of_a_newer_version_is_left_to_it_and_waited_for_by_nobody() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        db.write(|conn| -> Result<(), DbError> {
            let now = now_ms(conn)?;
            let terms = leased_one(conn, now)?;
            diesel::sql_query("UPDATE jobs SET kind = 'dance'").execute(conn)?;
            let over = now + 60_000;
            assert!(ops::lease(conn, over, &terms, 1, true)?.is_empty());
            assert_eq!(ops::due_in(conn, over, &terms)?, None);
            Ok(())
        })
        .await
        .unwrap();
    });
}
