//! When a room sends. A lone entry goes out at once. Above a threshold entries share a frame: with every subscriber a
//! delivery is a system call, so what is sent together costs once. The first entry after a quiet tick still goes at once;
//! those that follow within the tick wait for its end.

use std::time::{Duration, Instant};

/// Up to this many entries a second each goes out at once: as fast as anybody reads them.
const QUIET_RATE: u32 = 20;

/// From here on nobody can tell 50 ms from 200, and a tick holds a full frame.
const BUSY_RATE: u32 = 200;

/// Below this rate even the longest tick would hold one entry: waiting would win nothing.
const SPARSE_RATE: u32 = 5;

/// Deliveries a second (entries × members) of one room that are half a core at 5 µs each.
const BUSY_DELIVERIES: u64 = 100_000;

/// The usual tick, and that of a very busy room.
pub const TICK: Duration = Duration::from_millis(50);
pub const BUSY_TICK: Duration = Duration::from_millis(200);

/// The last second in tenths.
const SLOTS: usize = 10;
const SLOT: Duration = Duration::from_millis(100);

/// When an entry that was just accepted goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Now,
    At(Instant),
}

#[derive(Debug)]
pub struct Pace {
    /// Entries in each tenth of the last second; `current` began at `since`.
    slots: [u32; SLOTS],
    current: usize,
    since: Option<Instant>,
    flushed: Option<Instant>,
    /// What the entries that wait were promised.
    due: Option<Instant>,
}

impl Pace {
    #[must_use]
    pub fn new() -> Pace {
        Pace {
            slots: [0; SLOTS],
            current: 0,
            since: None,
            flushed: None,
            due: None,
        }
    }

    /// An entry was accepted in a room of `members`.
    pub fn on_entry(&mut self, now: Instant, members: usize) -> When {
        self.advance(now);
        self.slots[self.current] = self.slots[self.current].saturating_add(1);
        let tick = tick(self.rate(), members);
        let free = self
            .flushed
            .map(|flushed| flushed + tick)
            .filter(|free| !tick.is_zero() && *free > now);
        // A tick that became longer breaks no promise given; one that became shorter is to everybody's good.
        match (self.due, free) {
            (_, None) => When::Now,
            (due, Some(free)) => {
                let due = due.map_or(free, |due| due.min(free));
                self.due = Some(due);
                When::At(due)
            }
        }
    }

    /// All that waited was sent.
    pub fn flushed(&mut self, now: Instant) {
        self.flushed = Some(now);
        self.due = None;
    }

    /// Moves the window on to `now`; time that stands still or goes back moves nothing.
    fn advance(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since).as_millis() / SLOT.as_millis();
        let steps = usize::try_from(passed).unwrap_or(usize::MAX);
        for _ in 0..steps.min(SLOTS) {
            self.current = (self.current + 1) % SLOTS;
            self.slots[self.current] = 0;
        }
        if steps >= SLOTS {
            self.since = Some(now);
        } else {
            self.since = Some(since + SLOT * steps as u32);
        }
    }

    fn rate(&self) -> u32 {
        self.slots.iter().fold(0, |sum, slot| sum.saturating_add(*slot))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new()
    }
}

/// The tick of a room with `rate` entries a second; zero: at once.
fn tick(rate: u32, members: usize) -> Duration {
    let deliveries = u64::from(rate).saturating_mul(members as u64);
    if rate <= SPARSE_RATE {
        Duration::ZERO
    } else if rate > BUSY_RATE || deliveries > BUSY_DELIVERIES {
        BUSY_TICK
    } else if rate > QUIET_RATE {
        TICK
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tick_grows_with_rate_and_members() {
        let cases = [
            (1, 1, 0),
            (20, 100, 0),
            (21, 1, 50),
            (200, 100, 50),
            (201, 1, 200),
            (10, 10_000, 0),
            (10, 10_001, 200),
            (100, 1000, 50),
            (100, 1001, 200),
            (5, 10_000_000, 0),
            (6, 10_000_000, 200),
            (u32::MAX, usize::MAX, 200),
        ];
        for (rate, members, expected) in cases {
            assert_eq!(
                tick(rate, members),
                Duration::from_millis(expected),
                "{rate}/s, {members} members"
            );
        }
    }

    /// Entries at these milliseconds; what each got: 0 at once, else the millisecond it goes out. What is due is flushed.
    fn run(times: impl IntoIterator<Item = u64>, members: usize) -> Vec<u64> {
        let start = Instant::now();
        let mut pace = Pace::new();
        let mut due: Option<Instant> = None;
        let mut answers = Vec::new();
        for time in times {
            let now = start + Duration::from_millis(time);
            if let Some(at) = due.take_if(|at| *at <= now) {
                pace.flushed(at);
            }
            match pace.on_entry(now, members) {
                When::Now => {
                    pace.flushed(now);
                    answers.push(0);
                }
                When::At(at) => {
                    assert!(at > now && at <= now + BUSY_TICK);
                    due = Some(at);
                    answers.push((at - start).as_millis() as u64);
                }
            }
        }
        answers
    }

    #[test]
    fn a_lone_entry_goes_at_once() {
        assert_eq!(run([0, 500, 501, 5000], 5000), [0; 4]);
        // Twenty in the same moment too.
        assert_eq!(run([7; 20], 10), [0; 20]);
    }

    #[test]
    fn what_follows_within_a_tick_waits_for_its_end() {
        let mut expected = vec![0; 20];
        expected.extend([50, 50, 50]);
        let mut times = vec![0; 21];
        times.extend([10, 49]);
        assert_eq!(run(times, 10), expected);
        // The one after a quiet tick goes at once, though the room is busy, and opens a new tick.
        let mut times = vec![0; 21];
        times.extend([200, 201, 249, 260]);
        assert_eq!(run(times, 10)[20..], [50, 0, 250, 250, 300]);
    }

    #[test]
    fn a_very_busy_room_ticks_slower_but_keeps_what_it_promised() {
        let answers = run([0; 300], 10);
        assert_eq!(answers[..20], [0; 20]);
        assert_eq!(answers[20..], [50; 280], "promised at the first");
        let mut times = vec![0; 300];
        times.extend([60, 240]);
        assert_eq!(run(times, 10)[300..], [250, 250]);
    }

    #[test]
    fn a_room_is_quiet_again_after_a_second() {
        let mut times = vec![0; 100];
        times.extend([1000, 1001, 1002]);
        assert_eq!(run(times, 10)[100..], [0; 3]);
        let mut times = vec![0; 100];
        times.extend([899, 901]);
        assert_eq!(run(times, 10)[100..], [0, 949], "still within the second");
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        // 10 a second for minutes: never waits. 40 a second: at most one frame per tick.
        assert_eq!(run((0..3000).map(|n| n * 100), 10), vec![0; 3000]);
        let answers = run((0..400).map(|n| n * 25), 10);
        let frames: std::collections::BTreeSet<u64> = (answers.iter().enumerate())
            .map(|(n, at)| if *at == 0 { n as u64 * 25 } else { *at })
            .collect();
        assert!(
            frames
                .iter()
                .zip(frames.iter().skip(1))
                .skip(25)
                .all(|(a, b)| b - a >= 50),
            "{frames:?}"
        );
    }

    #[test]
    fn time_that_goes_back_is_harmless() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut pace = Pace::new();
        assert_eq!(pace.on_entry(start, 1), When::Now);
        pace.flushed(start);
        assert_eq!(pace.on_entry(start - Duration::from_secs(50), 1), When::Now);
    }
}
