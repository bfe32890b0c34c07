//! Leases that last as long as their jobs: through long work, a database that was away, and up to a drain.

use std::time::Duration;

use common::db::{Backend, Db, DbError, DbOptions};
use common::testing::{eventually, on_each_backend, on_each_backend_with, postgres_url};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use scheduler_service::MIGRATIONS;
use scheduler_service::job::{Kind, State};
use scheduler_service::runner::Limits;

use crate::promise_16::short;
use crate::worker::{SOON, Worker, arm, job, limits, purge_request, until};
use crate::world::World;

#[derive(QueryableByName)]
struct Lease {
    #[diesel(sql_type = BigInt)]
    until: i64,
}

async fn lease_until(db: &Db) -> i64 {
    let read = db.read(|conn| -> Result<_, DbError> {
        let text = "SELECT COALESCE(MAX(lease_until), 0) AS until FROM jobs WHERE state = 'running'";
        Ok(sql_query(text).get_result::<Lease>(conn)?.until)
    });
    read.await.unwrap()
}

/// A job that takes longer than a lease is renewed, and nobody else takes it.
#[test]
fn promise_16_the_heartbeat_keeps_a_long_job() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let video = world.trashed(1, 5_000);
        let (mut arrived, go) = world.gate("purge/begin", false);
        arm(&db, purge_request(video.as_str())).await;
        let workers = [Worker::start(&db, &world, short()), Worker::start(&db, &world, short())];
        arrived.recv().await.unwrap();
        let first = lease_until(&db).await;
        eventually("five leases have passed", SOON, || async {
            (lease_until(&db).await > first + 2000).then_some(())
        })
        .await;
        go.send(()).unwrap();
        assert_eq!(until(&db, video.as_str(), State::Done).await.attempts, 1);
        assert_eq!(world.calls("purge/begin"), 1);
        for worker in workers {
            worker.drain().await;
        }
        world.stop().await;
    });
}

/// Every connection to the database is cut while jobs run: they are settled by the next ones.
#[test]
fn promise_16_jobs_survive_a_database_that_was_away() {
    on_each_backend_with(&MIGRATIONS, &DbOptions::default(), |db: Db, url: String| async move {
        if db.backend() == Backend::Sqlite {
            return;
        }
        let world = World::start();
        let videos: Vec<_> = (0..100).map(|n| world.trashed(n, 1)).collect();
        for video in &videos {
            arm(&db, purge_request(video.as_str())).await;
        }
        let worker = Worker::start(&db, &world, limits());
        let name = url.rsplit('/').next().unwrap().to_owned();
        for done in [10, 50, 90] {
            eventually("some are done", SOON, || async {
                (world.calls("purge/done") >= done).then_some(())
            })
            .await;
            let mut admin = diesel::PgConnection::establish(&postgres_url("admin")).unwrap();
            sql_query(
                "SELECT CAST(COUNT(pg_terminate_backend(pid, 5000)) AS TEXT) FROM pg_stat_activity WHERE datname = $1",
            )
            .bind::<Text, _>(&name)
            .execute(&mut admin)
            .unwrap();
        }
        for video in &videos {
            eventually("it is purged", SOON, || async {
                world.things().purged.get(video.as_str()).copied()
            })
            .await;
        }
        eventually("all are settled", SOON, || async {
            let text = "SELECT CAST(COUNT(*) AS BIGINT) AS until FROM jobs WHERE state = 'done'";
            let count =
                db.read(move |conn| -> Result<_, DbError> { Ok(sql_query(text).get_result::<Lease>(conn)?.until) });
            count.await.ok().filter(|count| *count == 100)
        })
        .await;
        worker.drain().await;
        world.stop().await;
    });
}

#[test]
fn draining_finishes_what_is_short_and_gives_the_rest_back() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let world = World::start();
        let (stuck, short) = (world.trashed(1, 1), world.trashed(2, 2));
        let (mut stuck_arrived, _never) = world.gate(format!("{stuck}/purge/begin").leak(), false);
        let (mut short_arrived, go) = world.gate(format!("{short}/purge/begin").leak(), false);
        arm(&db, purge_request(stuck.as_str())).await;
        let worker = Worker::start(
            &db,
            &world,
            Limits {
                drain: Duration::from_millis(500),
                ..limits()
            },
        );
        // One after the other: what one request carries is answered together.
        stuck_arrived.recv().await.unwrap();
        arm(&db, purge_request(short.as_str())).await;
        short_arrived.recv().await.unwrap();
        let waiting = world.trashed(3, 3);
        let draining = tokio::task::spawn_local(worker.drain());
        go.send(()).unwrap();
        arm(&db, purge_request(waiting.as_str())).await;
        draining.await.unwrap();
        let given_back = job(&db, Kind::Purge, stuck.as_str()).await;
        assert_eq!(
            (given_back.state, given_back.attempts),
            (State::Ready, 0),
            "it goes back as it was"
        );
        assert_eq!(job(&db, Kind::Purge, short.as_str()).await.state, State::Done);
        assert_eq!(
            job(&db, Kind::Purge, waiting.as_str()).await.state,
            State::Ready,
            "nothing new is begun"
        );
        // The next process has it at once, without waiting for a lease.
        let next = Worker::start(&db, &world, limits());
        until(&db, stuck.as_str(), State::Done).await;
        until(&db, waiting.as_str(), State::Done).await;
        next.drain().await;
        world.stop().await;
    });
}
