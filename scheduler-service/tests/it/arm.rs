//! `PUT` and `DELETE /internal/jobs/{kind}/{key}` at the level of rows: what repeated and changed requests do in every state.

use std::time::Duration;

use common::db::{AnyConn, Db, DbError, now_ms};
use common::testing::on_each_backend;
use scheduler_service::MIGRATIONS;
use scheduler_service::job::{Kind, Row, State};
use scheduler_service::ops::{self, Leased, Outcome, Request, Settled, Terms};

use crate::worker::purge_request;

const FAR: i64 = 4_000_000_000_000;

fn terms() -> Terms {
    Terms {
        owner: "test".into(),
        lease_ms: 30_000,
        max_attempts: 8,
    }
}

struct Table<'a>(&'a mut AnyConn, i64);

impl Table<'_> {
    fn put(&mut self, payload: &str, run_at: i64) -> (bool, Row) {
        let request = Request {
            payload: payload.into(),
            run_at,
            ..purge_request("k")
        };
        let armed = ops::arm(self.0, self.1, &request).unwrap();
        (armed.created, armed.job)
    }

    fn take(&mut self) -> Leased {
        ops::lease(self.0, self.1, &terms(), 1, true)
            .unwrap()
            .pop()
            .expect("a due job")
    }

    fn nothing_due(&mut self) {
        assert!(ops::lease(self.0, self.1, &terms(), 1, true).unwrap().is_empty());
    }

    fn settle(&mut self, leased: &Leased, outcome: Outcome) -> bool {
        let settled = Settled {
            job: leased.job.clone(),
            outcome,
            max_attempts: 8,
            every_ms: None,
        };
        ops::settle(self.0, self.1, &settled).unwrap()
    }

    fn done(&mut self, leased: &Leased) {
        assert!(self.settle(leased, Outcome::Done(serde_json::json!({ "n": 1 }))));
    }

    fn show(&mut self) -> (State, String, i64, i64) {
        let (_, row) = (
            0,
            ops::page(self.0, self.1, &ops::Filter::default(), 10)
                .unwrap()
                .pop()
                .unwrap(),
        );
        let payload = row.payload.clone();
        let job = row.shown(self.1);
        (job.state, payload, job.run_at.millis(), job.attempts)
    }
}

fn check(story: fn(&mut Table)) {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        db.write(move |conn| -> Result<(), DbError> {
            let now = now_ms(conn)?;
            story(&mut Table(conn, now));
            Ok(())
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_new_job_is_made_once_and_a_changed_request_replaces_it() {
    check(|t| {
        let (created, first) = t.put("1", FAR);
        assert!(created);
        let (created, again) = t.put("1", FAR);
        assert!(!created && again.id == first.id);
        t.nothing_due();
        t.put("2", 1);
        assert_eq!(t.show(), (State::Ready, "2".into(), 1, 0));
    });
}

/// The outbox delivers at least once: the second delivery must not undo the wait after a failed attempt.
#[test]
fn a_repeated_request_keeps_the_wait_of_a_failed_job() {
    check(|t| {
        t.put("1", 5);
        let leased = t.take();
        assert!(t.settle(
            &leased,
            Outcome::Failed {
                error: "away".into(),
                wait_ms: 60_000
            }
        ));
        let waiting = t.show();
        assert_eq!((waiting.0, waiting.3), (State::Scheduled, 1));
        t.put("1", 5);
        assert_eq!(t.show(), waiting);
        t.put("1", 6);
        assert_eq!(t.show(), (State::Ready, "1".into(), 6, 1));
    });
}

#[test]
fn what_is_finished_in_any_way_is_armed_anew_with_all_its_attempts() {
    check(|t| {
        t.put("1", 5);
        let leased = t.take();
        t.done(&leased);
        assert_eq!(t.show().0, State::Done);
        t.put("1", 5);
        assert_eq!(t.show(), (State::Ready, "1".into(), 5, 0));
        let leased = t.take();
        assert!(t.settle(&leased, Outcome::Cancelled("restored".into())));
        assert_eq!(t.show().0, State::Cancelled);
        t.put("1", FAR);
        assert_eq!(t.show(), (State::Scheduled, "1".into(), FAR, 0));
        ops::cancel_by_key(t.0, t.1, Kind::Purge, "k").unwrap();
        assert_eq!(t.show().0, State::Cancelled);
        ops::cancel_by_key(t.0, t.1, Kind::Purge, "k").unwrap();
        t.put("1", 5);
        for attempt in 1..=8 {
            let leased = t.take();
            assert_eq!(leased.job.attempts, attempt);
            assert!(t.settle(
                &leased,
                Outcome::Failed {
                    error: "no".into(),
                    wait_ms: 0
                }
            ));
        }
        assert_eq!(t.show(), (State::Dead, "1".into(), t.1, 8));
        t.nothing_due();
        t.put("1", 5);
        assert_eq!(t.show(), (State::Ready, "1".into(), 5, 0));
    });
}

#[test]
fn a_request_during_a_run_is_remembered_only_if_it_differs() {
    check(|t| {
        t.put("1", 5);
        let leased = t.take();
        t.put("1", 5);
        t.done(&leased);
        assert_eq!(t.show().0, State::Done, "the same request is one job");

        t.put("1", 5);
        let leased = t.take();
        t.put("2", FAR);
        assert_eq!(t.show().0, State::Running);
        t.done(&leased);
        assert_eq!(t.show(), (State::Scheduled, "2".into(), FAR, 0));

        // Trashed, restored while the purge began, trashed again: the second purge must not be lost with the first.
        t.put("1", 5);
        let leased = t.take();
        t.put("1", FAR);
        assert!(t.settle(&leased, Outcome::Cancelled("restored".into())));
        assert_eq!(t.show(), (State::Scheduled, "1".into(), FAR, 0));

        t.put("1", 5);
        let leased = t.take();
        t.put("3", 7);
        ops::cancel_by_key(t.0, t.1, Kind::Purge, "k").unwrap();
        t.done(&leased);
        assert_eq!(t.show().0, State::Done, "a DELETE takes the later run with it");
    });
}

#[test]
fn every_settle_is_a_compare_and_set() {
    check(|t| {
        t.put("1", 5);
        let first = t.take();
        assert!(t.settle(&first, Outcome::GivenBack));
        assert_eq!(
            t.show(),
            (State::Ready, "1".into(), 5, 0),
            "an attempt that was given back does not count"
        );
        let second = t.take();
        assert_eq!(second.job.fence, first.job.fence + 1);
        for outcome in [
            Outcome::GivenBack,
            Outcome::Cancelled("late".into()),
            Outcome::Done(1.into()),
        ] {
            assert!(!t.settle(&first, outcome));
        }
        assert!(
            ops::extend(t.0, t.1, &terms(), &[(first.job.id.clone(), first.job.fence)])
                .unwrap()
                .is_empty()
        );
        let kept = ops::extend(t.0, t.1, &terms(), &[(second.job.id.clone(), second.job.fence)]).unwrap();
        assert_eq!(kept, std::slice::from_ref(&second.job.id));
        t.done(&second);
        assert!(!t.settle(&second, Outcome::GivenBack), "settled once");
    });
}

/// Two workers look at the same moment: each due job and each lease that ran out goes to one of them, and neither waits for the
/// other longer than SQLite's one writer makes it.
#[test]
fn what_one_transaction_leases_another_does_not() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        for run_out in [false, true] {
            let lease_at = move |conn: &mut AnyConn| -> Result<usize, DbError> {
                let now = now_ms(conn)? + if run_out { 60_000 } else { 0 };
                Ok(ops::lease(conn, now, &terms(), 4, true)?.len())
            };
            if !run_out {
                db.write(|conn| -> Result<_, DbError> { Ok(ops::arm(conn, 1, &purge_request("k"))?.created) })
                    .await
                    .unwrap();
            }
            let (leased, second_may_look) = tokio::sync::oneshot::channel();
            let (second_has_looked, looked) = std::sync::mpsc::channel::<()>();
            let first = db.write(move |conn| -> Result<usize, DbError> {
                let count = lease_at(conn)?;
                leased.send(()).ok();
                // SQLite's second writer waits for this transaction: it may not wait for that one.
                looked.recv_timeout(Duration::from_millis(500)).ok();
                Ok(count)
            });
            let second = async {
                second_may_look.await.unwrap();
                let count = db.write(lease_at).await;
                second_has_looked.send(()).ok();
                count
            };
            let (first, second) = futures_util::future::join(first, second).await;
            assert_eq!((first.unwrap(), second.unwrap()), (1, 0), "run out: {run_out}");
        }
    });
}

#[test]
fn finished_jobs_are_forgotten_and_dead_ones_are_kept() {
    check(|t| {
        for (key, outcome) in [
            ("a", Outcome::Done(1.into())),
            ("b", Outcome::Cancelled("x".into())),
            (
                "c",
                Outcome::Failed {
                    error: "x".into(),
                    wait_ms: 0,
                },
            ),
        ] {
            ops::arm(t.0, t.1, &purge_request(key)).unwrap();
            let leased = t.take();
            let settled = Settled {
                job: leased.job,
                outcome,
                max_attempts: 1,
                every_ms: None,
            };
            assert!(ops::settle(t.0, t.1, &settled).unwrap());
        }
        t.put("1", 5);
        assert_eq!(ops::prune(t.0, t.1, 100).unwrap(), 0, "too young");
        assert_eq!(ops::prune(t.0, t.1 + 1, 1).unwrap(), 1, "bounded");
        assert_eq!(ops::prune(t.0, t.1 + 1, 100).unwrap(), 1);
        let left = ops::page(t.0, t.1, &ops::Filter::default(), 10).unwrap();
        let states: Vec<State> = left.into_iter().map(|row| row.shown(t.1).state).collect();
        assert_eq!(states, [State::Ready, State::Dead]);
    });
}
