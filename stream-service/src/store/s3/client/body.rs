//! Bodies that are sent: bytes in memory, in slices, so that whoever waits sees that they move.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Bytes given to the connection at once.
const SLICE: usize = 256 << 10;

/// When a byte last moved.
#[derive(Clone, Debug)]
pub struct Moving {
    began: Instant,
    /// Milliseconds since then.
    last: Arc<AtomicU64>,
}

impl Moving {
    pub fn now() -> Self {
        Self {
            began: Instant::now(),
            last: Arc::default(),
        }
    }

    pub fn moved(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(ms, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for `still`.
    pub async fn stopped(&self, still: Duration) {
        loop {
            let due = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed)) + still;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

pub struct Sending {
    rest: Bytes,
    moving: Moving,
}

impl Sending {
    pub fn new(bytes: Bytes, moving: Moving) -> Self {
        Self { rest: bytes, moving }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        // Asked for when the connection has room: what came before has left.
        self.moving.moved();
        let most = self.rest.len().min(SLICE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(most)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
