//! A token bucket of 32 bytes.

use std::time::{Duration, Instant};

/// Things that may be done: `rate` come back each second, up to `burst`.
pub struct Bucket {
    /// The moment at which the bucket is full again (generic cell rate algorithm, ITU-T I.371).
    full_at: Instant,
    /// One thing, in nanoseconds.
    cost: u32,
    burst: u32,
}

impl Bucket {
    pub fn full(now: Instant, rate: u32, burst: u32) -> Self {
        Bucket {
            full_at: now,
            cost: 1_000_000_000 / rate,
            burst,
        }
    }

    /// Takes `count`, all or none; or how long to wait for them.
    pub fn take(&mut self, count: u32, now: Instant) -> Result<(), Duration> {
        let cost = |count: u32| Duration::from_nanos(u64::from(self.cost) * u64::from(count));
        let full_at = self.full_at.max(now) + cost(count);
        match full_at.duration_since(now).checked_sub(cost(self.burst)) {
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
        assert_eq!((0..100).filter(|_| bucket.take(1, at(0)).is_ok()).count(), 40);
        assert_eq!(bucket.take(1, at(0)), Err(Duration::from_millis(50)));
        assert_eq!(bucket.take(1, at(20)), Err(Duration::from_millis(30)));
        assert_eq!((0..100).filter(|_| bucket.take(1, at(1000)).is_ok()).count(), 20);
        assert_eq!((0..100).filter(|_| bucket.take(1, at(60_000)).is_ok()).count(), 40);
    }

    #[test]
    fn many_at_once() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start, 2 << 20, 8 << 20);
        assert!(bucket.take(8 << 20, start).is_ok());
        assert!(bucket.take(64 << 10, start).is_err());
        assert!(bucket.take(1 << 20, start + Duration::from_secs(1)).is_ok());
    }
}
