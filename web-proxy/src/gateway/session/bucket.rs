//! A token bucket of 16 bytes.

use std::time::{Duration, Instant};

/// Calls that may be made: `rate` come back each second, up to `burst`.
pub struct Bucket {
    /// The moment at which the bucket is full again (generic cell rate algorithm, ITU-T I.371).
    full_at: Instant,
    /// One call, in microseconds.
    cost: u32,
    burst: u32,
}

impl Bucket {
    pub fn full(now: Instant, rate: u32, burst: u32) -> Self {
        Bucket {
            full_at: now,
            cost: 1_000_000 / rate,
            burst,
        }
    }

    /// Takes one; or how long to wait for it.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let cost = Duration::from_micros(self.cost.into());
        let full_at = self.full_at.max(now) + cost;
        let due = full_at.duration_since(now);
        match due.checked_sub(cost * self.burst) {
            Some(over) if !over.is_zero() => Err(over),
            _ => {
                self.full_at = full_at;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start, 20, 40);
        let at = |millis: u64| start + Duration::from_millis(millis);
        assert_eq!((0..100).filter(|_| bucket.take(at(0)).is_ok()).count(), 40);
        assert_eq!(bucket.take(at(0)), Err(Duration::from_millis(50)));
        assert_eq!(bucket.take(at(20)), Err(Duration::from_millis(30)));
        assert_eq!((0..100).filter(|_| bucket.take(at(1000)).is_ok()).count(), 20);
        assert_eq!((0..100).filter(|_| bucket.take(at(60_000)).is_ok()).count(), 40);
    }
}
