//! When the record is read: once at the beginning, and whenever the log has a gap. A gap is given a moment first, because
//! writers that commit at the same time publish in any order; a read that failed or brought nothing is repeated, slower
//! each time. One read is under way at a time.

use std::time::{Duration, Instant};

/// What a gap may close by itself in. Short enough that a real loss is not seen as a hitch.
pub const GRACE: Duration = Duration::from_millis(20);

/// Before the first repetition; doubles up to the last.
pub const FIRST_RETRY: Duration = Duration::from_millis(250);
pub const LAST_RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Repair {
    state: State,
    /// Reads in a row that failed or brought nothing.
    failures: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Due(Instant),
    Reading,
}

impl Repair {
    /// A gap is there (`grace` from now), or is not any more.
    pub fn needed(&mut self, needed: bool, now: Instant, grace: Duration) {
        self.state = match self.state {
            State::Idle if needed => State::Due(now + grace),
            State::Due(_) if !needed => State::Idle,
            state => state,
        };
    }

    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) => Some(at),
            State::Idle | State::Reading => None,
        }
    }

    /// Is a read to begin now? Then it counts as begun, until [`done`](Self::done).
    pub fn take(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|at| at <= now);
        if due {
            self.state = State::Reading;
        }
        due
    }

    /// A read ended. `progress`: it brought something; `needed`: but more is missing.
    pub fn done(&mut self, progress: bool, needed: bool, now: Instant) {
        self.failures = if progress { 0 } else { self.failures.saturating_add(1) };
        self.state = match needed {
            true => State::Due(now + self.wait()),
            false => State::Idle,
        };
    }

    fn wait(&self) -> Duration {
        match self.failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(repeated) => FIRST_RETRY.saturating_mul(1 << repeated.min(16)).min(LAST_RETRY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_closes_in_time_costs_no_read() {
        let now = Instant::now();
        let mut repair = Repair::default();
        repair.needed(true, now, GRACE);
        assert!(!repair.take(now + GRACE / 2));
        // More that came early puts nothing off.
        repair.needed(true, now + GRACE / 2, GRACE);
        assert_eq!(repair.due(), Some(now + GRACE));
        repair.needed(false, now + GRACE / 2, GRACE);
        assert!(!repair.take(now + GRACE));
    }

    #[test]
    fn one_read_at_a_time_slower_after_each_failure() {
        let now = Instant::now();
        let mut repair = Repair::default();
        repair.needed(true, now, Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert!(repair.take(repair.due().unwrap()));
            repair.needed(true, now, Duration::ZERO);
            assert_eq!(repair.due(), None, "one is under way");
            repair.done(false, true, now);
            waits.push((repair.due().unwrap() - now).as_millis());
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert!(repair.take(repair.due().unwrap()));
        repair.done(true, true, now);
        assert_eq!(repair.due(), Some(now), "it goes on at once while there is progress");
        assert!(repair.take(now));
        repair.done(true, false, now);
        assert_eq!(repair.due(), None);
    }
}
