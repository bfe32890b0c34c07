//! The periodic jobs: they come again by themselves, an outage does not end them, and a dry run changes nothing.

use std::time::Duration;

use common::config::SchedulerConfig;
use common::db::{Db, DbError, now_ms};
use common::testing::{eventually, on_each_backend};
use scheduler_service::MIGRATIONS;
use scheduler_service::job::{Job, Kind, PERIODIC, State};
use scheduler_service::ops;
use scheduler_service::runner::Limits;
use scheduler_service::schedule::Schedule;
use serde_json::{Value, json};

use crate::worker::{SOON, Worker, job, limits};
use crate::world::World;

const HOUR: i64 = 3_600_000;

pub async fn run_now(db: &Db, kind: Kind, payload: &'static str) -> Option<Job> {
    db.write(move |conn| -> Result<_, DbError> {
        let now = now_ms(conn)?;
        Ok(ops::run_now(conn, now, kind, payload, "by-hand")?.map(|row| row.shown(now)))
    })
    .await
    .unwrap()
}

pub async fn finished(db: &Db, kind: Kind, key: &str) -> Job {
    eventually(&format!("{key} is finished"), SOON, || async {
        Some(job(db, kind, key).await).filter(|job| matches!(job.state, State::Done | State::Dead | State::Cancelled))
    })
    .await
}

#[test]
fn periodic_jobs_come_again_and_sweep_until_nothing_is_left() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        {
            let mut things = world.things();
            (
                things.sessions_to_expire,
                things.uploads_to_expire,
                things.videos_to_expire,
            ) = (5, 3, 1);
        }
        Schedule::from(&SchedulerConfig::default()).ensure(&db).await.unwrap();
        let worker = Worker::start(&db, &world, limits());
        assert_eq!(job(&db, Kind::ExpireSessions, PERIODIC).await.state, State::Scheduled);
        for round in 1..=2 {
            db.shift_clock(round * HOUR + round * 60_000);
            let swept = |kind| {
                let db = &db;
                async move {
                    eventually("swept", SOON, || async {
                        let job = job(db, kind, PERIODIC).await;
                        let since = round * HOUR - HOUR;
                        let fresh = job
                            .finished_at
                            .is_some_and(|at| at.millis() > job.created_at.millis() + since);
                        (fresh && job.state == State::Scheduled).then_some(job)
                    })
                    .await
                }
            };
            let sessions = swept(Kind::ExpireSessions).await;
            let uploads = swept(Kind::ExpireUploads).await;
            let expected = if round == 1 { (5, 3, 1) } else { (0, 0, 0) };
            assert_eq!(sessions.result.unwrap()["sessions"], expected.0);
            let result = uploads.result.unwrap();
            assert_eq!(
                (&result["uploads"], &result["videos"]),
                (&expected.1.into(), &expected.2.into())
            );
            assert_eq!(sessions.attempts, 0);
            let every = sessions.run_at.millis() - sessions.finished_at.unwrap().millis();
            assert_eq!(every, HOUR);
        }
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn arming_the_schedules_is_safe_to_repeat_and_takes_over_a_shorter_interval() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let long = Schedule::from(&SchedulerConfig::default());
        long.ensure(&db).await.unwrap();
        let first = job(&db, Kind::Reconcile, PERIODIC).await;
        db.shift_clock(60_000);
        long.ensure(&db).await.unwrap();
        let again = job(&db, Kind::Reconcile, PERIODIC).await;
        assert_eq!((again.id.clone(), again.run_at), (first.id, first.run_at));
        let config = SchedulerConfig {
            reconcile_every: common::config::Span::seconds(60),
            ..SchedulerConfig::default()
        };
        Schedule::from(&config).ensure(&db).await.unwrap();
        assert!(job(&db, Kind::Reconcile, PERIODIC).await.run_at < first.run_at);
    });
}

/// After its attempts a periodic job waits for its next time instead of being dead.
#[test]
fn an_outage_does_not_end_a_schedule() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        world.things().broken.push(("sessions/expire".into(), 500));
        Schedule::from(&SchedulerConfig::default()).ensure(&db).await.unwrap();
        let worker = Worker::start(&db, &world, limits());
        let mut shift = 2 * HOUR;
        for attempt in 1..=8 {
            db.shift_clock(shift);
            eventually("it was tried", SOON, || async {
                (world.calls("sessions/expire") == attempt).then_some(())
            })
            .await;
            eventually("it waits", SOON, || async {
                (job(&db, Kind::ExpireSessions, PERIODIC).await.state == State::Scheduled).then_some(())
            })
            .await;
            shift += 601_000;
        }
        let waiting = job(&db, Kind::ExpireSessions, PERIODIC).await;
        assert_eq!((waiting.state, waiting.attempts), (State::Scheduled, 0));
        assert!(waiting.last_error.unwrap().contains("500"));
        world.things().broken.clear();
        db.shift_clock(shift + 2 * HOUR);
        eventually("it works again", SOON, || async {
            let job = job(&db, Kind::ExpireSessions, PERIODIC).await;
            (job.last_error.is_none() && job.result.is_some()).then_some(())
        })
        .await;
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        world.things().sessions_to_expire = 5;
        let worker = Worker::start(&db, &world, limits());
        for _ in 0..2 {
            let started = run_now(&db, Kind::ExpireSessions, r#"{"dryRun":true}"#).await.unwrap();
            let done = finished(&db, Kind::ExpireSessions, &started.key).await;
            assert_eq!(
                done.result.unwrap(),
                serde_json::json!({ "dryRun": true, "sessions": 5 })
            );
        }
        assert_eq!(world.things().sessions_to_expire, 5);
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn operators_can_not_pile_up_sweeps() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        for _ in 0..4 {
            assert!(run_now(&db, Kind::Reconcile, "{}").await.is_some());
        }
        assert!(run_now(&db, Kind::Reconcile, "{}").await.is_none());
        assert!(run_now(&db, Kind::ExpireSessions, "{}").await.is_some());
    });
}

#[test]
fn promise_4_a_scrub_goes_on_until_nothing_is_due() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let worker = Worker::start(&db, &world, limits());
        let scrubbed = async |payload: &'static str, due: u64| {
            (world.things().to_scrub, world.things().scrubs) = (due, Vec::new());
            let asked = run_now(&db, Kind::Scrub, payload).await.unwrap();
            let done = finished(&db, Kind::Scrub, &asked.key).await;
            assert_eq!(done.state, State::Done, "{:?}", done.last_error);
            (done.result.unwrap(), world.things().scrubs.clone(), asked.created_at)
        };
        let (result, calls, _) = scrubbed("{}", 7).await;
        assert_eq!(
            result,
            json!({ "objects": 7, "bytes": 70, "found": 3, "left": 0, "damaged": 3, "samples": ["a thing"] })
        );
        assert_eq!(calls, vec![Value::Null; 3]);
        let (result, calls, asked) = scrubbed(r#"{"all":true}"#, 4).await;
        assert_eq!(
            (&result["objects"], &result["found"], &result["damaged"]),
            (&json!(4), &json!(2), &json!(5))
        );
        let since = serde_json::to_value(asked).unwrap();
        assert_eq!(
            calls,
            [since.clone(), since],
            "what was checked since it was asked for is checked"
        );
        let (result, calls, _) = scrubbed("{}", 0).await;
        assert_eq!((&result["objects"], calls.len()), (&json!(0), 1));
        world.things().stuck = 1;
        let (result, calls, _) = scrubbed("{}", 3).await;
        assert_eq!(
            (&result["left"], calls.len()),
            (&json!(1), 4),
            "what nothing brings forward is left to the next run"
        );
        worker.drain().await;
        world.stop().await;
    });
}

/// What an operator asked for goes on where it was in as many runs as it takes; of what is due the rest is for the next time.
#[test]
fn promise_4_a_scrub_that_takes_longer_than_a_run_goes_on_in_another() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let short = Limits {
            scrub_run: Duration::ZERO,
            ..limits()
        };
        let worker = Worker::start(&db, &world, short);
        for (payload, runs, left) in [(r#"{"all":true}"#, 3, 0), ("{}", 1, 4)] {
            (world.things().to_scrub, world.things().scrubs) = (7, Vec::new());
            let asked = run_now(&db, Kind::Scrub, payload).await.unwrap();
            let done = finished(&db, Kind::Scrub, &asked.key).await;
            assert_eq!((done.state, done.attempts), (State::Done, 1), "{:?}", done.last_error);
            assert_eq!(done.result.unwrap()["left"], left);
            let calls = world.things().scrubs.clone();
            assert_eq!(calls.len(), runs, "{payload}");
            assert!(
                calls.iter().all(|before| *before == calls[0]),
                "each since it was asked for"
            );
        }
        worker.drain().await;
        world.stop().await;
    });
}

/// During a replacement a stream-service may be older than the scheduler: it is as good as away.
#[test]
fn promise_22_a_scrub_waits_for_a_stream_service_that_knows_it() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        world.things().broken.push(("internal/scrub".into(), 404));
        let worker = Worker::start(&db, &world, limits());
        let asked = run_now(&db, Kind::Scrub, "{}").await.unwrap();
        let waiting = eventually("the attempt found an older version", SOON, || async {
            Some(job(&db, Kind::Scrub, &asked.key).await).filter(|job| job.last_error.is_some())
        })
        .await;
        assert_eq!(
            (waiting.state, waiting.attempts),
            (State::Scheduled, 0),
            "it is not the job's fault"
        );
        assert!(waiting.last_error.unwrap().contains("does not know the scrub yet"));
        world.things().broken.clear();
        db.shift_clock(HOUR);
        assert_eq!(finished(&db, Kind::Scrub, &asked.key).await.state, State::Done);
        worker.drain().await;
        world.stop().await;
    });
}
