//! The pace of a stream.
//!
//! Kept as one time, that at which the viewer's player will have played all that was sent (`common::limit::bucket` counts in the
//! same way). What was sent while there was another pace, or none, therefore weighs little after a change, and time in which
//! a viewer took nothing earns nothing.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// A paced stream may be ahead of its pace by this much, so that a player fills its buffer quickly.
const HEAD_START: Duration = Duration::from_secs(2);

/// Bytes that are worth a call.
const LEAST: u64 = 16 << 10;

/// A change of the pace wakes nobody: who waits looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Holds a stream back to a number of bytes per second, which may change while it is sent.
pub struct Pace {
    per_second: Arc<AtomicU64>,
    played: Played,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub fn new(per_second: Arc<AtomicU64>) -> Self {
        Pace {
            per_second,
            played: Played::new(Instant::now()),
            sleep: None,
        }
    }

    /// So many bytes are on their way, of those that were due.
    pub fn sent(&mut self, bytes: u64) {
        if self.played.per_second > 0 {
            self.played.sent(bytes, Instant::now());
        }
    }

    /// Most bytes to send before asking again: a quarter of a second's, so that a paced stream flows instead of coming in lumps.
    pub fn slice(&self) -> u64 {
        slice(self.played.per_second)
    }

    /// Ready when the next bytes may be sent.
    pub fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let per_second = self.per_second.load(Ordering::Relaxed);
            if per_second == 0 && self.played.per_second == 0 {
                return Poll::Ready(());
            }
            let now = Instant::now();
            self.played.follow(per_second, now);
            let wait = self.played.wait(now);
            if wait.is_zero() {
                return Poll::Ready(());
            }
            let until = now + wait.min(LOOK_AGAIN);
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            sleep.as_mut().reset(until);
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

fn slice(per_second: u64) -> u64 {
    match per_second {
        0 => u64::MAX,
        per_second => (per_second / 4).max(LEAST),
    }
}

/// What was sent, as time. Pure: it is told the clock.
struct Played {
    /// The pace in force since it was last looked at; 0 is none.
    per_second: u64,
    /// When all that was sent will have been played.
    until: Instant,
}

impl Played {
    fn new(now: Instant) -> Self {
        Self {
            per_second: 0,
            until: now,
        }
    }

    /// Goes on at this pace. After a change a stream waits for one slice at most.
    fn follow(&mut self, per_second: u64, now: Instant) {
        if std::mem::replace(&mut self.per_second, per_second) != per_second {
            let ahead = HEAD_START + self.takes(slice(per_second));
            self.until = self.until.min(now + ahead);
        }
    }

    fn sent(&mut self, bytes: u64, now: Instant) {
        self.until = self.until.max(now) + self.takes(bytes);
    }

    /// How long until the next bytes may be sent.
    fn wait(&self, now: Instant) -> Duration {
        match self.per_second {
            0 => Duration::ZERO,
            _ => self.until.saturating_duration_since(now).saturating_sub(HEAD_START),
        }
    }

    /// The time that so many bytes last.
    fn takes(&self, bytes: u64) -> Duration {
        match self.per_second {
            0 => Duration::ZERO,
            per_second => Duration::from_secs_f64(bytes as f64 / per_second as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Bytes that a viewer who takes everything gets in so many seconds, from `now` on.
    fn gets(played: &mut Played, per_second: u64, now: &mut Instant, seconds: u64) -> u64 {
        let end = *now + Duration::from_secs(seconds);
        let mut got = 0;
        loop {
            played.follow(per_second, *now);
            *now += played.wait(*now);
            if *now >= end {
                *now = end;
                return got;
            }
            played.sent(slice(per_second), *now);
            got += slice(per_second);
        }
    }

    fn slices(per_second: u64, got: u64, expected: std::ops::RangeInclusive<u64>) {
        let slices = got / slice(per_second);
        assert!(expected.contains(&slices), "{slices} slices at {per_second}");
    }

    #[test]
    fn a_stream_has_its_head_start_and_then_its_pace() {
        let mut now = Instant::now();
        let mut played = Played::new(now);
        slices(MIB, gets(&mut played, MIB, &mut now, 1), 12..=13);
        slices(MIB, gets(&mut played, MIB, &mut now, 60), 239..=241);
        // Slower than a slice of use in a second.
        slices(LEAST, gets(&mut played, LEAST, &mut now, 60), 57..=61);
    }

    #[test]
    fn a_pace_that_is_set_or_lowered_does_not_stop_who_is_far_ahead() {
        for before in [0, 1000 * MIB, 10 * MIB] {
            let mut now = Instant::now();
            let mut played = Played::new(now);
            match before {
                0 => played.sent(1 << 30, now),
                before => {
                    gets(&mut played, before, &mut now, 600);
                }
            }
            slices(MIB, gets(&mut played, MIB, &mut now, 1), 3..=13);
            slices(MIB, gets(&mut played, MIB, &mut now, 60), 239..=241);
        }
    }

    #[test]
    fn what_is_sent_before_a_change_is_seen_counts_at_the_pace_it_was_asked_at() {
        let per_second = Arc::new(AtomicU64::new(0));
        let mut pace = Pace::new(per_second.clone());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(pace.poll_due(&mut cx).is_ready());
        per_second.store(LEAST, Ordering::Relaxed);
        assert_eq!(pace.slice(), u64::MAX);
        pace.sent(1 << 30);
        assert!(pace.poll_due(&mut cx).is_ready());
        assert_eq!(pace.slice(), LEAST);
    }

    #[test]
    fn time_in_which_nothing_was_taken_is_no_credit() {
        let mut now = Instant::now();
        let mut played = Played::new(now);
        gets(&mut played, MIB, &mut now, 10);
        now += Duration::from_secs(3600);
        slices(MIB, gets(&mut played, MIB, &mut now, 1), 12..=13);
    }

    #[tokio::test]
    async fn a_pace_that_is_raised_or_taken_back_is_seen_by_who_sleeps() {
        for after in [0, 1000 * MIB] {
            let per_second = Arc::new(AtomicU64::new(LEAST));
            let mut pace = Pace::new(per_second.clone());
            std::future::poll_fn(|cx| pace.poll_due(cx)).await;
            // More than an hour's.
            pace.sent(4000 * LEAST);
            let due = std::future::poll_fn(|cx| pace.poll_due(cx));
            let changed = async {
                tokio::task::yield_now().await;
                per_second.store(after, Ordering::Relaxed);
            };
            let both = async { tokio::join!(due, changed) };
            tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        }
    }
}
