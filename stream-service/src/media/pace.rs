//! The pace of a stream.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// A paced stream may be ahead of its pace by this much, so that a player fills its buffer quickly.
const HEAD_START: Duration = Duration::from_secs(2);

/// Bytes that are worth a call.
const LEAST: u64 = 16 << 10;

/// Holds a stream back to a number of bytes per second, which may change while it is sent.
pub struct Pace {
    per_second: Arc<AtomicU64>,
    began: Option<Instant>,
    sent: u64,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub fn new(per_second: Arc<AtomicU64>) -> Self {
        Pace {
            per_second,
            began: None,
            sent: 0,
            sleep: None,
        }
    }

    pub fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// Most bytes to send before asking again: a quarter of a second's, so that a paced stream flows instead of coming in lumps.
    pub fn slice(&self) -> u64 {
        match self.per_second.load(Ordering::Relaxed) {
            0 => u64::MAX,
            per_second => (per_second / 4).max(LEAST),
        }
    }

    /// Ready when the next bytes may be sent.
    pub fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let per_second = self.per_second.load(Ordering::Relaxed);
        if per_second == 0 {
            return Poll::Ready(());
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs_f64(self.sent as f64 / per_second as f64).saturating_sub(HEAD_START);
        let due = began + earned;
        if due <= Instant::now() {
            return Poll::Ready(());
        }
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().poll(cx)
    }
}
