//! The socket under actix-http, with the deadlines that actix-http lacks: a request head that drips (also of the second
//! request on a connection), a reader that stalls, an idle connection while the process drains.
//!
//! The dispatcher is polled on every wake of the connection's task and calls `poll_read`/`poll_flush` then, so a timer
//! registered here is enough to end a connection.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::drain::Drain;

/// The deadlines of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the first byte of a request head to its last.
    pub head: Duration,
    /// Without a byte accepted by the client while we have bytes to send.
    pub stall: Duration,
}

/// What the connection is doing, shared between the stream and the request it serves.
struct Phase {
    requests: Cell<u32>,
    head_began: Cell<Option<Instant>>,
}

/// The connection as a request sees it (`HttpRequest::conn_data`).
#[derive(Clone)]
pub struct Connection(Rc<Phase>);

/// While it lives, the connection serves a request: reading nothing is no sign of a slow head.
pub struct Serving(Rc<Phase>);

impl Connection {
    #[must_use]
    pub fn begin_request(&self) -> Serving {
        self.0.requests.set(self.0.requests.get() + 1);
        self.0.head_began.set(None);
        Serving(self.0.clone())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
    }
}

/// A stream with deadlines, generic over the stream below so that the data plane can bring its own.
pub struct DeadlineStream<S> {
    io: S,
    phase: Rc<Phase>,
    deadlines: Deadlines,
    head_timer: Option<Pin<Box<Sleep>>>,
    stall_timer: Option<Pin<Box<Sleep>>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> DeadlineStream<S> {
    pub fn new(io: S, deadlines: Deadlines, drain: &Drain) -> Self {
        let phase = Rc::new(Phase {
            requests: Cell::new(0),
            head_began: Cell::new(None),
        });
        DeadlineStream {
            io,
            phase,
            deadlines,
            head_timer: None,
            stall_timer: None,
            draining: Box::pin(drain.begun()),
        }
    }

    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection(self.phase.clone())
    }

    /// Between requests: `Err` when the head is overdue, `Ok(true)` when the process drains and nothing has begun.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        match self.phase.head_began.get() {
            Some(began) => {
                let due = began + self.deadlines.head;
                if poll_timer(&mut self.head_timer, due, cx) {
                    return Err(timed_out("the request head took too long"));
                }
                Ok(false)
            }
            None => {
                self.head_timer = None;
                Ok(self.draining.as_mut().poll(cx).is_ready())
            }
        }
    }

    /// Wraps the result of a write: progress clears the stall timer, waiting arms it.
    fn stalled<T>(&mut self, result: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall_timer = None;
            return result;
        }
        let due = self
            .stall_timer
            .as_ref()
            .map_or_else(|| Instant::now() + self.deadlines.stall, |timer| timer.deadline());
        if poll_timer(&mut self.stall_timer, due, cx) {
            return Poll::Ready(Err(timed_out("the client took no byte for too long")));
        }
        Poll::Pending
    }
}

fn timed_out(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// Whether `due` has passed; otherwise the task is woken then.
fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, due: Instant, cx: &mut Context<'_>) -> bool {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
    if timer.deadline() != due {
        timer.as_mut().reset(due);
    }
    timer.as_mut().poll(cx).is_ready()
}

impl<S: AsyncRead + Unpin> AsyncRead for DeadlineStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let idle = this.phase.requests.get() == 0;
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        if !idle {
            return result;
        }
        if result.is_ready() {
            ready!(result)?;
            if buf.filled().len() > before && this.phase.head_began.get().is_none() {
                this.phase.head_began.set(Some(Instant::now()));
            }
            return Poll::Ready(Ok(()));
        }
        // Nothing to read: a drained idle connection ends like one whose client left.
        if this.poll_idle(cx)? {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for DeadlineStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        this.stalled(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.stalled(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
