//! What follows a commit (`Db::write_then`): told when it is true, and always then.

use super::{MIGRATIONS, Result, ids, things};
use common::db::{AnyConn, Backend, Db, DbError};
use common::testing::{eventually, on_each_backend};
use diesel::prelude::*;
use diesel::sql_query;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// What was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn note(&self) -> impl FnOnce(&String) + Send + use<> {
        let told = self.0.clone();
        move |key: &String| told.lock().unwrap().push(key.clone())
    }

    fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn keep(key: &str) -> impl FnOnce(&mut AnyConn) -> Result<String> + Send + use<> {
    let key = key.to_owned();
    move |conn| {
        let row = (things::id.eq(key.clone()), things::name.eq(key.clone()));
        diesel::insert_into(things::table).values(row).execute(conn)?;
        Ok(key)
    }
}

#[test]
fn what_follows_a_commit_is_told_after_it_and_before_the_answer_and_only_then() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let told = Told::default();
        db.write_then(keep("a"), told.note()).await.unwrap();
        assert_eq!(told.keys(), ["a"], "before the answer");
        assert!(db.write_then(keep("a"), told.note()).await.is_err(), "a conflict");
        let refused = |conn: &mut AnyConn| -> Result<String> {
            keep("b")(conn)?;
            Err(DbError::NotFound)
        };
        assert!(db.write_then(refused, told.note()).await.is_err());
        let panics = |conn: &mut AnyConn| -> Result<String> {
            keep("c")(conn)?;
            panic!("on purpose");
        };
        assert!(db.write_then(panics, told.note()).await.is_err());
        // A commit that fails: the constraint is looked at only then.
        let dangling = |conn: &mut AnyConn| -> Result<String> {
            let text = match conn.backend() {
                Backend::Sqlite => "PRAGMA defer_foreign_keys = ON",
                Backend::Postgres => "SET CONSTRAINTS ALL DEFERRED",
            };
            sql_query(text).execute(conn)?;
            let row = (
                things::id.eq("d"),
                things::name.eq("d"),
                things::parent.eq(Some("nobody")),
            );
            diesel::insert_into(things::table).values(row).execute(conn)?;
            Ok("d".to_owned())
        };
        assert!(db.write_then(dangling, told.note()).await.is_err());
        assert_eq!(
            (told.keys(), ids(&db).await),
            (vec!["a".to_owned()], vec!["a".to_owned()])
        );
        // Whoever tells may fail: what was committed stays, and is answered so.
        let answer = db.write_then(keep("e"), |_| panic!("while telling")).await;
        assert_eq!(answer.unwrap(), "e");
        db.write_then(keep("f"), told.note()).await.unwrap();
        assert_eq!(
            (told.keys(), ids(&db).await.len()),
            (vec!["a".to_owned(), "f".to_owned()], 3)
        );
    });
}

#[test]
fn what_was_begun_is_told_though_nobody_waits_for_the_answer() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let told = Told::default();
        let (begun, is_begun) = mpsc::channel::<()>();
        let (release, go) = mpsc::channel::<()>();
        let slow = move |conn: &mut AnyConn| -> Result<String> {
            begun.send(()).unwrap();
            go.recv().unwrap();
            keep("left")(conn)
        };
        let (caller_db, note) = (db.clone(), told.note());
        let caller = actix_web::rt::spawn(async move { caller_db.write_then(slow, note).await });
        tokio::task::spawn_blocking(move || is_begun.recv().unwrap())
            .await
            .unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        eventually("it is told", SOON, || async { (told.keys() == ["left"]).then_some(()) }).await;
        assert_eq!(ids(&db).await, ["left"]);
    });
}
