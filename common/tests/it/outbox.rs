//! The outbox: written with the change, delivered at least once, in order for each key, whatever dies in between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use common::db::{Db, DbError, DbOptions, Migrations};
use common::drain::Drain;
use common::outbox::{Delivery, Message, Relay, enqueue, relay};
use common::testing::{eventually, on_each_backend, on_each_backend_with};
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

/// A relay with connections of its own, as another process has it. It counts what it delivers.
fn relay_of_its_own(
    url: &str,
    drain: &Drain,
    count: &Rc<RefCell<BTreeMap<String, usize>>>,
) -> (Db, tokio::task::JoinHandle<()>) {
    let db = Db::open(&url.parse().unwrap(), &DbOptions::default()).unwrap();
    let count = count.clone();
    let task = actix_web::rt::spawn(relay(db.clone(), Relay::new(), drain.clone(), move |entry| {
        let count = count.clone();
        async move {
            tokio::task::yield_now().await;
            *count.borrow_mut().entry(entry.key).or_default() += 1;
            Delivery::Done
        }
    }));
    (db, task)
}

#[test]
fn two_relays_on_one_table_deliver_each_message_once() {
    on_each_backend_with(&MIGRATIONS, &DbOptions::default(), |db: Db, url: String| async move {
        write(&db, (0..500).map(|n| ("kind", format!("key{n}"))).collect()).await;
        let (drain, count) = (Drain::new(), Rc::default());
        let relays = [(); 2].map(|()| relay_of_its_own(&url, &drain, &count));
        eventually("the outbox is empty", Duration::from_secs(30), || async {
            (left(&db).await == 0).then_some(())
        })
        .await;
        drain.begin();
        for (_, relay) in relays {
            relay.await.unwrap();
        }
        let count = count.take();
        assert_eq!(count.len(), 500);
        assert!(count.values().all(|times| *times == 1), "{count:?}");
    });
}

#[test]
fn promise_17_what_a_killed_relay_had_claimed_is_delivered_by_the_other() {
    on_each_backend_with(&MIGRATIONS, &DbOptions::default(), |db: Db, url: String| async move {
        write(&db, (0..500).map(|n| ("kind", format!("key{n}"))).collect()).await;
        let claimed = || async {
            let rows = db.read(|conn| -> Result<i64, DbError> {
                let rows: Vec<Count> =
                    diesel::sql_query("SELECT COUNT(*) AS count FROM outbox WHERE claimed_until > 0").load(conn)?;
                Ok(rows[0].count)
            });
            rows.await.unwrap()
        };
        // It delivers some, and dies with the rest in its hands.
        let (first, dying) = (Rc::new(RefCell::new(BTreeMap::<String, usize>::new())), Drain::new());
        let seen = first.clone();
        let hung = actix_web::rt::spawn(relay(db.clone(), Relay::new(), dying, move |entry| {
            let seen = seen.clone();
            async move {
                if seen.borrow().len() == 40 {
                    std::future::pending::<()>().await;
                }
                *seen.borrow_mut().entry(entry.key).or_default() += 1;
                Delivery::Done
            }
        }));
        eventually(
            "40 are settled and others are claimed",
            Duration::from_secs(30),
            || async { (left(&db).await == 460 && claimed().await > 0).then_some(()) },
        )
        .await;
        hung.abort();
        drop(hung.await);
        let (drain, count) = (Drain::new(), first.clone());
        let (_, relay) = relay_of_its_own(&url, &drain, &count);
        // The claims of the dead one end by themselves after a few seconds; the others don't wait for that.
        eventually("the outbox is empty", Duration::from_secs(60), || async {
            (left(&db).await == 0).then_some(())
        })
        .await;
        drain.begin();
        relay.await.unwrap();
        let count = count.take();
        assert_eq!(count.len(), 500);
        assert!(count.values().all(|times| *times == 1), "{count:?}");
    });
}

type Seen = Rc<RefCell<Vec<String>>>;

/// Starts a relay whose deliveries are as `deliver` says, by key; what was done is in the list.
fn start<F, Fut>(db: &Db, deliver: F) -> (Seen, Relay, Drain, tokio::task::JoinHandle<()>)
where
    F: Fn(String, String) -> Fut + 'static,
    Fut: Future<Output = Delivery> + 'static,
{
    let (seen, wake, drain) = (Seen::default(), Relay::new(), Drain::new());
    let done = seen.clone();
    let task = actix_web::rt::spawn(relay(db.clone(), wake.clone(), drain.clone(), move |entry| {
        let (done, delivery) = (done.clone(), deliver(entry.kind, entry.key.clone()));
        async move {
            let delivery = delivery.await;
            if delivery == Delivery::Done {
                done.borrow_mut().push(entry.key);
            }
            delivery
        }
    }));
    (seen, wake, drain, task)
}

#[test]
fn promise_17_a_service_that_hangs_holds_up_its_own_messages_only() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        write(&db, (0..300).map(|n| ("hangs", format!("hanging{n}"))).collect()).await;
        write(&db, vec![("hangs-too", "hanging-too".into())]).await;
        let (seen, wake, drain, task) = start(&db, |kind, _| async move {
            if kind.starts_with("hangs") {
                std::future::pending::<()>().await;
            }
            Delivery::Done
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        for round in 1..=3 {
            let asked = std::time::Instant::now();
            // The second of a key comes after the first.
            let key = format!("quick{round}");
            write(&db, vec![("quick", key.clone()), ("quick", key)]).await;
            wake.wake();
            eventually("the others are settled", Duration::from_secs(10), || async {
                (left(&db).await == 301).then_some(())
            })
            .await;
            assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
            assert_eq!(seen.borrow().len(), 2 * round);
        }
        drain.begin();
        task.abort();
    });
}

#[derive(QueryableByName)]
struct Standing {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    attempts: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    claimed_until: i64,
}

#[test]
fn promise_17_a_relay_that_was_paused_past_its_claim_changes_nothing() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        write(&db, vec![("kind", "key".into())]).await;
        let (go, goes) = tokio::sync::watch::channel(false);
        let held = |answer: Delivery| {
            let goes = goes.clone();
            move |_, _| {
                let (mut goes, answer) = (goes.clone(), answer.clone());
                async move {
                    goes.wait_for(|go| *go).await.unwrap();
                    answer
                }
            }
        };
        let standing = || async {
            let rows = db.read(|conn| -> Result<Vec<Standing>, DbError> {
                Ok(diesel::sql_query("SELECT attempts, claimed_until FROM outbox").load(conn)?)
            });
            rows.await.unwrap().remove(0)
        };
        let (_, _, first_drain, first) = start(&db, held(Delivery::Retry("too late".into())));
        eventually("the first has it", Duration::from_secs(10), || async {
            (standing().await.claimed_until > 0).then_some(())
        })
        .await;
        let until = standing().await.claimed_until;
        // Minutes later by the database: the first one's claim is over.
        db.shift_clock(10 * 60_000);
        let never = tokio::sync::watch::channel(false);
        let (_, _, second_drain, second) = start(&db, move |_, _| {
            let mut never = never.1.clone();
            async move {
                drop(never.wait_for(|go| *go).await);
                std::future::pending::<Delivery>().await
            }
        });
        eventually("the second has it", Duration::from_secs(10), || async {
            (standing().await.claimed_until > until + 500_000).then_some(())
        })
        .await;
        go.send(true).unwrap();
        first_drain.begin();
        first.await.unwrap();
        let after = standing().await;
        assert!(after.claimed_until > until, "the claim of the second stands");
        assert_eq!(after.attempts, 0);
        second_drain.begin();
        second.abort();
    });
}

#[test]
fn promise_17_what_waited_for_a_service_is_delivered_within_5_seconds_of_its_return() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        write(&db, (0..500).map(|n| ("kind", format!("key{n}"))).collect()).await;
        // It has been away for long.
        db.write(|conn| -> Result<(), DbError> {
            diesel::sql_query("UPDATE outbox SET attempts = 50").execute(conn)?;
            Ok(())
        })
        .await
        .unwrap();
        let (up, calls) = (Rc::new(std::cell::Cell::new(false)), Rc::new(std::cell::Cell::new(0)));
        let (is_up, called) = (up.clone(), calls.clone());
        let (seen, _, drain, task) = start(&db, move |_, _| {
            let answer = if is_up.get() {
                Delivery::Done
            } else {
                Delivery::Away("nobody there".into())
            };
            called.set(called.get() + 1);
            async move {
                tokio::task::yield_now().await;
                answer
            }
        });
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(calls.get() >= 8, "{}", calls.get());
        assert!(
            calls.get() < 40,
            "an outage does not cost a call for each message: {}",
            calls.get()
        );
        up.set(true);
        let back = std::time::Instant::now();
        eventually("all are delivered", Duration::from_secs(20), || async {
            (left(&db).await == 0).then_some(())
        })
        .await;
        assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
        assert_eq!(seen.borrow().len(), 500);
        drain.begin();
        task.await.unwrap();
    });
}

#[test]
fn a_delivery_that_panics_is_tried_again_and_the_others_go_on() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        write(&db, (0..50).map(|n| ("kind", format!("key{n}"))).collect()).await;
        let panicked = std::cell::Cell::new(false);
        let delivered = deliver_all(&db, move |key, _, _| {
            assert!(key != "key3" || panicked.replace(true), "on purpose");
            false
        })
        .await;
        assert_eq!(delivered.len(), 50);
    });
}

#[test]
fn a_backlog_is_delivered_once_each_and_fast() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let count = 20_000;
        write(
            &db,
            (0..count)
                .map(|n| (["one", "two"][n % 2], format!("key{}", n % 15_000)))
                .collect(),
        )
        .await;
        let begun = std::time::Instant::now();
        let (seen, _, drain, task) = start(&db, |_, _| async {
            tokio::task::yield_now().await;
            Delivery::Done
        });
        eventually("the backlog is gone", Duration::from_secs(120), || async {
            (left(&db).await == 0).then_some(())
        })
        .await;
        eprintln!("{} messages in {:?}", count, begun.elapsed());
        drain.begin();
        task.await.unwrap();
        assert_eq!(seen.borrow().len(), count);
    });
}
