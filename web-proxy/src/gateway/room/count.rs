//! When a room tells its member count: at most once a second, however many come and go, and every 30 s as heartbeat while
//! the room is active. The heartbeat carries the newest number sent, so that a member notices what it lost at the end.

use std::time::{Duration, Instant};

/// Between two counts.
pub const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Between heartbeats.
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// A room in which nothing was said and nobody came or went for so long is silent: heartbeats to thousands of idle rooms
/// would cost more than all that is said.
pub const ACTIVE_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct CountPace {
    /// The count changed after it was last told. (Also when it changed back: who joined between was told another one.)
    changed: bool,
    told: Option<Instant>,
    active: Option<Instant>,
}

impl CountPace {
    /// Somebody came or went.
    pub fn changed(&mut self, now: Instant) {
        self.changed = true;
        self.active(now);
    }

    /// Something was said.
    pub fn active(&mut self, now: Instant) {
        // The first heartbeat comes 30 s after the first sign of life.
        self.told.get_or_insert(now.checked_sub(AT_MOST_EVERY).unwrap_or(now));
        self.active = Some(now);
    }

    /// When the count is to be told next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let told = self.told?;
        if self.changed {
            return Some(told + AT_MOST_EVERY);
        }
        let heartbeat = told + HEARTBEAT;
        (heartbeat <= self.active? + ACTIVE_FOR).then_some(heartbeat)
    }

    /// Is it to be told now? Then it counts as told.
    pub fn take(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.changed = false;
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_thousand_changes_are_one_count_a_second() {
        let start = Instant::now();
        let mut pace = CountPace::default();
        let mut told = Vec::new();
        for time in 0..3500 {
            pace.changed(ms(start, time));
            if pace.take(ms(start, time)) {
                told.push(time);
            }
        }
        assert_eq!(told, [0, 1000, 2000, 3000]);
        // The last change is told, too.
        assert_eq!(pace.due(), Some(ms(start, 4000)));
        assert!(!pace.take(ms(start, 3999)));
        assert!(pace.take(ms(start, 4000)));
        assert!(!pace.take(ms(start, 5001)));
    }

    #[test]
    fn an_active_room_has_a_heartbeat_and_an_idle_one_is_silent() {
        let start = Instant::now();
        let mut pace = CountPace::default();
        assert_eq!(pace.due(), None);
        pace.changed(start);
        assert!(pace.take(start));
        let mut beats = Vec::new();
        while let Some(due) = pace.due().filter(|_| beats.len() < 100) {
            assert!(pace.take(due));
            beats.push((due - start).as_secs());
            if beats.len() == 5 {
                pace.active(due);
            }
        }
        // Five minutes from the last activity at 150 s.
        assert_eq!(beats, (1..=15).map(|n| n * 30).collect::<Vec<_>>());
        // It wakes with the next word; the heartbeat is overdue then.
        pace.active(ms(start, 600_000));
        assert!(pace.take(ms(start, 600_000)));
        assert_eq!(pace.due(), Some(ms(start, 630_000)));
    }

    #[test]
    fn a_room_that_only_speaks_begins_its_heartbeat() {
        let start = Instant::now();
        let mut pace = CountPace::default();
        pace.active(start);
        assert!(!pace.take(ms(start, 28_900)));
        assert!(pace.take(ms(start, 30_000)));
    }
}
