//! How many are in each room, over all threads.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use common::ids::VideoId;

#[derive(Default)]
pub struct Counts(Mutex<HashMap<VideoId, Arc<AtomicUsize>>>);

impl Counts {
    /// The count of `room`, kept while somebody holds it.
    pub fn of(&self, room: &VideoId) -> Arc<AtomicUsize> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(room.clone()).or_default().clone()
    }

    /// Drops those of rooms that no thread has any more; called now and then.
    pub fn sweep(&self) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| Arc::strong_count(count) > 1);
    }
}
