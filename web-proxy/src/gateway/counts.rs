//! How many are in each room: over all threads of this process, and in the other gateways as they tell it (see `gossip`).

mod others;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::ids::VideoId;
use common::messages::RoomCounts;

use others::Others;

#[derive(Default)]
pub struct Counts(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    rooms: HashMap<VideoId, Arc<RoomCount>>,
    others: Others,
}

/// The count of one room.
#[derive(Debug, Default)]
pub struct RoomCount {
    here: AtomicUsize,
    elsewhere: AtomicUsize,
}

impl RoomCount {
    /// Of all gateways.
    pub fn total(&self) -> usize {
        self.here.load(Ordering::Relaxed) + self.elsewhere.load(Ordering::Relaxed)
    }

    /// One more here; the total.
    pub fn join(&self) -> usize {
        self.here.fetch_add(1, Ordering::Relaxed) + 1 + self.elsewhere.load(Ordering::Relaxed)
    }

    /// So many less here; the total.
    pub fn leave(&self, members: usize) -> usize {
        self.here.fetch_sub(members, Ordering::Relaxed) - members + self.elsewhere.load(Ordering::Relaxed)
    }
}

impl Counts {
    /// The count of `room`, kept while somebody holds it.
    pub fn of(&self, room: &VideoId) -> Arc<RoomCount> {
        let Inner { rooms, others } = &mut *self.lock();
        let new = || {
            let count = RoomCount::default();
            count.elsewhere.store(others.count(room), Ordering::Relaxed);
            Arc::new(count)
        };
        rooms.entry(room.clone()).or_insert_with(new).clone()
    }

    /// Drops those of rooms that no thread has any more; called now and then.
    pub fn sweep(&self) {
        self.lock().rooms.retain(|_, count| Arc::strong_count(count) > 1);
    }

    /// Rooms that somebody is in here, with their counts.
    pub fn here(&self) -> HashMap<VideoId, usize> {
        let inner = self.lock();
        let counts = inner.rooms.iter();
        counts
            .map(|(room, count)| (room.clone(), count.here.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Another gateway told its counts.
    pub fn told(&self, told: &RoomCounts, now: Instant) {
        self.lock().change(|others| others.told(told, now));
    }

    /// Forgets gateways that tell nothing any more.
    pub fn forget_silent(&self, now: Instant) {
        self.lock().change(|others| others.forget_silent(now));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Changes what is known of the others; the rooms concerned follow.
    fn change(&mut self, change: impl FnOnce(&mut Others) -> Vec<VideoId>) {
        for room in change(&mut self.others) {
            if let Some(count) = self.rooms.get(&room) {
                count.elsewhere.store(self.others.count(&room), Ordering::Relaxed);
            }
        }
    }
}
