//! The response body that leaves its bytes to the slot.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::{Job, SlotHandle, State, tail_after};

/// `prefix`, then everything that the job sends. Its size is a stream's: the response has to say its length by
/// `no_chunking(length)`, which also keeps the connection alive.
pub struct SlotBody {
    slot: SlotHandle,
    phase: Phase,
}

enum Phase {
    Prefix(Bytes, Box<dyn Job>),
    Job(Box<dyn Job>, super::Tail),
    Deposited,
    Over,
}

impl SlotBody {
    pub fn new(slot: &SlotHandle, prefix: Bytes, job: impl Job + 'static) -> SlotBody {
        SlotBody::boxed(slot, prefix, Box::new(job))
    }

    pub(crate) fn boxed(slot: &SlotHandle, prefix: Bytes, job: Box<dyn Job>) -> SlotBody {
        let phase = if prefix.is_empty() {
            Phase::Job(job, END_OF_HEAD)
        } else {
            Phase::Prefix(prefix, job)
        };
        SlotBody {
            slot: slot.clone(),
            phase,
        }
    }
}

const END_OF_HEAD: super::Tail = *b"\r\n\r\n";

impl MessageBody for SlotBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self.get_mut();
        match std::mem::replace(&mut this.phase, Phase::Over) {
            Phase::Prefix(prefix, job) => {
                this.phase = Phase::Job(job, tail_after(END_OF_HEAD, &prefix));
                Poll::Ready(Some(Ok(prefix)))
            }
            Phase::Job(job, expected) => match this.slot.0.deposit(job, expected) {
                Ok(()) => {
                    this.phase = Phase::Deposited;
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Some(Err(error))),
            },
            Phase::Deposited => match this.slot.0.state.get() {
                State::Done => {
                    this.slot.0.state.set(State::Idle);
                    Poll::Ready(None)
                }
                State::Queued | State::Sending => {
                    this.phase = Phase::Deposited;
                    // Woken by the stream: it is polled by the same task.
                    Poll::Pending
                }
                State::Idle | State::Failed => Poll::Ready(Some(Err(io::Error::other("the slot failed")))),
            },
            Phase::Over => Poll::Ready(None),
        }
    }
}

impl Drop for SlotBody {
    fn drop(&mut self) {
        // Given up before its end: what follows on this connection could not be told from it.
        if matches!(self.phase, Phase::Deposited) {
            self.slot.0.end(State::Failed);
        }
    }
}
