//! Who is connected: places by user and platform, counted when one is taken and given back when it is dropped, whatever
//! happened in between; and by session, so that a revocation finds its sockets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::ids::Id;
use common::messages::TokenOwner;

use super::ended::Ended;
use super::platform::Platform;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// This user has as many on this platform as may be.
    User { limit: usize },
    /// This process has as many as may be.
    Process,
    /// The session has ended since it was checked.
    Ended,
}

/// The sockets of this process.
pub struct Places {
    max: usize,
    max_per_platform: usize,
    ended: Arc<Ended>,
    next: AtomicU64,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    count: usize,
    by_user: HashMap<(Id, Platform), usize>,
    by_session: HashMap<Id, Vec<Seat>>,
}

/// Where a socket is.
#[derive(Clone)]
struct Seat {
    id: u64,
    shard: usize,
    ended: Arc<AtomicBool>,
}

/// The place of one socket.
pub struct Place {
    places: Arc<Places>,
    seat: Seat,
    user: Id,
    session: Id,
    platform: Platform,
}

impl Places {
    pub fn new(max: usize, max_per_platform: usize, ended: Arc<Ended>) -> Self {
        Places {
            max,
            max_per_platform,
            ended,
            next: AtomicU64::new(1),
            taken: Mutex::default(),
        }
    }

    /// Takes a place on `shard`: one look and one act under one lock.
    pub fn take(self: &Arc<Self>, owner: &TokenOwner, platform: Platform, shard: usize) -> Result<Place, NoPlace> {
        let seat = Seat {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            shard,
            ended: Arc::default(),
        };
        {
            let mut taken = self.lock();
            if taken.count >= self.max {
                return Err(NoPlace::Process);
            }
            let of_user = taken.by_user.entry((owner.user.clone(), platform)).or_insert(0);
            if *of_user >= self.max_per_platform {
                return Err(NoPlace::User {
                    limit: self.max_per_platform,
                });
            }
            *of_user += 1;
            taken.count += 1;
            taken
                .by_session
                .entry(owner.session.clone())
                .or_default()
                .push(seat.clone());
        }
        let place = Place {
            places: self.clone(),
            seat,
            user: owner.user.clone(),
            session: owner.session.clone(),
            platform,
        };
        // After the place is known: a revocation sees the place, or this sees the revocation.
        if self.ended.has(&owner.session) {
            return Err(NoPlace::Ended);
        }
        Ok(place)
    }

    /// Marks the places of `sessions` as ended; answers which sockets those are, `(shard, id)`.
    pub fn end(&self, sessions: &[Id]) -> Vec<(usize, u64)> {
        let taken = self.lock();
        let seats = sessions.iter().filter_map(|session| taken.by_session.get(session));
        seats
            .flatten()
            .map(|seat| {
                seat.ended.store(true, Ordering::Release);
                (seat.shard, seat.id)
            })
            .collect()
    }

    /// The sessions that have sockets.
    pub fn sessions(&self) -> Vec<Id> {
        self.lock().by_session.keys().cloned().collect()
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Names the socket in its shard.
    pub fn id(&self) -> u64 {
        self.seat.id
    }

    /// Whether the session was revoked since the place was taken.
    pub fn has_ended(&self) -> bool {
        self.seat.ended.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.count -= 1;
        let key = (self.user.clone(), self.platform);
        if let Some(count) = taken.by_user.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                taken.by_user.remove(&key);
            }
        }
        if let Some(seats) = taken.by_session.get_mut(&self.session) {
            seats.retain(|seat| seat.id != self.seat.id);
            if seats.is_empty() {
                taken.by_session.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::messages::Role;
    use common::time::Timestamp;

    fn owner() -> TokenOwner {
        TokenOwner {
            user: Id::now(),
            session: Id::now(),
            username: "ann".into(),
            role: Role::User,
            expires_at: Timestamp(i64::MAX),
        }
    }

    fn places(max: usize, per_platform: usize) -> Arc<Places> {
        Arc::new(Places::new(max, per_platform, Arc::default()))
    }

    #[test]
    fn the_limit_is_by_user_and_platform_and_places_come_back() {
        let (places, ann, bob) = (places(100, 2), owner(), owner());
        let first = places.take(&ann, Platform::Web, 0).ok().unwrap();
        let _second = places.take(&ann, Platform::Web, 0).ok().unwrap();
        assert_eq!(
            places.take(&ann, Platform::Web, 0).err(),
            Some(NoPlace::User { limit: 2 })
        );
        let _other = places.take(&ann, Platform::Ios, 0).ok().unwrap();
        let _bobs = places.take(&bob, Platform::Web, 0).ok().unwrap();
        drop(first);
        let _third = places.take(&ann, Platform::Web, 0).ok().unwrap();
        assert_eq!(places.count(), 4);
        assert_eq!(places.sessions().len(), 2);
    }

    #[test]
    fn threads_never_take_more_than_there_is_and_give_all_back() {
        let (places, ann) = (places(1000, 10), owner());
        let most = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let place = places.take(&ann, Platform::Web, 0);
                        most.fetch_max(places.count(), Ordering::Relaxed);
                        drop(place);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
        assert_eq!(places.count(), 0);
        assert!(places.lock().by_user.is_empty() && places.lock().by_session.is_empty());
    }

    #[test]
    fn the_process_has_a_limit_too() {
        let places = places(1, 10);
        let _one = places.take(&owner(), Platform::Web, 0).ok().unwrap();
        assert_eq!(places.take(&owner(), Platform::Web, 0).err(), Some(NoPlace::Process));
    }

    #[test]
    fn a_session_that_ended_has_no_place_whichever_comes_first() {
        let (places, ann) = (places(100, 10), owner());
        let before = places.take(&ann, Platform::Web, 3).ok().unwrap();
        assert!(!before.has_ended());
        assert_eq!(places.end(std::slice::from_ref(&ann.session)), [(3, before.id())]);
        assert!(before.has_ended());
        places.ended.add(std::slice::from_ref(&ann.session));
        assert_eq!(places.take(&ann, Platform::Web, 0).err(), Some(NoPlace::Ended));
        assert_eq!(places.count(), 1, "the refused one gave its place back");
    }
}
