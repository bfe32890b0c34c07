//! How many of something may go on at once: streams per client and in all, uploads per user and in all; and who holds them.
//!
//! Checked and counted under one lock, and given back by `Drop` alone: whatever ends the work (its last byte, an error, a
//! panic, a viewer who leaves) gives the permit back, and nothing else does. What operators see is the same table that counts.

use super::client::ClientKey;
use common::{
    ids::VideoId,
    operation::{self, OperationId},
    time::Timestamp,
};
use foldhash::{HashMap, HashMapExt};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
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
    /// Only clients that hold something are in here, so `limits.total` bounds it.
    held: HashMap<ClientKey, usize>,
    /// One for each permit that is out.
    holders: HashMap<u64, Holder>,
    next: u64,
}

/// Who holds a permit, and what for.
#[derive(Clone, Debug)]
pub struct Holder {
    pub client: ClientKey,
    pub video: Option<VideoId>,
    pub since: Timestamp,
    /// Of the request that got it.
    pub operation: Option<OperationId>,
    /// Bytes sent or received so far.
    moved: Arc<AtomicU64>,
}

/// Which maximum was reached, how many there are already, and what the maximum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub whose: Whose,
    pub held: usize,
    pub most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Client,
    Everybodys,
}

/// One thing going on. Dropping it gives it back.
#[must_use = "dropping a permit gives it back at once"]
pub struct Permit {
    number: u64,
    /// More that this client may have.
    left: usize,
    moved: Arc<AtomicU64>,
    inner: Arc<Mutex<Inner>>,
}

impl ConnLimiter {
    pub fn new(limits: ConnLimits) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                limits,
                held: HashMap::new(),
                holders: HashMap::new(),
                next: 1,
            })),
        }
    }

    /// [`ConnLimiter::try_acquire_for`] something that is no video's.
    pub fn try_acquire(&self, client: ClientKey) -> Result<Permit, Refused> {
        self.acquire(client, None)
    }

    /// One atomic try. The request that asks (its operation) is shown to operators as the holder.
    pub fn try_acquire_for(&self, client: ClientKey, video: &VideoId) -> Result<Permit, Refused> {
        self.acquire(client, Some(video))
    }

    fn acquire(&self, client: ClientKey, video: Option<&VideoId>) -> Result<Permit, Refused> {
        let mut inner = lock(&self.inner);
        let held = inner.admits(client)?;
        let moved = Arc::new(AtomicU64::new(0));
        let holder = Holder {
            client,
            video: video.cloned(),
            since: Timestamp::now(),
            operation: operation::current(),
            moved: Arc::clone(&moved),
        };
        let number = inner.next;
        inner.next += 1;
        inner.holders.insert(number, holder);
        inner.held.insert(client, held + 1);
        Ok(Permit {
            number,
            left: inner.limits.per_client - held - 1,
            moved,
            inner: Arc::clone(&self.inner),
        })
    }

    /// Permits out now.
    pub fn held(&self) -> usize {
        lock(&self.inner).holders.len()
    }

    pub fn limits(&self) -> ConnLimits {
        lock(&self.inner).limits
    }

    /// Sets other maxima; what is already going on is not cut off.
    pub fn set_limits(&self, limits: ConnLimits) {
        lock(&self.inner).limits = limits;
    }

    /// Everybody who holds something, longest first.
    pub fn holders(&self) -> Vec<Holder> {
        let mut holders: Vec<(u64, Holder)> = lock(&self.inner)
            .holders
            .iter()
            .map(|(number, holder)| (*number, holder.clone()))
            .collect();
        holders.sort_unstable_by_key(|(number, _)| *number);
        holders.into_iter().map(|(_, holder)| holder).collect()
    }

    #[cfg(test)]
    fn clients(&self) -> usize {
        lock(&self.inner).held.len()
    }
}

impl Inner {
    /// What this client holds by now, if it may have one more.
    fn admits(&self, client: ClientKey) -> Result<usize, Refused> {
        let held = self.held.get(&client).copied().unwrap_or(0);
        let refused = |whose, held, most| Err(Refused { whose, held, most });
        if held >= self.limits.per_client {
            return refused(Whose::Client, held, self.limits.per_client);
        }
        if self.holders.len() >= self.limits.total {
            return refused(Whose::Everybodys, self.holders.len(), self.limits.total);
        }
        Ok(held)
    }
}

impl Holder {
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Unique among the permits of its limiter; never 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many more this client may have.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Counts what operators see as sent or received.
    pub fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.moved)
    }

    /// Has operators see this count, which somebody else keeps.
    pub fn counted_by(&mut self, moved: Arc<AtomicU64>) {
        if let Some(holder) = lock(&self.inner).holders.get_mut(&self.number) {
            holder.moved = Arc::clone(&moved);
        }
        self.moved = moved;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        let Some(holder) = inner.holders.remove(&self.number) else {
            return;
        };
        match inner.held.get_mut(&holder.client) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                inner.held.remove(&holder.client);
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
        assert_eq!(first.left(), 1);
        let refused = |whose, held, most| Some(Refused { whose, held, most });
        assert_eq!(limiter.try_acquire(A).err(), refused(Whose::Client, 2, 2));
        let third = limiter.try_acquire(B).unwrap();
        assert_eq!(limiter.try_acquire(C).err(), refused(Whose::Everybodys, 3, 3));
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

    #[test]
    fn operators_see_who_holds_what_and_nothing_that_was_given_back() {
        let (limiter, video) = (limiter(), VideoId::random());
        let operation = OperationId::mint();
        let mut permit = operation::scope_sync(operation.clone(), || limiter.try_acquire_for(A, &video).unwrap());
        permit.counter().fetch_add(7, Ordering::Relaxed);
        let other = limiter.try_acquire(B).unwrap();
        let seen = limiter.holders();
        assert_eq!(seen.iter().map(|holder| holder.client).collect::<Vec<_>>(), [A, B]);
        assert_eq!((seen[0].video.as_ref(), seen[0].moved()), (Some(&video), 7));
        assert_eq!(seen[0].operation, Some(operation));
        permit.counted_by(Arc::new(AtomicU64::new(11)));
        assert_eq!(limiter.holders()[0].moved(), 11);
        drop((permit, other));
        assert!(limiter.holders().is_empty());
    }
}
