//! The in-process bus: a queue per listener, which holds nothing while nothing waits. There may be a listener for every
//! user who is online, so an idle one must cost a few hundred bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Message, Subject};

/// Messages a slow listener may be behind before the oldest are dropped and it is told so.
pub(super) const QUEUE_LEN: usize = 1024;

/// And their bytes. Most messages have 300; a long comment has 9,000.
const QUEUE_BYTES: usize = 1024 * 1024;

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
    missed: u64,
    listener: Option<Waker>,
}

impl LocalBus {
    pub(super) fn publish(&self, subject: &Subject, bytes: &Arc<[u8]>) {
        if let Some(queues) = self.lock().get(subject) {
            queues.iter().for_each(|queue| queue.push(bytes.clone()));
        }
    }

    pub(super) fn subscribe(&self, subject: &Subject) -> LocalSubscription {
        let queue: Arc<Queue> = Arc::default();
        self.lock().entry(subject.clone()).or_default().push(queue.clone());
        LocalSubscription {
            bus: self.clone(),
            subject: subject.clone(),
            queue,
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
        let listener = {
            let mut waiting = self.lock();
            waiting.bytes += bytes.len();
            waiting.messages.push_back(bytes);
            while waiting.messages.len() > QUEUE_LEN || waiting.bytes > QUEUE_BYTES {
                let Some(oldest) = waiting.messages.pop_front() else {
                    break;
                };
                waiting.bytes -= oldest.len();
                waiting.missed += 1;
            }
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

/// One listener.
pub struct LocalSubscription {
    bus: LocalBus,
    subject: Subject,
    queue: Arc<Queue>,
}

impl LocalSubscription {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        let mut waiting = self.queue.lock();
        if waiting.missed > 0 {
            return Poll::Ready(Message::Missed(std::mem::take(&mut waiting.missed)));
        }
        let Some(bytes) = waiting.messages.pop_front() else {
            waiting.messages = VecDeque::new();
            waiting.listener = Some(cx.waker().clone());
            return Poll::Pending;
        };
        waiting.bytes -= bytes.len();
        Poll::Ready(Message::Data(bytes))
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
