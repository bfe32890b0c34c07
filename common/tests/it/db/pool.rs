//! The door, the transactions and the healing of the pools.

use super::things::dsl::*;
use super::{MIGRATIONS, Result, ids, insert};
use common::db::{AnyConn, Backend, DatabaseUrl, Db, DbError, DbOptions};
use common::testing::{eventually, on_each_backend, on_each_backend_with};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn an_error_rolls_the_transaction_back() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let result = db
            .write(|conn| -> Result<()> {
                diesel::insert_into(things)
                    .values((id.eq("a"), name.eq("a")))
                    .execute(conn)?;
                conn.transaction(|conn| {
                    diesel::insert_into(things)
                        .values((id.eq("b"), name.eq("b")))
                        .execute(conn)
                })?;
                Err(DbError::NotFound)
            })
            .await;
        assert!(matches!(result, Err(DbError::NotFound)));
        assert!(ids(&db).await.is_empty());
        insert(&db, "c").await.unwrap();
        assert_eq!(ids(&db).await, ["c"]);
    });
}

#[test]
fn a_panic_is_an_internal_error_and_leaves_pool_and_transaction_clean() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        for _ in 0..3 {
            let result = db
                .write(|conn| -> Result<()> {
                    conn.transaction(|conn| -> Result<()> {
                        diesel::insert_into(things)
                            .values((id.eq("a"), name.eq("a")))
                            .execute(conn)?;
                        panic!("on purpose");
                    })
                })
                .await;
            assert!(
                matches!(&result, Err(DbError::Internal(text)) if text.contains("on purpose")),
                "{result:?}"
            );
            let result = db.read(|_| -> Result<()> { panic!("reading") }).await;
            assert!(
                matches!(&result, Err(DbError::Internal(text)) if text.contains("reading")),
                "{result:?}"
            );
        }
        assert!(ids(&db).await.is_empty());
        insert(&db, "a").await.unwrap();
        assert_eq!(ids(&db).await, ["a"]);
    });
}

/// PostgreSQL answers COMMIT of a failed transaction with a silent rollback: it must not look like success.
#[test]
fn what_is_answered_ok_is_there_even_if_the_closure_swallowed_an_error() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        insert(&db, "taken").await.unwrap();
        let result = db
            .write(|conn| -> Result<()> {
                diesel::insert_into(things)
                    .values((id.eq("mine"), name.eq("mine")))
                    .execute(conn)?;
                let again = diesel::insert_into(things)
                    .values((id.eq("taken"), name.eq("x")))
                    .execute(conn);
                assert!(again.is_err());
                Ok(())
            })
            .await;
        assert_eq!(
            ids(&db).await.contains(&"mine".to_owned()),
            result.is_ok(),
            "{result:?}"
        );
        insert(&db, "after").await.unwrap();
    });
}

#[test]
fn a_read_cannot_change_sqlite() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        if db.backend() == Backend::Sqlite {
            let refused = db
                .read(|conn| -> Result<_> { Ok(sql_query("DELETE FROM things").execute(conn)?) })
                .await;
            assert!(matches!(refused, Err(DbError::Internal(_))), "{refused:?}");
        }
    });
}

/// Bounded in number and in time; then the door opens again.
#[test]
fn the_door_is_bounded_and_says_overloaded() {
    let options = DbOptions {
        readers: 1,
        connections: 1,
        max_waiting: 1,
        wait: Duration::from_millis(300),
        ..DbOptions::default()
    };
    on_each_backend_with(&MIGRATIONS, &options, |db: Db, _| async move {
        let (go, held) = mpsc::channel::<()>();
        let (entered, inside) = tokio::sync::oneshot::channel();
        let holder = db.clone();
        let holding = tokio::spawn(async move {
            holder
                .write(move |_| -> Result<()> {
                    entered.send(()).unwrap();
                    held.recv().unwrap();
                    Ok(())
                })
                .await
        });
        inside.await.unwrap();
        let second = db.clone();
        let waiting = tokio::spawn(async move { insert(&second, "late").await });
        tokio::task::yield_now().await;
        let started = Instant::now();
        assert!(matches!(insert(&db, "refused").await, Err(DbError::Overloaded)));
        assert!(started.elapsed() < Duration::from_millis(200), "refused at once");
        assert!(matches!(waiting.await.unwrap(), Err(DbError::Overloaded)));
        go.send(()).unwrap();
        holding.await.unwrap().unwrap();
        // The place of the one that left is free when the writer comes by.
        eventually("the door is free", SOON, || async { insert(&db, "free").await.ok() }).await;
        assert_eq!(ids(&db).await, ["free"]);
    });
}

/// The permit stays with the closure: a caller that goes away neither stops the write nor frees the door too early.
#[test]
fn a_dropped_caller_leaks_nothing() {
    let options = DbOptions {
        readers: 1,
        connections: 1,
        ..DbOptions::default()
    };
    on_each_backend_with(&MIGRATIONS, &options, |db: Db, _| async move {
        for n in 0..20 {
            let (go, held) = mpsc::channel::<()>();
            let (entered, inside) = tokio::sync::oneshot::channel();
            let writer = db.clone();
            let task = tokio::spawn(async move {
                writer
                    .write(move |conn| -> Result<()> {
                        entered.send(()).unwrap();
                        held.recv().unwrap();
                        let key = format!("k{n:02}");
                        diesel::insert_into(things)
                            .values((id.eq(&key), name.eq(&key)))
                            .execute(conn)?;
                        Ok(())
                    })
                    .await
            });
            inside.await.unwrap();
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            go.send(()).unwrap();
        }
        let all = eventually("20 rows", SOON, || async {
            Some(ids(&db).await).filter(|all| all.len() == 20)
        })
        .await;
        assert_eq!(all.len(), 20);
    });
}

#[test]
fn it_works_from_many_actix_runtimes_at_once() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                let db = db.clone();
                std::thread::spawn(move || {
                    actix_web::rt::System::new().block_on(async move {
                        let tasks: Vec<_> = (0..25)
                            .map(|n| {
                                let db = db.clone();
                                actix_web::rt::spawn(async move {
                                    insert(&db, &format!("{t}-{n}")).await.unwrap();
                                    ids(&db).await.len()
                                })
                            })
                            .collect();
                        for task in tasks {
                            assert!(task.await.unwrap() > 0);
                        }
                    });
                })
            })
            .collect();
        tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| t.join().unwrap()))
            .await
            .unwrap();
        assert_eq!(ids(&db).await.len(), 100);
    });
}

/// An administrator (or a restart) cuts every session: the write that comes next doesn't even notice, reads heal.
/// Another process (backup, `sluice admin`) holds the lock for too long: an answer in time, and nothing is stuck after it.
/// Promise 5 at the level of the database: a full disk is named, reads go on, no restart is needed.
#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    value: String,
}

#[test]
fn connections_are_set_up_as_promised() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let ask = |statement: &'static str| {
            move |conn: &mut common::db::AnyConn| -> Result<String> {
                Ok(sql_query(statement).get_result::<Setting>(conn)?.value)
            }
        };
        let (writer, reader): (&[_], &[_]) = match db.backend() {
            Backend::Sqlite => (
                &[
                    (
                        "SELECT CAST(journal_mode AS TEXT) AS value FROM pragma_journal_mode",
                        "wal",
                    ),
                    ("SELECT CAST(synchronous AS TEXT) AS value FROM pragma_synchronous", "2"),
                    (
                        "SELECT CAST(foreign_keys AS TEXT) AS value FROM pragma_foreign_keys",
                        "1",
                    ),
                    ("SELECT CAST(timeout AS TEXT) AS value FROM pragma_busy_timeout", "5000"),
                    ("SELECT CAST(query_only AS TEXT) AS value FROM pragma_query_only", "0"),
                    (
                        "SELECT CAST(secure_delete AS TEXT) AS value FROM pragma_secure_delete",
                        "1",
                    ),
                ],
                &[
                    ("SELECT CAST(query_only AS TEXT) AS value FROM pragma_query_only", "1"),
                    ("SELECT CAST(timeout AS TEXT) AS value FROM pragma_busy_timeout", "5000"),
                ],
            ),
            Backend::Postgres => (
                &[
                    (
                        "SELECT current_setting('transaction_isolation') AS value",
                        "read committed",
                    ),
                    ("SELECT current_setting('statement_timeout') AS value", "10s"),
                    ("SELECT current_setting('lock_timeout') AS value", "5s"),
                    (
                        "SELECT current_setting('idle_in_transaction_session_timeout') AS value",
                        "3s",
                    ),
                    ("SELECT current_setting('synchronous_commit') AS value", "on"),
                ],
                &[("SELECT current_setting('application_name') AS value", "sluice")],
            ),
        };
        for (statement, expected) in writer {
            assert_eq!(db.write(ask(statement)).await.unwrap(), *expected, "{statement}");
        }
        for (statement, expected) in reader {
            assert_eq!(db.read(ask(statement)).await.unwrap(), *expected, "{statement}");
        }
    });
}

#[test]
fn a_sqlite_file_is_readable_by_its_owner_alone() {
    on_each_backend_with(&MIGRATIONS, &DbOptions::default(), |db: Db, url: String| async move {
        insert(&db, "a").await.unwrap();
        if let DatabaseUrl::Sqlite { path } = url.parse().unwrap() {
            for suffix in ["", "-wal", "-shm"] {
                let file = format!("{}{suffix}", path.display());
                let mode = std::fs::metadata(&file).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{file}");
            }
        }
    });
}

/// What waits together is committed together, and each change still stands or falls alone: everything that was answered Ok is
/// there, and nothing of what wasn't.
#[test]
fn changes_that_share_a_commit_stand_or_fall_alone() {
    const PANICS: [usize; 2] = [75, 139];
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let change = |n: usize| {
            let db = &db;
            async move {
                let key = format!("k{n:03}");
                let own = key.clone();
                let answered = db.write(move |conn| -> Result<usize> {
                    let insert = |conn: &mut AnyConn, key: &str| {
                        diesel::insert_into(things)
                            .values((id.eq(key), name.eq(key)))
                            .execute(conn)
                    };
                    insert(conn, &own)?;
                    match n % 7 {
                        1 => Err(DbError::NotFound),
                        // A constraint that the first change of the batch may have made true a moment ago.
                        2 => Ok(insert(conn, "shared")?),
                        3 => Ok(conn.transaction(|conn| insert(conn, &format!("{own}-nested")))?),
                        4 => {
                            let undone: Result<()> = conn.transaction(|conn| {
                                insert(conn, &format!("{own}-undone"))?;
                                Err(DbError::NotFound)
                            });
                            Ok(usize::from(undone.is_err()))
                        }
                        5 if n == PANICS[0] => panic!("on purpose"),
                        // With savepoints open.
                        6 if n == PANICS[1] => conn.transaction(|conn| {
                            insert(conn, &format!("{own}-lost"))?;
                            conn.transaction(|_| -> Result<usize> { panic!("on purpose") })
                        }),
                        _ => Ok(1),
                    }
                });
                (key, answered.await)
            }
        };
        let answers = futures_util::future::join_all((0..200).map(change)).await;
        let mut expected: Vec<String> = Vec::new();
        for (n, (key, answer)) in answers.iter().enumerate() {
            match answer {
                Ok(_) => expected.push(key.clone()),
                Err(DbError::NotFound) => assert_eq!(n % 7, 1),
                Err(DbError::Conflict { .. }) => assert_eq!(n % 7, 2),
                Err(DbError::Internal(text)) => {
                    assert!(PANICS.contains(&n) && text.contains("on purpose"), "{n}: {text}")
                }
                Err(other) => panic!("{n}: {other:?}"),
            }
            if answer.is_ok() && n % 7 == 3 {
                expected.push(format!("{key}-nested"));
            }
            if answer.is_ok() && n % 7 == 2 {
                expected.push("shared".into());
            }
        }
        expected.sort();
        assert_eq!(ids(&db).await, expected);
        // Nobody but those that fail for a reason of their own.
        let own = |n: usize| n % 7 == 1 || (n % 7 == 2 && answers[n].1.is_err()) || PANICS.contains(&n);
        for (n, (key, answer)) in answers.iter().enumerate() {
            assert!(answer.is_ok() || own(n), "{key}: {answer:?}");
        }
        assert_eq!(
            answers
                .iter()
                .filter(|(_, answer)| matches!(answer, Err(DbError::Internal(_))))
                .count(),
            PANICS.len()
        );
        assert_eq!(
            answers
                .iter()
                .enumerate()
                .filter(|(n, (_, answer))| n % 7 == 2 && answer.is_ok())
                .count(),
            1
        );
        insert(&db, "after").await.unwrap();
    });
}

/// What a caller that went away leaves behind is dropped by the writer; a drop that panics must end neither it nor the changes
/// after it.
#[test]
fn a_drop_that_panics_does_not_end_the_writer() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "a drop on purpose");
        }
    }
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        if db.backend() == Backend::Postgres {
            return;
        }
        let slow = tokio::task::spawn_local({
            let db = db.clone();
            async move {
                let held = db.write(|_| -> Result<()> {
                    std::thread::sleep(std::time::Duration::from_millis(200));
                    Ok(())
                });
                held.await
            }
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        // Leaves while it waits: the closure is dropped with its bomb.
        let bomb = Bomb;
        let left = db.write(move |_| -> Result<()> {
            let _bomb = &bomb;
            Ok(())
        });
        drop(tokio::time::timeout(std::time::Duration::from_millis(10), left).await);
        drop(slow.await);
        // Leaves while it runs: the answer is dropped.
        let answered = db.write(|_| -> Result<Bomb> {
            std::thread::sleep(std::time::Duration::from_millis(100));
            Ok(Bomb)
        });
        drop(tokio::time::timeout(std::time::Duration::from_millis(50), answered).await);
        insert(&db, "after").await.unwrap();
        db.ready().await.unwrap();
        assert_eq!(ids(&db).await, ["after"]);
    });
}
