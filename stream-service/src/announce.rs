//! Uploads that wait for api-service to have heard of them, so that 201 means that the video plays. It is a courtesy and not
//! a promise: the wait is short, and the outbox delivers the message whatever becomes of the one who waits.

use common::ids::VideoId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Longest wait; a delivery takes a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who waits for which video. As many entries as uploads that end just now. Cheap to clone.
#[derive(Clone, Default)]
pub struct Announcements(Arc<Mutex<HashMap<VideoId, Arc<Notify>>>>);

/// A place in the list; given back when dropped.
pub struct Awaited {
    list: Announcements,
    video: VideoId,
    told: Arc<Notify>,
}

impl Announcements {
    /// To be called before the commit, so that a fast delivery is not missed.
    pub fn expect(&self, video: &VideoId) -> Awaited {
        let told = Arc::new(Notify::new());
        self.lock().insert(video.clone(), told.clone());
        Awaited {
            list: self.clone(),
            video: video.clone(),
            told,
        }
    }

    /// api-service has heard of `video`.
    pub fn told(&self, video: &VideoId) {
        if let Some(waiting) = self.lock().get(video) {
            waiting.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<VideoId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Awaited {
    /// Whether it was told in time.
    pub async fn wait(self) -> bool {
        tokio::time::timeout(PATIENCE, self.told.notified()).await.is_ok()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut list = self.list.lock();
        if list.get(&self.video).is_some_and(|told| Arc::ptr_eq(told, &self.told)) {
            list.remove(&self.video);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_delivery_before_the_wait_counts_and_nothing_stays() {
        let list = Announcements::default();
        let (a, b) = (VideoId::random(), VideoId::random());
        let awaited = list.expect(&a);
        list.told(&b);
        list.told(&a);
        assert!(awaited.wait().await);
        drop(list.expect(&b));
        assert!(list.lock().is_empty());
    }
}
