//! Interim responses (RFC 9110 section 15.2), which actix-http can't send: a handler that is still at work queues one, and the
//! flush of the stream writes it.
//!
//! It is written only when the framework flushes with nothing of its own left and no job is deposited: everything before is
//! whole messages then, and the final response has not begun. When the framework writes first, the final response is on its
//! way and the interim one is dropped; whoever queues it has to do without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::{SlotHandle, SlotStream, Socket, State};

/// One interim response on its way.
#[derive(Default)]
pub(super) struct Interim {
    left: Bytes,
    begun: bool,
}

impl SlotHandle {
    /// Queues an interim response: its head, with the empty line at its end. To be called from a handler that goes on waiting
    /// for something, for a client of HTTP/1.1 or later. Never two at once: the later one waits for nothing and is dropped.
    pub fn inform(&self, head: impl Into<Bytes>) {
        let mut interim = self.0.interim.borrow_mut();
        if interim.left.is_empty() {
            *interim = Interim {
                left: head.into(),
                begun: false,
            };
        }
    }
}

impl<S: Socket> SlotStream<S> {
    /// Writes what is queued. Nothing else may be written before this is ready.
    pub(super) fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut interim = self.slot.interim.borrow_mut();
        while !interim.left.is_empty() && (interim.begun || self.slot.state.get() == State::Idle) {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &interim.left))?;
            self.slot.written(&interim.left[..sent]);
            interim.left.advance(sent);
            interim.begun = true;
        }
        Poll::Ready(Ok(()))
    }

    /// The framework writes: what has not begun is too late.
    pub(super) fn poll_end_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let begun = {
            let mut interim = self.slot.interim.borrow_mut();
            if !interim.begun {
                interim.left.clear();
            }
            !interim.left.is_empty()
        };
        if begun {
            self.poll_interim(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}
