//! Token buckets for all clients in bounded memory.
//!
//! The table is cut into shards, each under its own lock and with its own maximum. When a shard is full, buckets that are
//! full again are dropped (which changes nothing for anybody); if that is not enough, the fullest of the rest go. A flood of
//! addresses therefore neither grows memory nor washes out the bucket of a client that is being limited: that one is the
//! emptiest and the last to go.

use super::bucket::{Bucket, Quota, Remaining};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Locks to spread over; more than the workers of any machine we expect.
const SHARDS: usize = 16;

/// When nobody's bucket is full, this part of a shard is dropped at once, so that a flood pays for a sweep only once in a while.
const EVICT_DIVISOR: usize = 16;

/// The buckets of everybody whom a limit counts, each under its key.
pub struct RateLimiter<K> {
    shards: Vec<Mutex<HashMap<K, Bucket>>>,
    hasher: RandomState,
    quota: RwLock<Quota>,
    started: Instant,
    max_per_shard: usize,
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// Remembers about `max_clients` (spread over the shards); 100,000 are some 6 MB.
    pub fn new(quota: Quota, max_clients: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            quota: RwLock::new(quota),
            started: Instant::now(),
            max_per_shard: max_clients.div_ceil(SHARDS),
        }
    }

    /// Takes one token of this client at `now`, or says how long to wait.
    pub fn take(&self, client: K, now: Instant) -> Result<Remaining, Duration> {
        let quota = self.quota();
        let now = self.nanos(now);
        let mut shard = self.shard(&client);
        if let Some(bucket) = shard.get_mut(&client) {
            return bucket.take(&quota, now);
        }
        if shard.len() >= self.max_per_shard {
            make_room(&mut shard, now, self.max_per_shard);
        }
        shard.entry(client).or_default().take(&quota, now)
    }

    pub fn quota(&self) -> Quota {
        *self.quota.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from now on with another quota; what clients have already used stays used.
    pub fn set_quota(&self, quota: Quota) {
        *self.quota.write().unwrap_or_else(PoisonError::into_inner) = quota;
    }

    /// Clients that would be refused now, and how long each would have to wait; at most so many, the longest wait first. Each
    /// shard is locked for as long as it is looked through.
    pub fn empty(&self, now: Instant, at_most: usize) -> Vec<(K, Duration)>
    where
        K: Clone,
    {
        let (quota, now) = (self.quota(), self.nanos(now));
        let mut empty = Vec::new();
        for shard in &self.shards {
            let waiting = |(client, bucket): (&K, &Bucket)| Some((client.clone(), bucket.wait(&quota, now)?));
            empty.extend(lock(shard).iter().filter_map(waiting));
            // Not only at the end, so that a flood of clients costs little memory.
            empty.sort_unstable_by_key(|(_, wait)| std::cmp::Reverse(*wait));
            empty.truncate(at_most);
        }
        empty
    }

    /// Clients remembered now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX)
    }

    fn shard(&self, client: &K) -> MutexGuard<'_, HashMap<K, Bucket>> {
        // The random hasher keeps an attacker from aiming at one shard.
        let index = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).unwrap_or(0);
        lock(&self.shards[index])
    }
}

/// A panic while a shard was locked leaves a table of plain numbers: still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make_room<K: Hash + Eq>(shard: &mut HashMap<K, Bucket>, now: u64, max: usize) {
    shard.retain(|_, bucket| !bucket.is_full(now));
    if shard.len() < max {
        return;
    }
    let evicted = (max / EVICT_DIVISOR).max(1);
    let mut times: Vec<u64> = shard.values().map(Bucket::full_at).collect();
    let (_, &mut limit, _) = times.select_nth_unstable(evicted - 1);
    let mut left = evicted;
    shard.retain(|_, bucket| {
        let evict = left > 0 && bucket.full_at() <= limit;
        left -= usize::from(evict);
        !evict
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u128) -> u128 {
        number
    }

    #[test]
    fn clients_do_not_share() {
        let limiter = RateLimiter::new(Quota::new(1, 2), 1000);
        let now = Instant::now();
        assert_eq!(limiter.take(user(1), now).unwrap().tokens, 1);
        assert_eq!(limiter.take(user(1), now).unwrap().tokens, 0);
        assert!(limiter.take(user(1), now).is_err());
        assert!(limiter.take(user(2), now).is_ok());
        assert!(limiter.take(user(1), now + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn a_flood_neither_grows_the_table_nor_frees_a_limited_client() {
        let limiter = RateLimiter::new(Quota::new(1, 10), 64 * SHARDS);
        let now = Instant::now();
        let greedy = user(u128::MAX);
        while limiter.take(greedy, now).is_ok() {}
        for number in 0..200_000 {
            limiter.take(user(number), now).unwrap();
            assert!(number % 5_000 != 0 || limiter.len() <= 64 * SHARDS);
        }
        assert!(limiter.len() <= 64 * SHARDS);
        assert!(limiter.take(greedy, now).is_err(), "the flood reset a limited client");
    }

    #[test]
    fn full_buckets_go_first() {
        let limiter = RateLimiter::new(Quota::new(10, 10), 64 * SHARDS);
        let start = Instant::now();
        for number in 0..1_000 {
            limiter.take(user(number), start).unwrap();
        }
        let later = start + Duration::from_secs(5);
        for number in 1_000..1_000 + 64 {
            limiter.take(user(number), later).unwrap();
        }
        for number in 1_000..1_000 + 64 {
            assert_eq!(
                limiter.take(user(number), later).unwrap().tokens,
                8,
                "user {number} was forgotten"
            );
        }
    }

    #[test]
    fn the_quota_can_be_set_while_running() {
        let limiter = RateLimiter::new(Quota::new(1, 1), 1000);
        let now = Instant::now();
        limiter.take(user(1), now).unwrap();
        assert!(limiter.take(user(1), now).is_err());
        limiter.set_quota(Quota::new(1, 5));
        assert!(limiter.take(user(1), now).is_ok());
        assert_eq!(limiter.quota().burst(), 5);
    }

    #[test]
    fn the_empty_buckets_are_found_the_emptiest_first() {
        let limiter = RateLimiter::new(Quota::new(1, 2), 1000);
        let now = Instant::now();
        for number in 0..20 {
            limiter.take(user(number), now).unwrap();
        }
        for _ in 0..2 {
            limiter.take(user(100), now).unwrap();
            limiter.take(user(101), now + Duration::from_millis(500)).unwrap();
        }
        let at = now + Duration::from_millis(600);
        let empty = limiter.empty(at, 10);
        assert_eq!(empty.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [101, 100]);
        assert_eq!(empty[1].1, Duration::from_millis(400));
        assert_eq!(limiter.empty(at, 1).len(), 1);
        assert!(limiter.empty(now + Duration::from_secs(9), 10).is_empty());
    }

    #[test]
    fn two_threads_never_get_more_than_the_burst() {
        let limiter = RateLimiter::new(Quota::new(1, 1000), 1000);
        let now = Instant::now();
        let taken: usize = std::thread::scope(|scope| {
            let run = || (0..1000).filter(|_| limiter.take(user(1), now).is_ok()).count();
            let threads = [scope.spawn(run), scope.spawn(run)];
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
