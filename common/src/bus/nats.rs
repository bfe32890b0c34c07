//! The bus between processes: NATS core subjects, at most once. Each process has one connection, kept by a thread of its own
//! so that nothing else in the process delays it. Inside the process messages go over a [`LocalBus`] as without a broker; what
//! this process publishes goes to its own listeners at once and is not sent back by the broker.
//!
//! The broker is asked for a subject while somebody here listens to it. Whatever may have been lost (the connection broke, a
//! queue was full, a message was too large) is told to the listeners concerned as [`Message::Missed`](super::Message), and they
//! read the record. Why this is not the usual crate: docs/adr/0013.

mod address;
mod interests;
mod link;
mod metrics;
mod outgoing;
mod protocol;
mod session;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::local::{LocalBus, LocalSubscription};
use super::subject::Subject;
use crate::metrics::Metrics;
pub use address::{BrokerAddress, BrokerServer, Credentials};
use interests::Interests;
use metrics::BusMetrics;
use outgoing::Outgoing;

/// How long a listener waits to be established. A round trip takes a fraction of a millisecond on a private network.
pub const ESTABLISHED_WITHIN: Duration = Duration::from_secs(1);

/// How long the end of a process waits for its last messages to be with the broker.
const FLUSHED_WITHIN: Duration = Duration::from_millis(500);

/// The broker was heard of within this time: then what others publish reaches us, as far as can be known. It is asked more
/// than twice as often.
const CURRENT_FOR: Duration = Duration::from_secs(1);

/// The bus of this process and the broker behind it. Cheap to clone; the connection ends with the last clone and the last
/// subscription.
#[derive(Clone)]
pub struct NatsBus {
    shared: Arc<Shared>,
    _open: Arc<DropGuard>,
}

/// What the handles and the connection's thread share.
struct Shared {
    local: LocalBus,
    prefix: String,
    metrics: BusMetrics,
    state: Mutex<State>,
    /// There is something to be sent.
    work: Notify,
    begun: Instant,
    /// Milliseconds after `begun` at which the broker was heard of last, plus one; 0 while it is away.
    heard: AtomicU64,
}

struct State {
    interests: Interests,
    outgoing: Outgoing,
    /// To be told when the broker has all that was published before.
    flushes: Vec<oneshot::Sender<()>>,
    /// Since when the broker is away, and why.
    away: Option<(Instant, String)>,
}

/// A listener here; the broker is asked for its subject while there is one.
pub struct Interest {
    bus: NatsBus,
    subject: Subject,
}

impl NatsBus {
    /// Connects. The error says what to mend, after `bus.url: `.
    pub(super) async fn open(address: BrokerAddress, prefix: String, metrics: &Metrics) -> Result<NatsBus, String> {
        let shared = Arc::new(Shared {
            local: LocalBus::default(),
            prefix,
            metrics: BusMetrics::new(metrics),
            state: Mutex::new(State {
                interests: Interests::default(),
                outgoing: Outgoing::default(),
                flushes: Vec::new(),
                away: Some((Instant::now(), "not connected yet".into())),
            }),
            work: Notify::new(),
            begun: Instant::now(),
            heard: AtomicU64::new(0),
        });
        let open = CancellationToken::new();
        let bus = NatsBus {
            shared: shared.clone(),
            _open: Arc::new(open.clone().drop_guard()),
        };
        link::begin(shared, address, open).await?;
        Ok(bus)
    }

    pub(super) fn publish(&self, subject: &Subject, bytes: Arc<[u8]>) {
        self.shared.local.publish(subject, &bytes);
        self.shared.metrics.published.inc();
        let name = subject.name(&self.shared.prefix);
        let lost = self.shared.state().outgoing.push(name, bytes);
        if lost > 0 {
            self.shared.metrics.lost_in_queue(lost);
        }
        self.shared.work.notify_one();
    }

    pub(super) fn subscribe(&self, subject: &Subject) -> (LocalSubscription, Interest) {
        let mut state = self.shared.state();
        let established = state.interests.listen(subject);
        // Under the same lock, so that it can't become established between the two.
        let local = self.shared.local.subscribe(subject, established);
        drop(state);
        if !established {
            self.shared.work.notify_one();
        }
        let interest = Interest {
            bus: self.clone(),
            subject: subject.clone(),
        };
        (local, interest)
    }

    pub(super) fn is_current(&self) -> bool {
        match self.shared.heard.load(Ordering::Relaxed) {
            0 => false,
            heard => self.shared.now_ms().saturating_sub(heard) < CURRENT_FOR.as_millis() as u64,
        }
    }

    pub(super) fn state(&self) -> Result<(), String> {
        match &self.shared.state().away {
            None => Ok(()),
            Some((since, reason)) => Err(format!("away for {} s: {reason}", since.elapsed().as_secs())),
        }
    }

    pub(super) async fn flush(&self) {
        let flushed = {
            let mut state = self.shared.state();
            if state.away.is_some() {
                return;
            }
            let (sender, flushed) = oneshot::channel();
            state.flushes.push(sender);
            flushed
        };
        self.shared.work.notify_one();
        // Whoever is late: the others poll.
        drop(tokio::time::timeout(FLUSHED_WITHIN, flushed).await);
    }
}

impl Interest {
    /// The broker is known to be away.
    pub(super) fn is_away(&self) -> bool {
        self.bus.shared.state().away.is_some()
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.bus.shared.state().interests.leave(&self.subject, Instant::now());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// The broker gave a sign of life.
    fn hear(&self) {
        self.heard.store(self.now_ms(), Ordering::Relaxed);
    }
}
