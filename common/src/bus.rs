//! The bus wakes and informs; the database is the record. A message may be lost (a full queue, a broker away): every
//! consumer also polls, so a loss costs seconds, never data.
//!
//! Subjects follow NATS naming, so that the same names serve when the bus is NATS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use crate::ids::{Id, VideoId};

/// Messages a slow subscriber may be behind before the oldest are dropped and it is told so. A message is about 300
/// bytes: 1,024 of them are 300 KB at the most, shared by all subscribers of the subject.
const QUEUE_LEN: usize = 1024;

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

impl Subject {
    fn name(&self) -> String {
        match self {
            Subject::SessionsRevoked => "sluice.session.revoked".into(),
            Subject::JobsReady => "sluice.jobs.ready".into(),
            Subject::MediaChanged => "sluice.media.changed".into(),
            Subject::User(id) => format!("sluice.user.{id}"),
            Subject::Video(id) => format!("sluice.video.{id}"),
        }
    }
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

/// Topics of an in-process bus, kept while somebody listens.
#[derive(Clone, Default)]
pub struct LocalBus(Arc<Mutex<Topics>>);

/// By name: where the listeners of a topic get the JSON of each message.
type Topics = HashMap<String, broadcast::Sender<Arc<[u8]>>>;

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
            Bus::Local(bus) => bus.publish(&subject.name(), bytes),
        }
    }

    #[must_use]
    pub fn subscribe(&self, subject: &Subject) -> Subscription {
        match self {
            Bus::Local(bus) => Subscription(bus.subscribe(&subject.name())),
        }
    }
}

impl LocalBus {
    fn publish(&self, subject: &str, bytes: Arc<[u8]>) {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(subject)
            && topic.send(bytes).is_err()
        {
            // Nobody listens any more.
            topics.remove(subject);
        }
    }

    fn subscribe(&self, subject: &str) -> broadcast::Receiver<Arc<[u8]>> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics
            .entry(subject.to_owned())
            .or_insert_with(|| broadcast::Sender::new(QUEUE_LEN))
            .subscribe()
    }
}

/// One listener's queue.
pub struct Subscription(broadcast::Receiver<Arc<[u8]>>);

impl Subscription {
    /// The next message; `None` when the bus is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Message> {
        match self.0.recv().await {
            Ok(bytes) => Some(Message::Data(bytes)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Message::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
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
        for n in 0..QUEUE_LEN + 10 {
            bus.publish(&Subject::JobsReady, &n);
        }
        assert_eq!(listener.next().await, Some(Message::Missed(10)));
        assert_eq!(listener.next().await.unwrap().decode::<usize>(), Some(10));
    }

    #[test]
    fn subjects_nobody_listens_to_are_forgotten() {
        let Bus::Local(local) = Bus::local();
        let bus = Bus::Local(local.clone());
        drop(bus.subscribe(&Subject::JobsReady));
        bus.publish(&Subject::JobsReady, &());
        assert!(local.0.lock().unwrap().is_empty());
        assert!(Bus::open("nats://somewhere").is_err());
    }
}
