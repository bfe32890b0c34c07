//! The deadline of a client that takes nothing (promise 6).
//!
//! A full socket takes bytes from us again only when a third of its buffer, which may be megabytes, is free: to a slow client
//! that can be minutes apart. So what counts is what the client acknowledges. The kernel is asked for it a few times in each
//! limit, and only while the client is waited for.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::Socket;

/// Looks in each limit; a client is cut up to one look late.
const LOOKS: u32 = 4;

pub(super) struct Stall {
    limit: Duration,
    /// When the client last moved, as far as is known.
    since: Instant,
    /// Bytes that were with the kernel at the last look.
    unacknowledged: Option<u64>,
    /// Made at the first wait for the client, and then left to fire.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(super) fn new(limit: Duration) -> Self {
        Stall {
            limit,
            since: Instant::now(),
            unacknowledged: None,
            timer: None,
        }
    }

    /// The kernel took bytes, or it was not the client that was waited for.
    pub(super) fn moved(&mut self) {
        self.since = Instant::now();
        self.unacknowledged = None;
    }

    /// While the client is waited for: `Err` when that takes too long; otherwise the task is woken for the next look.
    pub(super) fn check(&mut self, socket: &impl Socket, cx: &mut Context<'_>) -> io::Result<()> {
        let every = self.limit / LOOKS;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + every)));
        while timer.as_mut().poll(cx).is_ready() {
            let (now, left) = (Instant::now(), socket.unacknowledged());
            if let (Some(before), Some(left)) = (self.unacknowledged, left)
                && left < before
            {
                self.since = now;
            }
            self.unacknowledged = left;
            if self.since + self.limit <= now {
                let text = "the client took no byte for too long";
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            timer.as_mut().reset(now + every);
        }
        Ok(())
    }
}
