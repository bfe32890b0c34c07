//! How many of something may go on at once: streams per client and in all, uploads per user and in all.
//!
//! Checked and counted under one lock, and given back by `Drop` alone: whatever ends the work (its last byte, an error, a
//! panic, a viewer who leaves) gives the permit back, and nothing else does.

use super::client::ClientKey;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Most that may go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnLimits {
    pub total: usize,
    pub per_client: usize,
}

/// Counts permits; clones share the count.
#[derive(Clone)]
pub struct ConnLimiter {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    limits: ConnLimits,
    total: usize,
    /// Only clients that hold something are in here, so `limits.total` bounds it.
    held: HashMap<ClientKey, usize>,
}

/// Which maximum was reached, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Client(usize),
    Total(usize),
}

/// One thing going on. Dropping it gives it back.
#[must_use = "dropping a permit gives it back at once"]
pub struct Permit {
    client: ClientKey,
    inner: Arc<Mutex<Inner>>,
}

impl ConnLimiter {
    pub fn new(limits: ConnLimits) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                limits,
                total: 0,
                held: HashMap::new(),
            })),
        }
    }

    /// One atomic try.
    pub fn try_acquire(&self, client: ClientKey) -> Result<Permit, Refused> {
        let mut inner = lock(&self.inner);
        let limits = inner.limits;
        let held = inner.held.get(&client).copied().unwrap_or(0);
        if held >= limits.per_client {
            return Err(Refused::Client(limits.per_client));
        }
        if inner.total >= limits.total {
            return Err(Refused::Total(limits.total));
        }
        inner.total += 1;
        inner.held.insert(client, held + 1);
        Ok(Permit {
            client,
            inner: Arc::clone(&self.inner),
        })
    }

    /// Permits out now.
    pub fn held(&self) -> usize {
        lock(&self.inner).total
    }

    /// Sets other maxima; what is already going on is not cut off.
    pub fn set_limits(&self, limits: ConnLimits) {
        lock(&self.inner).limits = limits;
    }

    #[cfg(test)]
    fn clients(&self) -> usize {
        lock(&self.inner).held.len()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.total = inner.total.saturating_sub(1);
        match inner.held.get_mut(&self.client) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                inner.held.remove(&self.client);
            }
        }
    }
}

/// Counts are changed in single steps that can't panic half-way, so a poisoned lock guards good counts.
fn lock(mutex: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ClientKey = ClientKey::V4([192, 0, 2, 1]);
    const B: ClientKey = ClientKey::V4([192, 0, 2, 2]);
    const C: ClientKey = ClientKey::V4([192, 0, 2, 3]);

    fn limiter() -> ConnLimiter {
        ConnLimiter::new(ConnLimits {
            total: 3,
            per_client: 2,
        })
    }

    #[test]
    fn both_maxima_hold_and_drop_gives_back() {
        let limiter = limiter();
        let first = limiter.try_acquire(A).unwrap();
        let _second = limiter.try_acquire(A).unwrap();
        assert_eq!(limiter.try_acquire(A).err(), Some(Refused::Client(2)));
        let third = limiter.try_acquire(B).unwrap();
        assert_eq!(limiter.try_acquire(C).err(), Some(Refused::Total(3)));
        drop(first);
        let _fourth = limiter.try_acquire(C).unwrap();
        drop(third);
        assert_eq!(limiter.held(), 2);
        assert_eq!(limiter.clients(), 2);
    }

    #[test]
    fn nothing_is_left_when_all_are_gone() {
        let limiter = limiter();
        let permits: Vec<_> = [A, A, B]
            .into_iter()
            .map(|client| limiter.try_acquire(client).unwrap())
            .collect();
        drop(permits);
        assert_eq!((limiter.held(), limiter.clients()), (0, 0));
    }

    #[test]
    fn promise_9_a_panic_gives_its_permit_back() {
        let limiter = limiter();
        let clone = limiter.clone();
        std::thread::spawn(move || {
            let _permit = clone.try_acquire(A).unwrap();
            panic!("on purpose");
        })
        .join()
        .unwrap_err();
        assert_eq!((limiter.held(), limiter.clients()), (0, 0));
    }

    #[test]
    fn check_and_act_are_one_step() {
        let limiter = ConnLimiter::new(ConnLimits {
            total: 1000,
            per_client: 5,
        });
        let most = Arc::new(Mutex::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        if let Ok(_permit) = limiter.try_acquire(A) {
                            let held = limiter.held();
                            let mut most = most.lock().unwrap();
                            *most = held.max(*most);
                        }
                    }
                });
            }
        });
        assert!((1..=5).contains(&*most.lock().unwrap()));
        assert_eq!(limiter.held(), 0);
    }

    #[test]
    fn lower_limits_cut_nobody_off() {
        let limiter = limiter();
        let permits = [limiter.try_acquire(A).unwrap(), limiter.try_acquire(B).unwrap()];
        limiter.set_limits(ConnLimits {
            total: 1,
            per_client: 1,
        });
        assert_eq!(limiter.held(), 2);
        assert!(limiter.try_acquire(C).is_err());
        drop(permits);
        assert!(limiter.try_acquire(C).is_ok());
    }
}
