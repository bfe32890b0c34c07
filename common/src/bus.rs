//! The bus wakes and informs; the database is the record. A message may be lost (a full queue, a broker away): every
//! consumer also polls, so a loss costs seconds, never data.
//!
//! Within a process messages go from hand to hand ([`LocalBus`]); with `bus.url = "nats://…"` they also go to every other
//! process that listens to their subject ([`NatsBus`]). Who listens is told when something was lost, or may have been.

mod local;
pub mod nats;
mod subject;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{BusConfig, ConfigError};
use crate::metrics::Metrics;
pub use local::LocalBus;
use local::LocalSubscription;
pub use nats::NatsBus;
use nats::{BrokerAddress, Interest};
pub use subject::Subject;

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The JSON text of one message.
    Data(Arc<[u8]>),
    /// So many messages were lost: read the record. 0: nobody knows how many, perhaps none (the broker was away).
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
    /// To the other processes too.
    Nats(NatsBus),
}

/// What `bus.url` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusAddress {
    Local,
    Nats(BrokerAddress),
}

impl BusAddress {
    /// Checks the whole section `bus`, without asking anybody.
    pub fn of(config: &BusConfig) -> Result<BusAddress, ConfigError> {
        match config.url.expose() {
            "" | "local:" => Ok(BusAddress::Local),
            _ => BrokerAddress::of(config).map(BusAddress::Nats),
        }
    }
}

impl Bus {
    /// Picks the bus by the scheme of `bus.url`. A broker must let us in: one that refuses is an error at once, one that can't be
    /// reached after ten seconds (in compose it may come up beside us).
    pub async fn open(config: &BusConfig, metrics: &Metrics) -> Result<Bus, ConfigError> {
        match BusAddress::of(config)? {
            BusAddress::Local => Ok(Bus::local()),
            BusAddress::Nats(address) => NatsBus::open(address, config.prefix.clone(), metrics)
                .await
                .map(Bus::Nats)
                .map_err(|problem| ConfigError::new("bus.url", problem)),
        }
    }

    #[must_use]
    pub fn local() -> Bus {
        Bus::Local(LocalBus::default())
    }

    /// Tells whoever listens now. Call it after the commit that made it true. Never waits: what finds no room on its way to
    /// other processes is lost, and counted.
    pub fn publish<T: Serialize>(&self, subject: &Subject, message: &T) {
        let bytes: Arc<[u8]> = serde_json::to_vec(message).expect("messages are plain data").into();
        match self {
            Bus::Local(bus) => bus.publish(subject, &bytes),
            Bus::Nats(bus) => bus.publish(subject, bytes),
        }
    }

    /// Listens, until it is dropped: to this process from now on, to the others once it is
    /// [established](Subscription::established).
    #[must_use]
    pub fn subscribe(&self, subject: &Subject) -> Subscription {
        let (local, interest) = match self {
            Bus::Local(bus) => (bus.subscribe(subject, true), None),
            Bus::Nats(bus) => {
                let (local, interest) = bus.subscribe(subject);
                (local, Some(interest))
            }
        };
        Subscription { local, interest }
    }

    /// Whether there may be other processes on this bus.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Bus::Nats(_))
    }

    /// Whether what other processes say reaches this one, as far as can be known: heard of the broker within the last second.
    /// Always so without one.
    #[must_use]
    pub fn is_current(&self) -> bool {
        match self {
            Bus::Local(_) => true,
            Bus::Nats(bus) => bus.is_current(),
        }
    }

    /// For `/readyz?verbose`: what is wrong with the connection to the broker; `None` when there is no broker to connect to.
    #[must_use]
    pub fn state(&self) -> Option<Result<(), String>> {
        match self {
            Bus::Local(_) => None,
            Bus::Nats(bus) => Some(bus.state()),
        }
    }

    /// Waits until the broker has what was published so far, at most half a second: for the end of a process.
    pub async fn flush(&self) {
        if let Bus::Nats(bus) = self {
            bus.flush().await;
        }
    }
}

/// One listener's queue.
pub struct Subscription {
    local: LocalSubscription,
    /// Keeps the broker sending.
    interest: Option<Interest>,
}

impl Subscription {
    /// The next message; `None` when the bus is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Message> {
        Some(std::future::poll_fn(|cx| self.local.poll_next(cx)).await)
    }

    /// Waits until what other processes publish from now on arrives here, at most a second: then read the record, and nothing
    /// is missed between the two. Who doesn't wait, or waited in vain, gets a [`Message::Missed`] when it is so. Takes no time
    /// without a broker.
    pub async fn established(&mut self) {
        if self.interest.as_ref().is_some_and(Interest::is_away) {
            // It would be in vain: a Missed comes when it is back.
            return;
        }
        let awaiting = Awaiting(&mut self.local);
        let established = std::future::poll_fn(|cx| awaiting.0.poll_established(cx));
        // In vain: then a Missed comes once it is so.
        drop(tokio::time::timeout(nats::ESTABLISHED_WITHIN, established).await);
    }
}

/// Who no longer waits may read the record too early, also when it was dropped while it waited.
struct Awaiting<'a>(&'a mut LocalSubscription);

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

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
        let local = LocalBus::default();
        let bus = Bus::Local(local.clone());
        drop(bus.subscribe(&Subject::JobsReady));
        assert!(local.is_empty());
        bus.publish(&Subject::JobsReady, &());
        assert!(local.is_empty());
    }
}
