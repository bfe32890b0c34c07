//! The stream of a connection with a slot: what the framework writes passes through, and its flush moves the bytes of the job.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sender::Sender;
use super::{Slot, SlotHandle, Socket, State};

pub struct SlotStream<S> {
    pub(super) socket: S,
    pub(super) slot: Rc<Slot>,
    sender: Sender,
}

impl<S: Socket> SlotStream<S> {
    /// `stall` is the longest time in which the client takes no byte; `violations` counts what must never happen (see the
    /// module).
    pub fn new(socket: S, stall: Duration, violations: Counter) -> Self {
        SlotStream {
            socket,
            slot: Rc::new(Slot::new(violations)),
            sender: Sender::new(stall),
        }
    }

    #[must_use]
    pub fn handle(&self) -> SlotHandle {
        SlotHandle(self.slot.clone())
    }

    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket, for a connection that leaves HTTP.
    pub fn into_inner(self) -> S {
        self.socket
    }

    fn begin(&mut self) -> io::Result<()> {
        self.slot.begin(|| self.sender.begin(&self.socket))
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(mut job) = self.slot.job.borrow_mut().take() else {
            return Poll::Ready(Err(self.slot.violated("the job of a body is gone")));
        };
        let mut sent = self.slot.sent.get();
        let result = self.sender.poll_job(&self.socket, &mut *job, &mut sent, cx);
        self.slot.sent.set(sent);
        match result {
            Poll::Pending => {
                *self.slot.job.borrow_mut() = Some(job);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                drop(job);
                self.slot.end(State::Done);
                // The body is polled in the next turn of this task, and says that it is over.
                cx.waker().wake_by_ref();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                drop(job);
                self.slot.end(State::Failed);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Nothing may be written into the middle of a job's bytes.
    fn check_write(&self) -> io::Result<()> {
        match self.slot.state.get() {
            State::Idle | State::Queued | State::Done => Ok(()),
            State::Sending => Err(self.slot.violated("bytes were written while a job was sending")),
            State::Failed => Err(io::Error::other("the slot failed")),
        }
    }
}

impl<S: Socket> AsyncRead for SlotStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buf)
    }
}

impl<S: Socket> AsyncWrite for SlotStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_write()?;
        ready!(this.poll_end_interim(cx))?;
        let written = match Pin::new(&mut this.socket).poll_write(cx, buf) {
            Poll::Ready(written) => written?,
            Poll::Pending => {
                this.sender.check(&this.socket, cx)?;
                return Poll::Pending;
            }
        };
        this.sender.moved();
        this.slot.written(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.slot.state.get() == State::Queued {
            this.begin()?;
        }
        match this.slot.state.get() {
            State::Sending => this.poll_job(cx),
            State::Failed => Poll::Ready(Err(io::Error::other("the slot failed"))),
            State::Idle | State::Queued | State::Done => {
                ready!(this.poll_interim(cx))?;
                Pin::new(&mut this.socket).poll_flush(cx)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
