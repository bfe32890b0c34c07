//! A deadline that moves while bytes move (promise 6), also where that is not seen at once: a full socket takes bytes again only when
//! a third of its queue is free, of a Unix socket three quarters, and that is megabytes. To a slow service it can take minutes. So what
//! counts is what it took out of the queue.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use common::relay::Patience;
use tokio::time::Instant;

/// Whether somebody is waited for.
#[derive(Default)]
pub struct Waiting {
    on: bool,
    /// Bytes that were in the queue when it was last looked at.
    queued: Option<u64>,
}

impl Waiting {
    /// Something moved.
    pub fn over(&mut self) {
        self.on = false;
    }

    /// Ready when nothing has moved for `within`, and nothing has left the queue of `queued` bytes; that is looked at once in such a time.
    pub fn poll_late(
        &mut self,
        cx: &mut Context<'_>,
        patience: &mut Patience,
        within: Duration,
        queued: impl Fn() -> Option<u64>,
    ) -> Poll<()> {
        if !self.on {
            *self = Waiting {
                on: true,
                queued: queued(),
            };
            patience.move_to(Instant::now() + within);
        }
        loop {
            ready!(patience.poll_over(cx));
            let left = queued();
            match (self.queued, left) {
                (Some(before), Some(now)) if now < before => {
                    self.queued = left;
                    patience.move_to(Instant::now() + within);
                }
                _ => return Poll::Ready(()),
            }
        }
    }
}
