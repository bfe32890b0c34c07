//! The outbox: written with the change, delivered at least once, in order for each key, whatever dies in between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use common::db::{Db, DbError, Migrations};
use common::drain::Drain;
use common::outbox::{Delivery, Message, Relay, enqueue, relay};
use common::testing::{eventually, on_each_backend};
use diesel::prelude::*;
use diesel_migrations::embed_migrations;

static MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations_outbox/sqlite"),
    postgres: embed_migrations!("tests/migrations_outbox/postgres"),
};

async fn write(db: &Db, messages: Vec<(&'static str, String)>) {
    let messages: Vec<Message> = messages
        .iter()
        .map(|(kind, key)| Message::new(kind, key, &key))
        .collect();
    db.write(move |conn| -> Result<(), DbError> {
        messages.iter().try_for_each(|message| enqueue(conn, message))?;
        Ok(())
    })
    .await
    .unwrap();
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

async fn left(db: &Db) -> i64 {
    db.read(|conn| -> Result<i64, DbError> {
        let rows: Vec<Count> = diesel::sql_query("SELECT COUNT(*) AS count FROM outbox").load(conn)?;
        Ok(rows[0].count)
    })
    .await
    .unwrap()
}

/// Runs a relay until the table is empty; gives the deliveries as (key, kind) in their order.
async fn deliver_all(db: &Db, fails: impl Fn(&str, &str, usize) -> bool + 'static) -> Vec<(String, String)> {
    let (drain, wake) = (Drain::new(), Relay::new());
    let delivered = Rc::new(RefCell::new(Vec::new()));
    let tried = Rc::new(RefCell::new(BTreeMap::<String, usize>::new()));
    let fails = Rc::new(fails);
    let (seen, tries, broken) = (delivered.clone(), tried.clone(), fails.clone());
    let task = actix_web::rt::spawn(relay(db.clone(), wake.clone(), drain.clone(), move |entry| {
        let (seen, tries, broken) = (seen.clone(), tries.clone(), broken.clone());
        async move {
            let attempt = {
                let mut tries = tries.borrow_mut();
                let attempt = tries.entry(format!("{}/{}", entry.key, entry.kind)).or_default();
                *attempt += 1;
                *attempt
            };
            // Somebody else's turn: deliveries of different keys do overlap.
            tokio::task::yield_now().await;
            if broken(&entry.key, &entry.kind, attempt) {
                return Delivery::Retry("not now".into());
            }
            seen.borrow_mut().push((entry.key, entry.kind));
            Delivery::Done
        }
    }));
    eventually("the outbox is empty", Duration::from_secs(30), || async {
        wake.wake();
        (left(db).await == 0).then_some(())
    })
    .await;
    drain.begin();
    task.await.unwrap();
    delivered.take()
}

#[test]
fn messages_of_a_key_keep_their_order_through_failures() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let kinds = ["first", "second", "third"];
        for kind in kinds {
            write(&db, (0..20).map(|n| (kind, format!("key{n}"))).collect()).await;
        }
        let delivered = deliver_all(&db, |key, kind, attempt| {
            key.ends_with('7') && kind == "first" && attempt < 3
        })
        .await;
        assert_eq!(delivered.len(), 60, "each once when nothing dies");
        for n in 0..20 {
            let key = format!("key{n}");
            let order: Vec<&str> = delivered
                .iter()
                .filter(|(of, _)| *of == key)
                .map(|(_, kind)| kind.as_str())
                .collect();
            assert_eq!(order, kinds, "{key}");
        }
    });
}

#[test]
fn promise_17_a_message_is_written_with_its_change_or_not_at_all() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let message = Message::new("kind", "key", &"payload");
        let refused = db
            .write(move |conn| -> Result<(), DbError> {
                enqueue(conn, &message)?;
                Err(DbError::Internal("the change failed".into()))
            })
            .await;
        assert!(refused.is_err());
        assert_eq!(left(&db).await, 0);
    });
}

#[test]
fn promise_17_a_claim_of_a_dead_relay_runs_out() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        write(&db, vec![("kind", "key".into())]).await;
        // A relay that dies in the middle of a delivery: its task is gone, its claim stays.
        let drain = Drain::new();
        let hung = actix_web::rt::spawn(relay(db.clone(), Relay::new(), drain.clone(), |_| {
            std::future::pending::<Delivery>()
        }));
        eventually("the message is claimed", Duration::from_secs(10), || async {
            let claimed = db.read(|conn| -> Result<i64, DbError> {
                let rows: Vec<Count> =
                    diesel::sql_query("SELECT COUNT(*) AS count FROM outbox WHERE claimed_until > 0").load(conn)?;
                Ok(rows[0].count)
            });
            (claimed.await.unwrap() == 1).then_some(())
        })
        .await;
        hung.abort();
        drop(hung.await);
        // Minutes later by the database's clock.
        db.shift_clock(10 * 60_000);
        let delivered = deliver_all(&db, |_, _, _| false).await;
        assert_eq!(delivered, [("key".to_owned(), "kind".to_owned())]);
    });
}

#[test]
fn two_relays_on_one_table_deliver_each_message_once() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        write(&db, (0..300).map(|n| ("kind", format!("key{n}"))).collect()).await;
        let (drain, count) = (Drain::new(), Rc::new(RefCell::new(BTreeMap::<String, usize>::new())));
        let relays: Vec<_> = (0..2)
            .map(|_| {
                let count = count.clone();
                actix_web::rt::spawn(relay(db.clone(), Relay::new(), drain.clone(), move |entry| {
                    let count = count.clone();
                    async move {
                        tokio::task::yield_now().await;
                        *count.borrow_mut().entry(entry.key).or_default() += 1;
                        Delivery::Done
                    }
                }))
            })
            .collect();
        eventually("the outbox is empty", Duration::from_secs(30), || async {
            (left(&db).await == 0).then_some(())
        })
        .await;
        drain.begin();
        for relay in relays {
            relay.await.unwrap();
        }
        let count = count.take();
        assert_eq!(count.len(), 300);
        assert!(count.values().all(|times| *times == 1), "{count:?}");
    });
}
