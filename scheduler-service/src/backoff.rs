//! How long to wait after a failed attempt.

use std::time::Duration;

/// The first wait: most failures are a restart of the other side.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait. Seven waits of eight attempts make about twelve minutes, longer than any restart or deploy takes.
const LONGEST: Duration = Duration::from_secs(600);
const FACTOR: u32 = 3;

/// The wait after attempt number `attempt` (from 1): 1 s, 3 s, 9 s … 10 min, of which the upper half is random, so that what
/// failed together does not return together. `dice` is random in 0..=1.
#[must_use]
pub fn after(attempt: i64, dice: f64) -> Duration {
    let exponent = u32::try_from(attempt.clamp(1, 16) - 1).unwrap_or(0);
    let whole = FIRST.saturating_mul(FACTOR.saturating_pow(exponent)).min(LONGEST);
    whole / 2 + (whole / 2).mul_f64(dice.clamp(0.0, 1.0))
}

/// The longest wait for a service that is away: when it is back, the job is not late by more.
const LONGEST_AWAY: Duration = Duration::from_secs(30);

/// The wait for a service that is away: half of the time that the job is overdue, from 1 s to 30 s, of which the upper half is
/// random. `dice` is random in 0..=1.
#[must_use]
pub fn while_away(overdue_ms: i64, dice: f64) -> Duration {
    let overdue = Duration::from_millis(u64::try_from(overdue_ms).unwrap_or(0));
    let whole = (overdue / 2).clamp(FIRST, LONGEST_AWAY);
    whole / 2 + (whole / 2).mul_f64(dice.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_a_service_end_at_half_a_minute() {
        let whole = |overdue_ms| while_away(overdue_ms, 1.0).as_secs();
        assert_eq!([-5, 0, 3_000, 20_000, i64::MAX].map(whole), [1, 1, 1, 10, 30]);
        assert_eq!(while_away(i64::MAX, 0.0), LONGEST_AWAY / 2);
    }

    #[test]
    fn waits_grow_from_a_second_to_ten_minutes() {
        let whole: Vec<u64> = (1..=8).map(|attempt| after(attempt, 1.0).as_secs()).collect();
        assert_eq!(whole, [1, 3, 9, 27, 81, 243, 600, 600]);
        for attempt in -1..100 {
            assert_eq!(after(attempt, 0.0) * 2, after(attempt, 1.0));
            assert!(after(attempt, 0.5) <= LONGEST && after(attempt, 0.5) >= FIRST / 2);
        }
    }
}
