//! What is known of one copy: whether it is asked like the others, left alone, or on trial after it was.
//!
//! It is left alone at once when nobody listens there or it says itself that it is not ready, and after two silences in a row
//! (one may be the network's). A health check that goes well puts it on trial, and so does the passing of time where nobody
//! checks; the first answer on trial brings it back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Milliseconds for which a copy is left alone, unless a check says otherwise before.
const REST: u64 = 5_000;

/// Silences in a row after which it is left alone.
const SILENCES: u32 = 2;

/// How a copy is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    In,
    Trial,
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Unreachable,
    Silent,
    /// By its own words, which only its own words take back.
    NotReady,
}

#[derive(Debug, Default)]
pub(super) struct Standing {
    /// When it is on trial, in the milliseconds of the caller; 0 when it is in.
    out_until: AtomicU64,
    silences: AtomicU32,
    told: Mutex<Option<Told>>,
    found_silent: Notify,
}

#[derive(Debug, Clone)]
struct Told {
    why: Why,
    reason: String,
    since: u64,
}

impl Standing {
    pub fn at(&self, now: u64) -> At {
        match self.out_until.load(Ordering::Relaxed) {
            0 => At::In,
            until if until <= now => At::Trial,
            _ => At::Out,
        }
    }

    /// Why it is left alone, when it is.
    pub fn reason(&self, now: u64) -> Option<String> {
        let out = self.at(now) == At::Out;
        self.told().as_ref().filter(|_| out).map(|told| told.reason.clone())
    }

    /// A request that began at `began` was answered.
    pub fn answered(&self, base: &str, began: u64) {
        if self.silences.load(Ordering::Relaxed) != 0 {
            self.silences.store(0, Ordering::Relaxed);
        }
        if self.out_until.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut told = self.told();
        // What began before says nothing about now: a copy that stops answers what it has.
        let counts = told
            .as_ref()
            .is_some_and(|told| began >= told.since && (told.why != Why::NotReady || self.at(began) == At::Trial));
        if counts {
            log::info!("{base} is asked again");
            *told = None;
            self.out_until.store(0, Ordering::Relaxed);
        }
    }

    pub fn unreachable(&self, base: &str, now: u64, reason: &str) {
        self.leave(base, now, Why::Unreachable, reason);
    }

    pub fn not_ready(&self, base: &str, now: u64, reason: &str) {
        self.leave(base, now, Why::NotReady, reason);
    }

    pub fn silent(&self, base: &str, now: u64, reason: &str) {
        if self.silences.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCES {
            self.leave(base, now, Why::Silent, reason);
            self.found_silent.notify_waiters();
        }
    }

    /// A check of it went well.
    pub fn well(&self, now: u64) {
        self.silences.store(0, Ordering::Relaxed);
        if self.at(now) == At::Out {
            self.out_until.store(now, Ordering::Relaxed);
        }
    }

    pub async fn found_silent(&self) {
        self.found_silent.notified().await;
    }

    fn leave(&self, base: &str, now: u64, why: Why, reason: &str) {
        let mut told = self.told();
        if told.is_none() {
            log::warn!("{base} is left alone: {reason}");
        }
        *told = Some(Told {
            why,
            reason: reason.to_owned(),
            since: now,
        });
        self.out_until.store(now + REST, Ordering::Relaxed);
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Option<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: &str = "http://a:1";

    #[test]
    fn it_is_left_alone_at_once_or_after_two_silences() {
        let (refused, busy, silent) = (Standing::default(), Standing::default(), Standing::default());
        refused.unreachable(B, 10, "refused");
        busy.not_ready(B, 10, "503");
        silent.silent(B, 10, "no answer");
        assert_eq!((refused.at(10), busy.at(10), silent.at(10)), (At::Out, At::Out, At::In));
        silent.answered(B, 11);
        silent.silent(B, 12, "no answer");
        assert_eq!(silent.at(12), At::In, "not in a row");
        silent.silent(B, 13, "no answer");
        assert_eq!(silent.at(13), At::Out);
        assert_eq!(silent.reason(13).as_deref(), Some("no answer"));
    }

    #[test]
    fn it_comes_back_by_an_answer_on_trial() {
        let standing = Standing::default();
        standing.unreachable(B, 10, "refused");
        standing.answered(B, 9);
        assert_eq!(standing.at(11), At::Out, "an answer to an older request");
        assert_eq!((standing.at(9 + REST), standing.at(10 + REST)), (At::Out, At::Trial));
        standing.unreachable(B, 11 + REST, "refused");
        assert_eq!(standing.at(12 + REST), At::Out, "the trial failed");
        standing.well(20 + REST);
        assert_eq!(standing.at(20 + REST), At::Trial);
        standing.answered(B, 21 + REST);
        assert_eq!((standing.at(21 + REST), standing.reason(21 + REST)), (At::In, None));
    }

    #[test]
    fn one_that_says_it_is_not_ready_is_not_brought_back_by_answers() {
        let standing = Standing::default();
        standing.not_ready(B, 10, "503");
        standing.answered(B, 12);
        assert_eq!(standing.at(12), At::Out);
        standing.well(13);
        standing.answered(B, 14);
        assert_eq!(standing.at(14), At::In);
    }
}
