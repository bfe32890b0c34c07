//! The in-process bus: a queue per listener, which holds nothing while nothing waits. There may be a listener for every
//! user who is online, so an idle one must cost a few hundred bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Message, Subject};

/// Messages a slow listener may be behind before the oldest are dropped and it is told so.
pub(super) const QUEUE_LEN: usize = 1024;

/// And their bytes. Most messages have 300; a long comment has 9,000.
pub(super) const QUEUE_BYTES: usize = 1024 * 1024;

/// Listeners by subject, kept while there are any.
#[derive(Clone, Default)]
pub struct LocalBus(Arc<Mutex<Topics>>);

type Topics = HashMap<Subject, Vec<Arc<Queue>>>;

#[derive(Default)]
struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// Lost since it was told last; 0: some may be.
    missed: Option<u64>,
    standing: Standing,
    listener: Option<Waker>,
}

/// Whether other processes are heard.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Established,
    /// Not yet. `awaited`: the listener reads nothing before, so it misses nothing.
    Coming { awaited: bool },
}

impl LocalBus {
    pub(super) fn publish(&self, subject: &Subject, bytes: &Arc<[u8]>) {
        if let Some(queues) = self.lock().get(subject) {
            queues.iter().for_each(|queue| queue.push(bytes.clone()));
        }
    }

    /// `established`: nobody else is to be heard, or they are already.
    pub(super) fn subscribe(&self, subject: &Subject, established: bool) -> LocalSubscription {
        let queue: Arc<Queue> = Arc::default();
        if !established {
            queue.lock().standing = Standing::Coming { awaited: false };
        }
        self.lock().entry(subject.clone()).or_default().push(queue.clone());
        LocalSubscription {
            bus: self.clone(),
            subject: subject.clone(),
            queue,
        }
    }

    /// Other processes are heard on `subject` from now on.
    pub(super) fn established(&self, subject: &Subject) {
        if let Some(queues) = self.lock().get(subject) {
            queues.iter().for_each(|queue| queue.establish(false));
        }
    }

    /// What other processes said on `subject` is lost: so many messages.
    pub(super) fn missed(&self, subject: &Subject, count: u64) {
        if let Some(queues) = self.lock().get(subject) {
            queues.iter().for_each(|queue| queue.miss(count));
        }
    }

    /// Other processes were not heard for a while, and are again.
    pub(super) fn resumed(&self) {
        for queues in self.lock().values() {
            queues.iter().for_each(|queue| queue.establish(true));
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&self, bytes: Arc<[u8]>) {
        self.change(|waiting| {
            waiting.bytes += bytes.len();
            waiting.messages.push_back(bytes);
            while waiting.messages.len() > QUEUE_LEN || waiting.bytes > QUEUE_BYTES {
                let Some(oldest) = waiting.messages.pop_front() else {
                    break;
                };
                waiting.bytes -= oldest.len();
                waiting.miss(1);
            }
        });
    }

    fn miss(&self, count: u64) {
        self.change(|waiting| waiting.miss(count));
    }

    fn establish(&self, interrupted: bool) {
        self.change(|waiting| {
            let awaited = waiting.standing == Standing::Coming { awaited: true };
            let late = waiting.standing == Standing::Coming { awaited: false };
            if late || (interrupted && !awaited) {
                waiting.miss(0);
            }
            waiting.standing = Standing::Established;
        });
    }

    /// Changes what waits, then wakes the listener.
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let listener = {
            let mut waiting = self.lock();
            change(&mut waiting);
            waiting.listener.take()
        };
        if let Some(listener) = listener {
            listener.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn miss(&mut self, count: u64) {
        self.missed = Some(self.missed.unwrap_or(0) + count);
    }
}

/// One listener.
pub struct LocalSubscription {
    bus: LocalBus,
    subject: Subject,
    queue: Arc<Queue>,
}

impl LocalSubscription {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        let mut waiting = self.queue.lock();
        if let Some(missed) = waiting.missed.take() {
            return Poll::Ready(Message::Missed(missed));
        }
        let Some(bytes) = waiting.messages.pop_front() else {
            waiting.messages = VecDeque::new();
            waiting.listener = Some(cx.waker().clone());
            return Poll::Pending;
        };
        waiting.bytes -= bytes.len();
        Poll::Ready(Message::Data(bytes))
    }

    pub(super) fn poll_established(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.queue.lock();
        if waiting.standing == Standing::Established {
            // It reads the record now: whatever was missed before is in there.
            waiting.missed = None;
            return Poll::Ready(());
        }
        waiting.standing = Standing::Coming { awaited: true };
        waiting.listener = Some(cx.waker().clone());
        Poll::Pending
    }

    /// It waits no longer: what it reads now may be older than what it hears first.
    pub(super) fn give_up(&self) {
        let mut waiting = self.queue.lock();
        if waiting.standing != Standing::Established {
            waiting.standing = Standing::Coming { awaited: false };
        }
    }
}

impl Drop for LocalSubscription {
    fn drop(&mut self) {
        let mut topics = self.bus.lock();
        if let Some(queues) = topics.get_mut(&self.subject) {
            queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
            if queues.is_empty() {
                topics.remove(&self.subject);
            }
        }
    }
}
