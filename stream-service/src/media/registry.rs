//! The streams that run in this process: so that hiding or purging a video ends them at once.
//!
//! What a cut takes away is the open file (and the permit), not the body: the framework does not ask the body of a viewer who
//! reads nothing for its next piece, so that body could not end by itself, and a descriptor would outlive the purge. The body
//! finds its file gone when it is asked again, and ends with an error. Up to then such a viewer can get what its connection
//! holds already: a piece and the socket's buffers.

use super::{file::StoredFile, relayed::Relayed, remote::Remote};
use crate::limit::conn::Permit;
use common::ids::VideoId;
use foldhash::HashMap;
use futures_util::task::AtomicWaker;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Context,
    time::Duration,
};
use tokio::sync::Notify;

/// Clones share the streams. Their permits bound its size, one is taken before a stream is registered; and the one read of the scrub
/// is in here too, for nobody to see, so that a purge ends it and waits for it.
#[derive(Clone, Default)]
pub struct Streams(Arc<Shared>);

#[derive(Default)]
struct Shared {
    running: Mutex<Table>,
    /// Told whenever the file of a stream is closed.
    ended: Notify,
}

#[derive(Default)]
struct Table {
    next: u64,
    streams: HashMap<u64, Entry>,
}

struct Entry {
    video: VideoId,
    /// The version of the grant that opened it.
    grant: i64,
    slot: Weak<Slot>,
}

/// Where a body has its file, until it ends or is cut.
struct Slot {
    held: Mutex<Held>,
    reader: AtomicWaker,
}

enum Held {
    Nothing,
    Open { file: Arc<OpenFile>, _permit: Permit },
    Cut,
}

/// What a stream reads from.
pub enum Stored {
    File(Arc<StoredFile>),
    Remote(Box<Remote>),
    Relayed(Box<Relayed>),
}

/// The file of a stream, or its object in a bucket. Fields are dropped in their order: the stream is over when its file, or its
/// connection to the store, is closed.
pub struct OpenFile {
    content: Stored,
    _registration: Registration,
}

struct Registration {
    number: u64,
    shared: Arc<Shared>,
}

/// A stream whose file is not open yet. From here on a cut is not missed.
pub struct Ticket {
    slot: Arc<Slot>,
    registration: Registration,
}

/// The hold of a running body on its file.
pub struct Reader(Arc<Slot>);

impl Streams {
    pub fn register(&self, video: &VideoId, grant: i64) -> Ticket {
        let slot = Arc::new(Slot {
            held: Mutex::new(Held::Nothing),
            reader: AtomicWaker::new(),
        });
        let entry = Entry {
            video: video.clone(),
            grant,
            slot: Arc::downgrade(&slot),
        };
        let mut table = self.0.lock();
        let number = table.next;
        table.next += 1;
        table.streams.insert(number, entry);
        drop(table);
        Ticket {
            slot,
            registration: Registration {
                number,
                shared: Arc::clone(&self.0),
            },
        }
    }

    /// Ends the streams of a video.
    pub fn cut(&self, video: &VideoId) {
        self.cut_below(video, i64::MAX);
    }

    /// Ends the streams of a video whose grants have a version below this one.
    pub fn cut_below(&self, video: &VideoId, version: i64) {
        let slots: Vec<Arc<Slot>> = self
            .0
            .lock()
            .streams
            .values()
            .filter(|entry| entry.video == *video && entry.grant < version)
            .filter_map(|entry| entry.slot.upgrade())
            .collect();
        // Not under the lock of the table: closing a file takes that.
        for slot in slots {
            let held = std::mem::replace(&mut *slot.lock(), Held::Cut);
            drop(held);
            slot.reader.wake();
        }
    }

    pub fn runs(&self, video: &VideoId) -> bool {
        self.0.lock().streams.values().any(|entry| entry.video == *video)
    }

    /// The videos that are being sent, each once.
    pub fn videos(&self) -> Vec<VideoId> {
        let mut videos: Vec<VideoId> = self
            .0
            .lock()
            .streams
            .values()
            .map(|entry| entry.video.clone())
            .collect();
        videos.sort_unstable();
        videos.dedup();
        videos
    }

    /// Waits until this process has no file of the video open for reading; `false` when that takes longer than `at_most`.
    pub async fn wait_for_none(&self, video: &VideoId, at_most: Duration) -> bool {
        let none = async {
            loop {
                // Made before looking, so that an end between the look and the wait is not missed.
                let ended = self.0.ended.notified();
                if !self.runs(video) {
                    return;
                }
                ended.await;
            }
        };
        tokio::time::timeout(at_most, none).await.is_ok()
    }
}

impl Ticket {
    /// The video was taken away since.
    pub fn is_cut(&self) -> bool {
        matches!(*self.slot.lock(), Held::Cut)
    }

    /// Gives the stream its file; `None` when it was cut since it was registered.
    pub fn open(self, content: Stored, permit: Permit) -> Option<Reader> {
        let Ticket { slot, registration } = self;
        let file = OpenFile {
            content,
            _registration: registration,
        };
        let mut held = slot.lock();
        if matches!(*held, Held::Cut) {
            return None;
        }
        *held = Held::Open {
            file: Arc::new(file),
            _permit: permit,
        };
        drop(held);
        Some(Reader(slot))
    }
}

impl Reader {
    /// The file, for one read; `None` once the stream is cut. The task of `cx` is woken by a cut.
    pub fn file(&self, cx: &Context<'_>) -> Option<Arc<OpenFile>> {
        self.0.reader.register(cx.waker());
        match &*self.0.lock() {
            Held::Open { file, .. } => Some(Arc::clone(file)),
            Held::Nothing | Held::Cut => None,
        }
    }
}

impl Stored {
    /// Whether the kernel can send it.
    pub fn moves(&self) -> bool {
        matches!(self, Self::File(_) | Self::Relayed(_))
    }
}

/// What a stream that was cut ends with.
pub fn taken_away() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the video was hidden or purged while it was sent",
    )
}

impl OpenFile {
    pub fn content(&self) -> &Stored {
        &self.content
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.lock().streams.remove(&self.number);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{
        client::ClientKey,
        conn::{ConnLimiter, ConnLimits},
    };
    use futures_util::task::noop_waker;

    fn limiter() -> ConnLimiter {
        ConnLimiter::new(ConnLimits {
            total: 9,
            per_client: 9,
        })
    }

    fn stored() -> Stored {
        Stored::File(Arc::new(StoredFile::new(tempfile::tempfile().unwrap(), 0)))
    }

    fn open(streams: &Streams, limiter: &ConnLimiter, video: &VideoId, grant: i64) -> Reader {
        let permit = limiter.try_acquire(ClientKey::V4([192, 0, 2, 1])).unwrap();
        let ticket = streams.register(video, grant);
        ticket.open(stored(), permit).unwrap()
    }

    #[test]
    fn a_cut_takes_the_file_and_the_permit_of_the_streams_it_is_for() {
        let (streams, limiter, waker) = (Streams::default(), limiter(), noop_waker());
        let cx = Context::from_waker(&waker);
        let (a, b) = (VideoId::random(), VideoId::random());
        let old = open(&streams, &limiter, &a, 1);
        let new = open(&streams, &limiter, &a, 2);
        let other = open(&streams, &limiter, &b, 1);
        streams.cut_below(&a, 2);
        assert!(old.file(&cx).is_none() && new.file(&cx).is_some() && other.file(&cx).is_some());
        assert_eq!(limiter.held(), 2);
        streams.cut(&a);
        assert!(new.file(&cx).is_none() && other.file(&cx).is_some());
        assert_eq!((limiter.held(), streams.videos()), (1, vec![b.clone()]));
        drop(other);
        assert!(limiter.held() == 0 && streams.videos().is_empty());
    }

    #[test]
    fn a_cut_between_registration_and_opening_is_not_missed() {
        let (streams, limiter, video) = (Streams::default(), limiter(), VideoId::random());
        let permit = limiter.try_acquire(ClientKey::V4([192, 0, 2, 1])).unwrap();
        let ticket = streams.register(&video, 0);
        streams.cut(&video);
        assert!(streams.runs(&video), "its file may be about to be opened");
        assert!(ticket.open(stored(), permit).is_none());
        assert!(limiter.held() == 0 && !streams.runs(&video));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn waiting_ends_with_the_last_read_of_the_file() {
        let (streams, limiter, video, waker) = (Streams::default(), limiter(), VideoId::random(), noop_waker());
        let reader = open(&streams, &limiter, &video, 0);
        let reading = reader.file(&Context::from_waker(&waker)).unwrap();
        streams.cut(&video);
        assert!(!streams.wait_for_none(&video, Duration::from_millis(1)).await);
        let (none, ()) = tokio::join!(streams.wait_for_none(&video, Duration::from_secs(5)), async {
            drop(reading);
        });
        assert!(none);
    }
}
