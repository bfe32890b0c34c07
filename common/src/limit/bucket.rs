//! A token bucket as one number: the time at which it will be full again (the "virtual scheduling" form of the generic cell
//! rate algorithm). Pure: it is told the time, in nanoseconds of any monotonic clock.

use std::time::Duration;

/// How fast tokens come and how many may lie in store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds per token; at least 1.
    interval: u64,
    /// Tokens a full bucket holds; at least 1.
    burst: u32,
}

impl Quota {
    /// `per_second` and `burst` of 0 are taken as 1: a limit that lets nothing through is an outage, not a limit.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self {
            interval: (1_000_000_000 / u64::from(per_second.max(1))).max(1),
            burst: burst.max(1),
        }
    }

    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How long an empty bucket takes to be full.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(u64::from(self.burst)))
    }
}

/// The state of one client's bucket; a new one is full.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// When every token that was taken will have come back, nanoseconds.
    full_at: u64,
}

/// Tokens left after a successful take, and how long until the bucket is full again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    pub tokens: u32,
    pub until_full: Duration,
}

impl Bucket {
    /// Takes one token at `now`, or says how long to wait for one. A refused take costs nothing.
    pub fn take(&mut self, quota: &Quota, now: u64) -> Result<Remaining, Duration> {
        let window = quota.interval.saturating_mul(u64::from(quota.burst));
        // What was taken when tokens came more slowly is back when an empty bucket of this quota is full. Kept also when this
        // take is refused: who waits as long as it is told gets a token.
        self.full_at = self.full_at.min(now.saturating_add(window));
        let full_at = self.full_at.max(now).saturating_add(quota.interval);
        let missing = full_at - now;
        if missing > window {
            return Err(Duration::from_nanos(missing - window));
        }
        self.full_at = full_at;
        let tokens = (window - missing) / quota.interval;
        Ok(Remaining {
            tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
            until_full: Duration::from_nanos(missing),
        })
    }

    /// How long whoever asks now would have to wait; `None` when there is a token. Takes nothing.
    pub fn wait(&self, quota: &Quota, now: u64) -> Option<Duration> {
        let mut tried = *self;
        tried.take(quota, now).err()
    }

    /// Whether forgetting this bucket would change nothing.
    pub fn is_full(&self, now: u64) -> bool {
        self.full_at <= now
    }

    /// Orders buckets by how little would be lost by forgetting them.
    pub fn full_at(&self) -> u64 {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Ten per second, three in store.
    fn quota() -> Quota {
        Quota::new(10, 3)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_the_rate() {
        let mut bucket = Bucket::default();
        let now = 5_000 * MS;
        let left: Vec<_> = (0..3).map(|_| bucket.take(&quota(), now).unwrap().tokens).collect();
        assert_eq!(left, [2, 1, 0]);
        assert_eq!(bucket.take(&quota(), now), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(&quota(), now + 99 * MS), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(&quota(), now + 100 * MS).unwrap().tokens, 0);
        assert!(bucket.take(&quota(), now + 100 * MS).is_err());
    }

    #[test]
    fn a_refused_take_costs_nothing() {
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            bucket.take(&quota(), 0).unwrap();
        }
        for _ in 0..1000 {
            assert_eq!(bucket.take(&quota(), 50 * MS), Err(Duration::from_millis(50)));
        }
        assert!(bucket.take(&quota(), 100 * MS).is_ok());
    }

    #[test]
    fn it_never_holds_more_than_its_burst() {
        let mut bucket = Bucket::default();
        bucket.take(&quota(), 0).unwrap();
        let later = 3_600_000 * MS;
        assert!(bucket.is_full(later));
        assert_eq!((0..10).filter(|_| bucket.take(&quota(), later).is_ok()).count(), 3);
        assert!(!bucket.is_full(later));
        assert!(bucket.is_full(later + 300 * MS));
    }

    #[test]
    fn a_higher_rate_counts_at_once_for_who_is_limited() {
        let (slow, fast) = (Quota::new(1, 10), Quota::new(50, 10));
        let mut bucket = Bucket::default();
        while bucket.take(&slow, 0).is_ok() {}
        assert_eq!(bucket.wait(&slow, 0), Some(Duration::from_secs(1)));
        assert_eq!(bucket.wait(&fast, 0), Some(Duration::from_millis(20)));
        assert_eq!(bucket.take(&fast, 0), Err(Duration::from_millis(20)));
        assert_eq!(bucket.take(&fast, 20 * MS).unwrap().tokens, 0);
        assert!(bucket.take(&fast, 20 * MS).is_err(), "what was used stays used");
    }

    #[test]
    fn until_full_counts_what_is_missing() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(&quota(), 0).unwrap().until_full, Duration::from_millis(100));
        assert_eq!(bucket.take(&quota(), 0).unwrap().until_full, Duration::from_millis(200));
        assert_eq!(quota().window(), Duration::from_millis(300));
    }

    #[test]
    fn absurd_quotas_and_clocks_do_not_overflow() {
        let mut bucket = Bucket::default();
        let odd = Quota::new(u32::MAX, u32::MAX);
        assert!(bucket.take(&odd, u64::MAX - 1).is_ok());
        let none = Quota::new(0, 0);
        let mut bucket = Bucket::default();
        assert!(bucket.take(&none, 0).is_ok());
        assert_eq!(bucket.take(&none, 0), Err(Duration::from_secs(1)));
    }
}
