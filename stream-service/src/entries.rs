//! What playing needs to know of recently played videos, so that a viewer's hundred range requests ask the ledger once.
//!
//! An entry lives one second at the most: that is how long another process may take to notice that a video was hidden when
//! the bus loses the message. In this process, and wherever the message arrives, the entry is dropped at once.

use crate::ledger::Source;
use common::ids::VideoId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Promise 13: effective everywhere within a second.
const LIFE: Duration = Duration::from_millis(900);

/// Videos remembered; an entry has about 300 bytes.
const MAX: usize = 4096;

#[derive(Clone, Default)]
pub struct Entries(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    known: HashMap<VideoId, (Instant, Option<Source>)>,
    /// Grows with every eviction, so that an answer that was asked for before one is not kept after it.
    evictions: u64,
}

/// Given out before the ledger is asked.
#[derive(Clone, Copy)]
pub struct Asked(u64);

impl Entries {
    /// The entry of a video (`Some(None)`: there is nothing to play), if it was asked for less than a second ago.
    pub fn get(&self, video: &VideoId, now: Instant) -> Result<Option<Source>, Asked> {
        let inner = self.lock();
        match inner.known.get(video) {
            Some((since, entry)) if now.saturating_duration_since(*since) < LIFE => Ok(entry.clone()),
            _ => Err(Asked(inner.evictions)),
        }
    }

    /// Keeps what the ledger answered, unless something was evicted meanwhile. `since` is when it was asked.
    pub fn put(&self, video: &VideoId, entry: Option<Source>, asked: Asked, since: Instant) {
        let mut inner = self.lock();
        if inner.evictions != asked.0 {
            return;
        }
        if inner.known.len() >= MAX {
            inner
                .known
                .retain(|_, (then, _)| since.saturating_duration_since(*then) < LIFE);
        }
        if inner.known.len() < MAX {
            inner.known.insert(video.clone(), (since, entry));
        }
    }

    pub fn evict(&self, video: &VideoId) {
        let mut inner = self.lock();
        inner.evictions += 1;
        inner.known.remove(video);
    }

    /// After messages were missed: any of them may have been about anything.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.evictions += 1;
        inner.known.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lives_less_than_a_second() {
        let (entries, video, now) = (Entries::default(), VideoId::random(), Instant::now());
        let Err(asked) = entries.get(&video, now) else {
            panic!("known before it was put")
        };
        entries.put(&video, None, asked, now);
        assert!(matches!(entries.get(&video, now + LIFE / 2), Ok(None)));
        assert!(entries.get(&video, now + LIFE).is_err());
        entries.evict(&video);
        assert!(entries.get(&video, now).is_err());
    }

    #[test]
    fn an_answer_from_before_an_eviction_is_not_kept() {
        let (entries, video, now) = (Entries::default(), VideoId::random(), Instant::now());
        let Err(asked) = entries.get(&video, now) else {
            panic!("known before it was put")
        };
        entries.evict(&video);
        entries.put(&video, None, asked, now);
        assert!(entries.get(&video, now).is_err());
    }

    #[test]
    fn it_is_bounded() {
        let (entries, now) = (Entries::default(), Instant::now());
        for _ in 0..2 * MAX {
            let video = VideoId::random();
            let Err(asked) = entries.get(&video, now) else {
                panic!("known before it was put")
            };
            entries.put(&video, None, asked, now);
        }
        assert_eq!(entries.lock().known.len(), MAX);
        let (late, later) = (VideoId::random(), now + LIFE);
        let Err(asked) = entries.get(&late, later) else {
            panic!("known before it was put")
        };
        entries.put(&late, None, asked, later);
        assert_eq!(entries.lock().known.len(), 1);
    }
}
