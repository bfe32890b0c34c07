//! The bus wakes and informs; the database is the record. A message may be lost (a full queue, a broker away): every
//! consumer also polls, so a loss costs seconds, never data.
//!
//! Subjects are those of the plan for NATS (`sluice.user.<id>`, `sluice.video.<id>` …); the names come with it.

mod local;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ids::{Id, VideoId};
pub use local::LocalBus;
use local::LocalSubscription;

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Sessions that ended: `messages::SessionsRevoked`.
    SessionsRevoked,
    /// Work for the scheduler became due; empty.
    JobsReady,
    /// The media of some video was hidden, shown or purged: `messages::MediaChanged`.
    MediaChanged,
    /// Events for one user: `messages::UserEvent`.
    User(Id),
    /// Entries of one room.
    Video(VideoId),
}

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The JSON text of one message.
    Data(Arc<[u8]>),
    /// That many messages were lost: read the record.
    Missed(u64),
}

impl Message {
    /// The typed content; `None` for [`Message::Missed`] and for content of another version that can't be read.
    #[must_use]
    pub fn decode<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Message::Data(bytes) => serde_json::from_slice(bytes).ok(),
            Message::Missed(_) => None,
        }
    }
}

/// The bus of this process. Cheap to clone.
#[derive(Clone)]
pub enum Bus {
    /// In-process, for the embedded way to run.
    Local(LocalBus),
}

/// Why `bus.url` can't be used.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a bus: `local:` is the one that is built so far")]
pub struct BusUrlError(String);

impl Bus {
    /// Picks the bus by the scheme of `url`.
    pub fn open(url: &str) -> Result<Bus, BusUrlError> {
        match url {
            "local:" => Ok(Bus::local()),
            other => Err(BusUrlError(other.to_owned())),
        }
    }

    #[must_use]
    pub fn local() -> Bus {
        Bus::Local(LocalBus::default())
    }

    /// Tells whoever listens now. Call it after the commit that made it true.
    pub fn publish<T: Serialize>(&self, subject: &Subject, message: &T) {
        let bytes: Arc<[u8]> = serde_json::to_vec(message).expect("messages are plain data").into();
        match self {
            Bus::Local(bus) => bus.publish(subject, &bytes),
        }
    }

    /// Listens from now on, until it is dropped.
    #[must_use]
    pub fn subscribe(&self, subject: &Subject) -> Subscription {
        match self {
            Bus::Local(bus) => Subscription(bus.subscribe(subject)),
        }
    }
}

/// One listener's queue.
pub struct Subscription(LocalSubscription);

impl Subscription {
    /// The next message; `None` when the bus is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Message> {
        Some(std::future::poll_fn(|cx| self.0.poll_next(cx)).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_message_reaches_the_listeners_of_its_subject_only() {
        let bus = Bus::local();
        let (a, b) = (Subject::User(Id::now()), Subject::User(Id::now()));
        let mut listener = bus.subscribe(&a);
        bus.publish(&b, &"for b");
        bus.publish(&a, &"for a");
        assert_eq!(
            listener.next().await.unwrap().decode::<String>().as_deref(),
            Some("for a")
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_slow_listener_is_told_what_it_missed_and_costs_a_bounded_queue() {
        let bus = Bus::local();
        let mut listener = bus.subscribe(&Subject::JobsReady);
        for n in 0..local::QUEUE_LEN + 10 {
            bus.publish(&Subject::JobsReady, &n);
        }
        assert_eq!(listener.next().await, Some(Message::Missed(10)));
        assert_eq!(listener.next().await.unwrap().decode::<usize>(), Some(10));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn large_messages_count_by_their_bytes() {
        let bus = Bus::local();
        let mut listener = bus.subscribe(&Subject::JobsReady);
        let large = "x".repeat(100_000);
        for _ in 0..20 {
            bus.publish(&Subject::JobsReady, &large);
        }
        assert_eq!(listener.next().await, Some(Message::Missed(10)));
        for _ in 0..10 {
            assert_eq!(listener.next().await.unwrap().decode::<String>().as_ref(), Some(&large));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_listener_that_waits_is_woken_from_another_thread() {
        let bus = Bus::local();
        let mut listener = bus.subscribe(&Subject::JobsReady);
        let publisher = bus.clone();
        let thread = std::thread::spawn(move || {
            for n in 0..500 {
                publisher.publish(&Subject::JobsReady, &n);
                if n % 50 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        for n in 0..500 {
            assert_eq!(listener.next().await.unwrap().decode::<i32>(), Some(n));
        }
        thread.join().unwrap();
    }

    #[test]
    fn subjects_nobody_listens_to_are_forgotten() {
        let Bus::Local(local) = Bus::local();
        let bus = Bus::Local(local.clone());
        drop(bus.subscribe(&Subject::JobsReady));
        assert!(local.is_empty());
        bus.publish(&Subject::JobsReady, &());
        assert!(local.is_empty());
        assert!(Bus::open("nats://somewhere").is_err());
    }
}
