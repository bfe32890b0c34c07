//! How many requests may be repeated: a fifth of them. When everything behind is sick, repeating what fails would bring
//! twice the load to it; one copy of several that died is within the budget.

use std::sync::atomic::{AtomicU32, Ordering};

/// Requests that earn one repetition.
const REQUESTS_EACH: u32 = 5;

/// Repetitions that can be saved up. A copy that dies takes with it what it was answering, some hundred requests.
const MOST: u32 = 500;

#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Budget(AtomicU32::new(MOST * REQUESTS_EACH))
    }
}

impl Budget {
    pub fn earn(&self) {
        // Mostly full: then nothing is written, which others would have to read again.
        if self.0.load(Ordering::Relaxed) < MOST * REQUESTS_EACH {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn spend(&self) -> bool {
        let taken = |saved: u32| saved.checked_sub(REQUESTS_EACH);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_repeated() {
        let budget = Budget::default();
        let all = |budget: &Budget| (0..).take_while(|_| budget.spend()).count();
        assert_eq!(all(&budget), MOST as usize);
        for _ in 0..100 {
            budget.earn();
        }
        assert_eq!(all(&budget), 20);
        for _ in 0..100_000 {
            budget.earn();
        }
        assert_eq!(all(&budget), MOST as usize, "no more is saved up");
    }
}
