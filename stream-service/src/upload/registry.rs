//! The uploads that run in this process: so that a purge or the end of a session can stop them at once, and sweeps know
//! what is alive.

use super::hashes::Hashes;
use crate::store::ObjectKey;
use common::ids::{Id, VideoId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Why an upload is stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    SessionEnded,
    VideoPurged,
    /// A newer request goes on with this upload. No reason against what is whole already.
    TakenOver,
}

/// Clones share the uploads. The permits of uploads bound its size.
#[derive(Clone, Default)]
pub struct Registry {
    shared: Arc<Shared>,
    /// Of uploads that may go on here.
    pub hashes: Hashes,
}

#[derive(Default)]
struct Shared {
    running: Mutex<HashMap<Id, Running>>,
    /// Told whenever an upload ends.
    ended: Notify,
}

struct Running {
    video: VideoId,
    session: Id,
    stop: watch::Sender<Option<Stop>>,
}

/// One running upload; it is over when this is dropped.
pub struct Ticket {
    object: Id,
    stop: watch::Receiver<Option<Stop>>,
    shared: Arc<Shared>,
}

impl Registry {
    pub fn register(&self, key: &ObjectKey, session: &Id) -> Ticket {
        self.insert(&mut self.lock(), key, session)
    }

    fn insert(&self, running: &mut HashMap<Id, Running>, key: &ObjectKey, session: &Id) -> Ticket {
        let (stop, stopped) = watch::channel(None);
        let upload = Running {
            video: key.video.clone(),
            session: session.clone(),
            stop,
        };
        running.insert(key.object.clone(), upload);
        Ticket {
            object: key.object.clone(),
            stop: stopped,
            shared: Arc::clone(&self.shared),
        }
    }

    /// Registers an upload that may be running here: whoever runs it is told to stop, and gets `at_most` to save and end.
    pub async fn take_over(&self, key: &ObjectKey, session: &Id, at_most: Duration) -> Option<Ticket> {
        let free = async {
            loop {
                // Made before looking, so that an end between the look and the wait is not missed.
                let ended = self.shared.ended.notified();
                if let Some(ticket) = self.try_register(key, session) {
                    return ticket;
                }
                ended.await;
            }
        };
        tokio::time::timeout(at_most, free).await.ok()
    }

    /// Looking and registering are one step, so that of many who wait one gets it.
    fn try_register(&self, key: &ObjectKey, session: &Id) -> Option<Ticket> {
        let mut running = self.lock();
        match running.get(&key.object) {
            Some(holder) => {
                holder.stop(Stop::TakenOver);
                None
            }
            None => Some(self.insert(&mut running, key, session)),
        }
    }

    pub fn stop_video(&self, video: &VideoId) {
        self.stop(Stop::VideoPurged, |running| running.video == *video);
    }

    pub fn stop_sessions(&self, sessions: &[Id]) {
        self.stop(Stop::SessionEnded, |running| sessions.contains(&running.session));
    }

    /// Waits until no upload of this video runs here; `false` when that takes longer than `at_most`.
    pub async fn wait_for_none(&self, video: &VideoId, at_most: Duration) -> bool {
        let none = async {
            loop {
                // Made before looking, so that an end between the look and the wait is not missed.
                let ended = self.shared.ended.notified();
                if !self.runs(video) {
                    return;
                }
                ended.await;
            }
        };
        tokio::time::timeout(at_most, none).await.is_ok()
    }

    pub fn runs(&self, video: &VideoId) -> bool {
        self.lock().values().any(|running| running.video == *video)
    }

    pub fn objects(&self) -> Vec<Id> {
        self.lock().keys().cloned().collect()
    }

    /// The sessions that have an upload running, each once.
    pub fn sessions(&self) -> Vec<Id> {
        let mut sessions: Vec<Id> = self.lock().values().map(|running| running.session.clone()).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    fn stop(&self, why: Stop, which: impl Fn(&Running) -> bool) {
        for running in self.lock().values().filter(|running| which(running)) {
            running.stop(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Running>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The first reason stays, unless it was only that somebody else goes on.
    fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = matches!(stop, None | Some(Stop::TakenOver)) && *stop != Some(why);
            if first {
                *stop = Some(why);
            }
            first
        });
    }
}

impl Ticket {
    /// Resolves when somebody stops the upload. Cancel safe.
    pub fn stopped(&self) -> impl Future<Output = Stop> + use<> {
        let mut stop = self.stop.clone();
        async move {
            loop {
                if let Some(why) = *stop.borrow_and_update() {
                    return why;
                }
                if stop.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// The reason to stop, if there is one by now.
    pub fn stop(&self) -> Option<Stop> {
        *self.stop.borrow()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.object);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ObjectKey {
        ObjectKey {
            video: VideoId::random(),
            object: Id::now(),
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_stop_reaches_the_uploads_it_is_for() {
        let registry = Registry::default();
        let (a, b, session) = (key(), key(), Id::now());
        let first = registry.register(&a, &session);
        let second = registry.register(&b, &Id::now());
        registry.stop_sessions(&[session]);
        registry.stop_video(&a.video);
        assert_eq!(first.stopped().await, Stop::SessionEnded);
        assert_eq!(second.stop(), None);
        registry.stop_video(&b.video);
        assert_eq!(second.stopped().await, Stop::VideoPurged);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn waiting_ends_with_the_last_upload_of_the_video() {
        let registry = Registry::default();
        let key = key();
        let ticket = registry.register(&key, &Id::now());
        assert!(!registry.wait_for_none(&key.video, Duration::from_millis(1)).await);
        let (gone, ()) = tokio::join!(registry.wait_for_none(&key.video, Duration::from_secs(5)), async {
            drop(ticket)
        });
        assert!(gone && registry.objects().is_empty());
    }
}
