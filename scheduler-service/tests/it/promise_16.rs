//! Promise 16: a due job happens, its effect once. Promise 17, the scheduler's part: polling finds the work.

use std::time::Duration;

use common::bus::{Bus, Subject};
use common::config::{BusConfig, SchedulerConfig};
use common::db::Db;
use common::metrics::Metrics;
use common::testing::{Broker, eventually, on_each_backend};
use scheduler_service::MIGRATIONS;
use scheduler_service::job::{Kind, State};
use scheduler_service::ops::Filter;
use scheduler_service::runner::Limits;

use crate::worker::{SOON, Worker, arm, job, limits, list, purge_request, until};
use crate::world::World;

/// A lease short enough to see it end.
pub fn short() -> Limits {
    Limits {
        lease: Duration::from_millis(400),
        ..limits()
    }
}

#[test]
fn promise_16_a_worker_that_died_is_replaced() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 5_000);
        let (mut arrived, go) = world.gate("DELETE /internal/media", true);
        arm(&db, purge_request(video.as_str())).await;
        let first = Worker::start(&db, &world, short());
        arrived.recv().await.unwrap();
        first.kill().await;
        drop(go);
        assert_eq!(job(&db, Kind::Purge, video.as_str()).await.state, State::Running);
        let second = Worker::start(&db, &world, short());
        let done = until(&db, video.as_str(), State::Done).await;
        assert_eq!(done.attempts, 2);
        assert_eq!(done.result.unwrap()["bytes"], 5_000);
        assert_eq!(world.things().purged[video.as_str()].objects, 2);
        second.drain().await;
        world.stop().await;
    });
}

/// As configured by default: 28 seconds after the kill by the database's clock, a worker that was there all the time needs no
/// more than one look.
#[test]
fn promise_16_a_worker_that_died_is_replaced_within_30_seconds_by_default() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let default = Limits::new(&SchedulerConfig::default(), Duration::from_secs(25));
        assert_eq!(default.max_attempts, 8);
        let world = World::start();
        let video = world.trashed(1, 5_000);
        let (mut arrived, go) = world.gate("DELETE /internal/media", false);
        arm(&db, purge_request(video.as_str())).await;
        let first = Worker::start(&db, &world, default.clone());
        arrived.recv().await.unwrap();
        let second = Worker::start(&db, &world, default);
        first.kill().await;
        drop(go);
        let killed = job(&db, Kind::Purge, video.as_str()).await;
        assert_eq!((killed.state, killed.attempts), (State::Running, 1));
        db.shift_clock(28_000);
        let shifted = std::time::Instant::now();
        let done = until(&db, video.as_str(), State::Done).await;
        // The look itself is due every 5 seconds at least; the rest is for a slow machine.
        assert!(shifted.elapsed() < Duration::from_secs(10), "{:?}", shifted.elapsed());
        assert_eq!(done.attempts, 2);
        second.drain().await;
        world.stop().await;
    });
}

#[test]
fn promise_16_a_worker_paused_past_its_lease_can_do_no_more() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 5_000);
        let (mut arrived, go) = world.gate("purge/begin", true);
        arm(&db, purge_request(video.as_str())).await;
        let paused = Worker::start(&db, &world, short());
        arrived.recv().await.unwrap();
        let resume = paused.pause();
        // The answer waits in the paused worker's socket while another one does the job.
        go.send(()).unwrap();
        let other = Worker::start(&db, &world, short());
        let done = until(&db, video.as_str(), State::Done).await;
        assert_eq!(world.calls("purge/begin"), 2);
        assert_eq!(
            (world.calls("DELETE /internal/media"), world.calls("purge/done")),
            (1, 1)
        );
        drop(resume);
        // It lives and works on, but does nothing more for this job.
        other.drain().await;
        let after = world.trashed(2, 1);
        arm(&db, purge_request(after.as_str())).await;
        until(&db, after.as_str(), State::Done).await;
        assert_eq!(world.calls(&format!("DELETE /internal/media/{video}")), 1);
        assert_eq!(world.calls(&format!("/internal/videos/{video}/purge/done")), 1);
        let unchanged = job(&db, Kind::Purge, video.as_str()).await;
        assert_eq!((unchanged.state, unchanged.attempts), (State::Done, done.attempts));
        paused.drain().await;
        world.stop().await;
    });
}

/// The late settle of a lost lease is refused by the fence, whatever the late worker believes about time.
#[test]
fn promise_16_the_fence_refuses_a_late_settle() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 5_000);
        let (mut arrived, go) = world.gate("purge/done", true);
        arm(&db, purge_request(video.as_str())).await;
        let late = Worker::start(&db, &world, limits());
        arrived.recv().await.unwrap();
        let resume = late.pause();
        go.send(()).unwrap();
        // An hour later by the database, a moment by the monotonic clock: the late worker still trusts its lease.
        db.shift_clock(3_600_000);
        let (mut second_arrived, second_go) = world.gate("purge/begin", false);
        let other = Worker::start(&db, &world, limits());
        second_arrived.recv().await.unwrap();
        drop(resume);
        // Whatever the late worker settles now must not end the other one's run.
        let probe = world.trashed(2, 1);
        arm(&db, purge_request(probe.as_str())).await;
        until(&db, probe.as_str(), State::Done).await;
        late.drain().await;
        let still = job(&db, Kind::Purge, video.as_str()).await;
        assert_eq!((still.state, still.attempts), (State::Running, 2));
        second_go.send(()).unwrap();
        assert_eq!(until(&db, video.as_str(), State::Done).await.attempts, 2);
        other.drain().await;
        world.stop().await;
    });
}

#[test]
fn promise_16_a_job_that_kills_its_worker_is_dead_after_8_attempts_and_shown() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let poison = world.trashed(1, 1);
        let innocent = world.trashed(2, 2);
        arm(&db, purge_request(poison.as_str())).await;
        arm(&db, purge_request(innocent.as_str())).await;
        let call: &'static str = format!("{poison}/purge/begin").leak();
        for attempt in 1..=8 {
            let (mut arrived, go) = world.gate(call, false);
            let worker = Worker::start(&db, &world, limits());
            arrived.recv().await.unwrap();
            let running = job(&db, Kind::Purge, poison.as_str()).await;
            assert_eq!((running.state, running.attempts), (State::Running, attempt));
            worker.kill().await;
            drop(go);
            // The lease ends: time is told.
            db.shift_clock(i64::from(attempt as i32) * 60_000);
        }
        let survivor = Worker::start(&db, &world, limits());
        let dead = until(&db, poison.as_str(), State::Dead).await;
        assert_eq!(dead.attempts, 8);
        assert!(dead.last_error.unwrap().contains("died or stalled"));
        let shown = list(
            &db,
            Filter {
                state: Some(State::Dead),
                ..Filter::default()
            },
            10,
        )
        .await;
        assert_eq!(shown.len(), 1);
        // What ran beside it lived.
        assert_eq!(until(&db, innocent.as_str(), State::Done).await.state, State::Done);
        assert_eq!(world.calls(call), 8);
        survivor.drain().await;
        world.stop().await;
    });
}

#[test]
fn promise_16_two_runners_never_run_one_lease_twice() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let videos: Vec<_> = (0..200).map(|n| world.trashed(n, 1)).collect();
        for video in &videos {
            arm(&db, purge_request(video.as_str())).await;
        }
        let workers = [
            Worker::start(&db, &world, limits()),
            Worker::start(&db, &world, limits()),
        ];
        eventually("all are done", SOON, || async {
            let left = list(
                &db,
                Filter {
                    state: Some(State::Done),
                    ..Filter::default()
                },
                1000,
            )
            .await;
            (left.len() == 200).then_some(())
        })
        .await;
        for video in &videos {
            assert_eq!(world.calls(&format!("DELETE /internal/media/{video}")), 1, "{video}");
            assert_eq!(world.calls(&format!("{video}/purge/begin")), 1, "{video}");
        }
        for worker in workers {
            worker.drain().await;
        }
        world.stop().await;
    });
}

/// As two processes that share the jobs: one writes a row and says so, the other runs it.
#[test]
fn a_runner_is_woken_by_another_process_over_the_bus() {
    let broker = Broker::start();
    on_each_backend(&MIGRATIONS, |db: Db| {
        let settings = BusConfig {
            url: broker.url().into(),
            ..BusConfig::default()
        };
        async move {
            let bus = async || Bus::open(&settings, &Metrics::default()).await.unwrap();
            let (here, there) = (bus().await, bus().await);
            let world = World::start();
            // By itself it would look again in an hour.
            let sleepy = Limits {
                poll: Duration::from_secs(3600),
                ..limits()
            };
            let worker = Worker::on(there, &db, &world, sleepy);
            for n in 0..5 {
                let video = world.trashed(n, 1);
                arm(&db, purge_request(video.as_str())).await;
                here.publish(&Subject::JobsReady, &());
                until(&db, video.as_str(), State::Done).await;
            }
            worker.drain().await;
            world.stop().await;
        }
    });
}

/// Nobody tells the runner: the row alone is enough.
#[test]
fn promise_17_polling_finds_the_work_when_the_bus_loses_everything() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let worker = Worker::start(
            &db,
            &world,
            Limits {
                poll: Duration::from_millis(300),
                ..limits()
            },
        );
        for n in 0..3 {
            let video = world.trashed(n, 1);
            arm(&db, purge_request(video.as_str())).await;
            until(&db, video.as_str(), State::Done).await;
        }
        worker.drain().await;
        world.stop().await;
    });
}
