//! Choices that a seed repeats, and bytes without a period.
#![allow(clippy::unwrap_used, reason = "a failure is the test's")]

use std::time::{SystemTime, UNIX_EPOCH};

/// Repeats the choices of a run that has printed it.
const SEED: &str = "SLUICE_TEST_SEED";

/// A small generator: SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
pub struct Random(u64);

impl Random {
    /// From `SLUICE_TEST_SEED`, or the clock; says which.
    #[must_use]
    pub fn from_clock() -> Self {
        let given = std::env::var(SEED).ok().map(|seed| seed.parse().unwrap());
        let seed: u64 = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        });
        println!("{SEED}={seed}");
        Self(seed)
    }

    /// The same in every run.
    #[must_use]
    pub fn fixed(seed: u64) -> Self {
        Self(seed)
    }

    /// Another one, which goes its own way.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// Bytes `start..end`, at most `most`, of something that has `size`.
    pub fn range(&mut self, size: usize, most: usize) -> (usize, usize) {
        let start = self.below(size);
        (start, start + 1 + self.below(most.min(size - start)))
    }
}

/// Bytes without a period, other ones for each seed: what is stored or sent in the wrong place, or twice, differs from what belongs
/// there, also when it is off by a buffer, a part, or what is saved at once.
#[must_use]
pub fn noise(length: usize, seed: u8) -> Vec<u8> {
    Random(u64::from(seed) << 56).bytes(length)
}
