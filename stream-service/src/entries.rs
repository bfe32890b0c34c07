//! What playing needs to know of recently played videos, so that a viewer's hundred range requests ask the ledger once and
//! open the file once.
//!
//! An entry lives less than half a second: together with the time until running streams are asked for again that is how long another
//! process may take to notice that a video was hidden when the bus loses the message. In this process, and wherever the message arrives, the entry is dropped at once, with the open
//! file in it. The file is given to registered streams only ([`Entries::file`]), so that a purge, which waits for those,
//! knows when the last descriptor is closed.

mod asking;

use crate::{ledger::Source, media::file::StoredFile};
use actix_web::http::header::HeaderValue;
use asking::Asking;
use common::ids::{Id, VideoId};
use foldhash::HashMap;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Promise 13: effective everywhere within a second, together with the time until streams that began with an entry are asked
/// for again.
pub const LIFE: Duration = Duration::from_millis(400);

/// Videos remembered; an entry has about 500 bytes.
const MAX: usize = 4096;

/// Files held open for them.
const MAX_FILES: usize = 256;

#[derive(Clone, Default)]
pub struct Entries {
    inner: Arc<Mutex<Inner>>,
    /// Who asks the ledger.
    pub knowing: Asking,
    /// Who opens the file, which may take as long as the disk takes.
    pub opening: Asking,
}

/// A video that can be played, with what every answer about it says.
#[derive(Debug)]
pub struct Known {
    pub source: Source,
    /// Strong: the hash of the content.
    pub etag: String,
    /// HTTP dates have whole seconds.
    pub modified: SystemTime,
    pub etag_header: HeaderValue,
    pub modified_header: HeaderValue,
    pub type_header: HeaderValue,
}

#[derive(Default)]
struct Inner {
    known: HashMap<VideoId, Entry>,
    /// Entries with a file.
    files: usize,
    /// Grows with every eviction, so that an answer that was asked for before one is not kept after it.
    evictions: u64,
}

struct Entry {
    since: Instant,
    /// None: there is nothing to play.
    known: Option<Arc<Known>>,
    file: Option<Arc<StoredFile>>,
}

/// Given out before the ledger or the store is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked(u64);

impl Known {
    /// `None` when the ledger holds what can't be a header.
    pub fn new(source: Source) -> Option<Known> {
        let seconds = u64::try_from(source.stored_at.millis() / 1000).unwrap_or(0);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let etag = format!("\"{}\"", source.sha256);
        Some(Known {
            etag_header: HeaderValue::from_str(&etag).ok()?,
            modified_header: HeaderValue::from_str(&httpdate::fmt_http_date(modified)).ok()?,
            type_header: HeaderValue::from_str(&source.mime).ok()?,
            etag,
            modified,
            source,
        })
    }
}

impl Entry {
    fn fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < LIFE
    }
}

impl Entries {
    /// The entry of a video (`Some(None)`: there is nothing to play), if it was asked for a moment ago.
    pub fn get(&self, video: &VideoId, now: Instant) -> Result<Option<Arc<Known>>, Asked> {
        let inner = self.lock();
        match inner.known.get(video) {
            Some(entry) if entry.fresh(now) => Ok(entry.known.clone()),
            _ => Err(Asked(inner.evictions)),
        }
    }

    /// Keeps what the ledger answered, unless something was evicted meanwhile. `since` is when it was asked.
    pub fn put(&self, video: &VideoId, known: Option<Arc<Known>>, asked: Asked, since: Instant) {
        let (known, file) = (known, None);
        let mut inner = self.lock();
        if inner.evictions != asked.0 {
            return;
        }
        let over = (inner.known.len() >= MAX).then(|| inner.expire(since));
        let before = inner.remove(video);
        if inner.known.len() < MAX {
            inner.known.insert(video.clone(), Entry { since, known, file });
        }
        drop(inner);
        // Closing a file may take a while: not under the lock.
        drop((over, before));
    }

    /// The open file of an object. For a stream that is registered: a purge waits for it.
    pub fn file(&self, video: &VideoId, object: &Id) -> Result<Arc<StoredFile>, Asked> {
        let inner = self.lock();
        inner
            .known
            .get(video)
            .filter(|entry| entry.is_about(object))
            .and_then(|entry| entry.file.clone())
            .ok_or(Asked(inner.evictions))
    }

    /// Keeps the file open for as long as its entry lives, unless something was evicted since it was asked for.
    pub fn keep_file(&self, video: &VideoId, object: &Id, file: &Arc<StoredFile>, asked: Asked) {
        let mut inner = self.lock();
        if inner.evictions != asked.0 || inner.files >= MAX_FILES {
            return;
        }
        let Some(entry) = inner.known.get_mut(video).filter(|entry| entry.is_about(object)) else {
            return;
        };
        if entry.file.is_none() {
            entry.file = Some(file.clone());
            inner.files += 1;
        }
    }

    pub fn evict(&self, video: &VideoId) {
        let mut inner = self.lock();
        inner.evictions += 1;
        let evicted = inner.remove(video);
        drop(inner);
        drop(evicted);
    }

    /// After messages were missed: any of them may have been about anything.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.evictions += 1;
        inner.files = 0;
        let all = std::mem::take(&mut inner.known);
        drop(inner);
        drop(all);
    }

    /// Closes the files of videos that nobody has asked for.
    pub fn sweep(&self, now: Instant) {
        let expired = self.lock().expire(now);
        drop(expired);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_about(&self, object: &Id) -> bool {
        self.known.as_ref().is_some_and(|known| known.source.object == *object)
    }
}

impl Inner {
    fn remove(&mut self, video: &VideoId) -> Option<Entry> {
        let entry = self.known.remove(video)?;
        self.files -= usize::from(entry.file.is_some());
        Some(entry)
    }

    fn expire(&mut self, now: Instant) -> Vec<Entry> {
        let expired: Vec<Entry> = self
            .known
            .extract_if(|_, entry| !entry.fresh(now))
            .map(|(_, entry)| entry)
            .collect();
        self.files -= expired.iter().filter(|entry| entry.file.is_some()).count();
        expired
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

    fn known(object: &Id) -> Arc<Known> {
        Arc::new(
            Known::new(Source {
                object: object.clone(),
                size: 1,
                sha256: "ab".into(),
                mime: "video/mp4".into(),
                stored_at: common::time::Timestamp(1_000),
                min_grant: 0,
            })
            .unwrap(),
        )
    }

    /// A video that is known, with an open file. The weak pointer tells when the file is closed.
    fn opened(entries: &Entries, now: Instant) -> (VideoId, Id, std::sync::Weak<StoredFile>) {
        let (video, object) = (VideoId::random(), Id::now());
        let asked = entries.get(&video, now).unwrap_err();
        entries.put(&video, Some(known(&object)), asked, now);
        let asked = entries.file(&video, &object).err().unwrap();
        let file = Arc::new(StoredFile::new(tempfile::tempfile().unwrap(), 1));
        entries.keep_file(&video, &object, &file, asked);
        (video, object, Arc::downgrade(&file))
    }

    #[test]
    fn a_file_is_open_for_as_long_as_its_entry_lives() {
        let (entries, now) = (Entries::default(), Instant::now());
        let (video, object, file) = opened(&entries, now);
        assert!(entries.file(&video, &object).is_ok());
        assert!(entries.file(&video, &Id::now()).is_err(), "another object of the video");
        entries.sweep(now + LIFE / 2);
        assert_eq!(file.strong_count(), 1);
        entries.sweep(now + LIFE);
        assert_eq!((file.strong_count(), entries.lock().files), (0, 0));
        for drop_it in [Entries::evict, |entries: &Entries, _: &VideoId| entries.clear()] {
            let (video, object, file) = opened(&entries, now);
            drop_it(&entries, &video);
            assert!(entries.file(&video, &object).is_err());
            assert_eq!((file.strong_count(), entries.lock().files), (0, 0));
        }
    }

    #[test]
    fn a_file_that_was_opened_before_an_eviction_is_not_kept() {
        let (entries, now) = (Entries::default(), Instant::now());
        let (video, object, _) = opened(&entries, now);
        entries.evict(&video);
        let late = entries.get(&video, now).unwrap_err();
        entries.put(&video, Some(known(&object)), late, now);
        let before = entries.file(&video, &object).err().unwrap();
        entries.evict(&VideoId::random());
        let file = Arc::new(StoredFile::new(tempfile::tempfile().unwrap(), 1));
        entries.keep_file(&video, &object, &file, before);
        assert!(entries.file(&video, &object).is_err());
    }

    #[test]
    fn open_files_are_bounded() {
        let (entries, now) = (Entries::default(), Instant::now());
        let files: Vec<_> = (0..MAX_FILES + 9).map(|_| opened(&entries, now).2).collect();
        assert_eq!(files.iter().filter(|file| file.strong_count() > 0).count(), MAX_FILES);
    }
}
