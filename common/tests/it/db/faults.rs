//! Cut connections, held locks, a full disk, a server that is away: what each is called, and that it heals.

use super::things::dsl::*;
use super::{MIGRATIONS, Result, ids, insert};
use common::db::{Backend, Db, DbError, DbOptions, migrate};
use common::testing::{Postgres, TestDatabase, eventually, on_each_backend, on_each_backend_with, postgres_url};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn the_pool_heals_after_its_connections_were_cut() {
    let options = DbOptions {
        connections: 4,
        ..DbOptions::default()
    };
    on_each_backend_with(&MIGRATIONS, &options, |db: Db, url: String| async move {
        if db.backend() == Backend::Sqlite {
            return;
        }
        for round in 0..3 {
            futures_util::future::join_all((0..4).map(|_| {
                db.read(|conn| -> Result<_> { Ok(sql_query("SELECT CAST(pg_sleep(0.05) AS TEXT)").execute(conn)?) })
            }))
            .await;
            cut_all(&url);
            insert(&db, &format!("r{round}")).await.unwrap();
            cut_all(&url);
            eventually("reads answer", SOON, || async {
                db.read(|conn| -> Result<_> { Ok(things.count().get_result::<i64>(conn)?) })
                    .await
                    .ok()
            })
            .await;
            db.ready().await.unwrap();
        }
        // Cut in the middle of a transaction: an error, never half of it.
        let cutting = url.clone();
        let cut = db
            .write(move |conn| -> Result<()> {
                diesel::insert_into(things)
                    .values((id.eq("half"), name.eq("half")))
                    .execute(conn)?;
                cut_all(&cutting);
                Ok(())
            })
            .await;
        assert!(matches!(cut, Err(DbError::Unavailable(_))), "{cut:?}");
        assert_eq!(ids(&db).await, ["r0", "r1", "r2"]);
    });
}

fn cut_all(url: &str) {
    let name_of_database = url.rsplit('/').next().unwrap();
    let mut admin = diesel::PgConnection::establish(&postgres_url("admin")).unwrap();
    sql_query("SELECT CAST(COUNT(pg_terminate_backend(pid, 5000)) AS TEXT) FROM pg_stat_activity WHERE datname = $1")
        .bind::<Text, _>(name_of_database)
        .execute(&mut admin)
        .unwrap();
}

async fn many(db: &Db) -> Vec<Result<i64>> {
    let reads = (0..20).map(|_| db.read(|conn| Ok(things.count().get_result::<i64>(conn)?)));
    futures_util::future::join_all(reads).await
}

fn on_own_server(options: &DbOptions) -> (Postgres, Db) {
    let server = Postgres::start();
    migrate(&server.url().parse().unwrap(), &MIGRATIONS).unwrap();
    let db = Db::open(&server.url().parse().unwrap(), options).unwrap();
    (server, db)
}

#[test]
fn a_server_that_is_back_after_a_moment_costs_a_wait_and_hardly_an_error() {
    let (mut server, db) = on_own_server(&DbOptions {
        connections: 4,
        wait: Duration::from_secs(60),
        returns_within: Duration::from_secs(60),
        ..DbOptions::default()
    });
    actix_web::rt::System::new().block_on(async move {
        assert!(many(&db).await.iter().all(Result::is_ok));
        server.stop();
        let restarting = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(300));
            server.start_again();
            server
        });
        // Who meets a connection that was cut is told so; everybody else waits for a new one.
        let failed = many(&db).await.into_iter().filter(Result::is_err).count();
        assert!(failed <= 4, "{failed} of 20 failed, more than there were connections");
        let _server = restarting.await.unwrap();
        insert(&db, "a").await.unwrap();
        assert_eq!(ids(&db).await, ["a"]);
    });
}

#[test]
fn a_server_that_stays_away_is_unavailable_until_it_is_back() {
    let (mut server, db) = on_own_server(&DbOptions {
        returns_within: Duration::ZERO,
        ..DbOptions::default()
    });
    actix_web::rt::System::new().block_on(async move {
        insert(&db, "a").await.unwrap();
        server.stop();
        for read in many(&db).await {
            assert!(matches!(read, Err(DbError::Unavailable(_))), "{read:?}");
        }
        let refused = insert(&db, "lost").await;
        assert!(matches!(refused, Err(DbError::Unavailable(_))), "{refused:?}");
        eventually("it is not ready", SOON, || async { db.ready().await.err() }).await;
        server.start_again();
        eventually("it is used again", SOON, || async { insert(&db, "b").await.ok() }).await;
        assert!(many(&db).await.iter().all(Result::is_ok));
        db.ready().await.unwrap();
        assert_eq!(ids(&db).await, ["a", "b"]);
    });
}

/// A change under way, which goes on when it is told to.
async fn holding(db: Db) -> (JoinHandle<Result<()>>, mpsc::Sender<()>) {
    let (go, held) = mpsc::channel::<()>();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let holding = tokio::spawn(async move {
        db.write(move |conn| -> Result<()> {
            diesel::update(things).set(size.eq(1)).execute(conn)?;
            entered.send(()).unwrap();
            held.recv().unwrap();
            Ok(())
        })
        .await
    });
    inside.await.unwrap();
    (holding, go)
}

#[test]
fn a_lock_held_by_another_process_is_overloaded_not_a_hang() {
    let options = DbOptions {
        lock_timeout: Duration::from_millis(200),
        ..DbOptions::default()
    };
    on_each_backend_with(&MIGRATIONS, &options, |db: Db, url: String| async move {
        let other = Db::open(&url.parse().unwrap(), &DbOptions::default()).unwrap();
        insert(&db, "a").await.unwrap();
        let (holding, go) = holding(other).await;
        let update =
            |to: i64| db.write(move |conn| -> Result<_> { Ok(diesel::update(things).set(size.eq(to)).execute(conn)?) });
        let refused = update(2).await;
        assert!(matches!(refused, Err(DbError::Overloaded)), "{refused:?}");
        assert_eq!(ids(&db).await, ["a"], "reads go on");
        go.send(()).unwrap();
        holding.await.unwrap().unwrap();
        assert_eq!(update(3).await.unwrap(), 1);
    });
}

#[test]
fn a_process_that_hangs_inside_a_transaction_holds_nobody_up_on_postgres() {
    on_each_backend_with(&MIGRATIONS, &DbOptions::default(), |db: Db, url: String| async move {
        if db.backend() == Backend::Sqlite {
            return;
        }
        let hanging = DbOptions {
            idle_in_transaction: Duration::from_millis(200),
            ..DbOptions::default()
        };
        let other = Db::open(&url.parse().unwrap(), &hanging).unwrap();
        insert(&db, "a").await.unwrap();
        let (holding, go) = holding(other).await;
        let update = db.write(|conn| -> Result<_> { Ok(diesel::update(things).set(size.eq(2)).execute(conn)?) });
        assert_eq!(
            update.await.unwrap(),
            1,
            "it waits for as long as the pause may be, and no longer"
        );
        go.send(()).unwrap();
        let late = holding.await.unwrap();
        assert!(matches!(late, Err(DbError::Unavailable(_))), "{late:?}");
        let sizes = db.read(|conn| -> Result<Vec<i64>> { Ok(things.select(size).load(conn)?) });
        assert_eq!(sizes.await.unwrap(), [2], "what hung is rolled back");
    });
}

#[test]
fn a_slow_statement_and_a_deadlock_are_overloaded_on_postgres() {
    let options = DbOptions {
        statement_timeout: Duration::from_millis(200),
        ..DbOptions::default()
    };
    on_each_backend_with(&MIGRATIONS, &options, |db: Db, url: String| async move {
        if db.backend() == Backend::Sqlite {
            return;
        }
        let slow = db
            .read(|conn| -> Result<_> { Ok(sql_query("SELECT CAST(pg_sleep(5) AS TEXT)").execute(conn)?) })
            .await;
        assert!(matches!(slow, Err(DbError::Overloaded)), "{slow:?}");
        let db = Db::open(&url.parse().unwrap(), &DbOptions::default()).unwrap();
        insert(&db, "a").await.unwrap();
        insert(&db, "b").await.unwrap();
        let both = std::sync::Arc::new(std::sync::Barrier::new(2));
        let lock = |first: &'static str, then: &'static str| {
            let both = both.clone();
            db.write(move |conn| -> Result<()> {
                diesel::update(things.filter(id.eq(first)))
                    .set(size.eq(size + 1))
                    .execute(conn)?;
                both.wait();
                diesel::update(things.filter(id.eq(then)))
                    .set(size.eq(size + 1))
                    .execute(conn)?;
                Ok(())
            })
        };
        let (one, two) = futures_util::future::join(lock("a", "b"), lock("b", "a")).await;
        let failed = one.and(two).unwrap_err();
        assert!(matches!(failed, DbError::Overloaded), "{failed:?}");
        let sizes: Vec<i64> = db
            .read(|conn| -> Result<_> { Ok(things.select(size).load(conn)?) })
            .await
            .unwrap();
        assert_eq!(sizes, [1, 1], "one went through whole, the other not at all");
    });
}

#[test]
fn a_full_sqlite_is_full_and_recovers() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        if db.backend() == Backend::Postgres {
            return;
        }
        insert(&db, "before").await.unwrap();
        let cap = |pages: u32| {
            db.write(move |conn| -> Result<()> { Ok(conn.batch_execute(&format!("PRAGMA max_page_count = {pages}"))?) })
        };
        cap(1).await.unwrap();
        let big = |key: &'static str| {
            db.write(move |conn| -> Result<_> {
                let row = (id.eq(key), name.eq(key), hash.eq(vec![7_u8; 1 << 20]));
                Ok(diesel::insert_into(things).values(row).execute(conn)?)
            })
        };
        let full = big("full").await;
        assert!(matches!(full, Err(DbError::Full)), "{full:?}");
        assert_eq!(ids(&db).await, ["before"]);
        cap(1_000_000).await.unwrap();
        big("after").await.unwrap();
        assert_eq!(ids(&db).await, ["after", "before"]);
    });
}

#[test]
fn a_database_that_cannot_be_opened_says_why_without_its_password() {
    let refused = |url: &str| match Db::open(&url.parse().unwrap(), &DbOptions::default()) {
        Err(DbError::Unavailable(text)) => text,
        Err(other) => panic!("{url}: {other}"),
        Ok(_) => panic!("{url} opened"),
    };
    let text = refused("sqlite:/nowhere/at/all/x.db");
    assert!(
        text.contains("/nowhere/at/all/x.db") && text.contains("No such file"),
        "{text}"
    );
    // Port 1 on loopback: nobody listens.
    for url in [
        "postgres://u:s3cret@127.0.0.1:1/d",
        "postgres://u:s3cret@127.0.0.1:1/d?bogus=1",
        "postgres://u:s3cret@h:port/d",
    ] {
        let text = refused(url);
        assert!(!text.contains("s3cret"), "{text}");
        assert!(!text.is_empty());
    }
    let server = postgres_url("admin");
    let missing = server.replace("/admin", "/missing");
    let text = refused(&missing);
    assert!(text.contains("\"missing\" does not exist"), "{text}");
}

#[test]
fn ready_tells_whether_the_database_answers() {
    on_each_backend(&MIGRATIONS, |db: Db| async move { db.ready().await.unwrap() });
    let gone = TestDatabase::new(Backend::Postgres);
    let db = gone.open(&MIGRATIONS, &DbOptions::default());
    drop(gone); // DROP DATABASE … WITH (FORCE)
    actix_web::rt::System::new().block_on(async move {
        let started = Instant::now();
        assert!(matches!(db.ready().await, Err(DbError::Unavailable(_))));
        assert!(started.elapsed() < Duration::from_secs(4));
    });
}
