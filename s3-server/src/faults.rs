//! Requests that fail, in the ways of real stores and networks.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Requests remembered.
const MAX_REQUESTS: usize = 10_000;

/// Which requests fail, and how.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Such as `GET`; empty is any.
    pub method: &'static str,
    /// What path and query have somewhere; empty is any.
    pub has: String,
    /// Requests of this kind that pass before.
    pub after: usize,
    /// How many fail then.
    pub times: usize,
    pub effect: Effect,
}

#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// Answered with this status and code, and nothing done.
    Answer(u16, &'static str),
    /// Done, and the answer's body broken off after so many bytes.
    Cut(u64),
    /// Done, and nothing more of the answer's body sent after so many bytes, for as long as the client waits.
    Stall(u64),
    /// Done, and the length of the answer's body not said: it comes in chunks.
    Chunks,
    /// The connection is closed, nothing done.
    Drop,
    /// Done, and the connection closed without an answer.
    Lose,
    /// Nothing is done, and nothing answered, for so long; then the connection is closed.
    Hang(Duration),
    /// Done, after so long.
    Late(Duration),
}

impl Fault {
    /// Every request of this method (empty: any) fails so.
    pub fn new(method: &'static str, effect: Effect) -> Self {
        Self {
            method,
            has: String::new(),
            after: 0,
            times: usize::MAX,
            effect,
        }
    }

    pub fn of(mut self, has: impl Into<String>) -> Self {
        self.has = has.into();
        self
    }

    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    pub fn after(mut self, after: usize) -> Self {
        self.after = after;
        self
    }
}

#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    stalled: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

/// An answer that stalls.
pub struct Stalled(Arc<AtomicUsize>);

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    requests: VecDeque<String>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    pub fn clear(&self) {
        self.lock().faults.clear();
    }

    pub fn stall(&self) -> Stalled {
        self.stalled.fetch_add(1, Ordering::SeqCst);
        Stalled(self.stalled.clone())
    }

    pub fn stalled(&self) -> usize {
        self.stalled.load(Ordering::SeqCst)
    }

    pub fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn take_requests(&self) -> Vec<String> {
        self.lock().requests.drain(..).collect()
    }

    /// Notes a request; what is to become of it.
    pub fn of(&self, method: &str, path: &str, query: &str) -> Option<Effect> {
        let query: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-")).collect();
        let query = query.join("&");
        let request = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        };
        let mut state = self.lock();
        if state.requests.len() == MAX_REQUESTS {
            state.requests.pop_front();
        }
        state.requests.push_back(format!("{method} {request}"));
        for fault in &mut state.faults {
            let meant = (fault.method.is_empty() || fault.method == method) && request.contains(&fault.has);
            if !meant || fault.times == 0 {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.times -= 1;
            return Some(fault.effect);
        }
        None
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
