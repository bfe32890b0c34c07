//! Time between the moment a message is handed in and the moment a subscriber has it: the sender writes its clock into the
//! text, so it works for every server alike.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds since this process first asked.
pub fn now() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let elapsed = BEGAN.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).expect("a bench ends within 500 years")
}

/// A text of `length` bytes that bears the time.
pub fn text(length: usize) -> String {
    let mut text = format!("@{}@", now());
    while text.len() < length {
        text.push(if text.len() % 8 == 7 { ' ' } else { 'x' });
    }
    // A text may not end with a space: it would be trimmed.
    text.pop();
    text.push('.');
    text
}

/// The time that `text` bears.
pub fn sent(text: &str) -> Option<u64> {
    text.strip_prefix('@')?.split_once('@')?.0.parse().ok()
}

/// Counts in buckets that are 1/16 of a power of two wide: 6 % exact, and no allocation.
pub struct Histogram {
    buckets: Box<[u64; 1024]>,
    count: u64,
    highest: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Histogram {
            buckets: Box::new([0; 1024]),
            count: 0,
            highest: 0,
        }
    }

    pub fn add(&mut self, nanoseconds: u64) {
        self.buckets[Self::bucket(nanoseconds)] += 1;
        self.count += 1;
        self.highest = self.highest.max(nanoseconds);
    }

    fn bucket(value: u64) -> usize {
        let power = value.max(16).ilog2();
        let within = (value.max(16) >> (power - 4)) & 15;
        usize::try_from(u64::from(power) * 16 + within).expect("at most 64 × 16")
    }

    /// The upper end of the bucket in which `share` of the counts are reached.
    pub fn p(&self, share: f64) -> Duration {
        let mut left = share * self.count as f64;
        for (at, count) in self.buckets.iter().enumerate() {
            left -= *count as f64;
            if left <= 0.0 {
                let (power, within) = (at as u64 / 16, at as u64 % 16);
                return Duration::from_nanos(((16 + within + 1) << power.max(4)) >> 4);
            }
        }
        Duration::ZERO
    }

    pub fn highest(&self) -> Duration {
        Duration::from_nanos(self.highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_found_within_a_bucket() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|n| histogram.add(n * 1000));
        let median = histogram.p(0.5).as_nanos();
        assert!((500_000..540_000).contains(&median), "{median}");
        assert_eq!(histogram.highest().as_nanos(), 1_000_000);
    }

    #[test]
    fn a_text_bears_its_time() {
        let text = text(200);
        assert_eq!(text.len(), 200);
        assert!(sent(&text).is_some_and(|sent| sent <= now()));
    }
}
