//! The socket under actix-http, with the deadlines that actix-http lacks: a request head that drips (also of the second
//! request on a connection), half a head that came together with the request before it, a reader that stalls. And with
//! the form that its own refusals lack (see `bare`).
//!
//! The dispatcher is polled on every wake of the connection's task and calls `poll_read` and `poll_flush` then, so a
//! timer registered here is enough to end a connection. `poll_flush` counts because a request may end without another
//! read.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::ahead::Ahead;
use super::bare;
use super::deadlines::Deadlines;

/// What the connection is doing, shared between the stream and the request it serves.
struct Phase {
    requests: Cell<u32>,
    /// So many were begun in all.
    begun: Cell<u64>,
    head_began: Cell<Option<Instant>>,
    idle_since: Cell<Instant>,
    /// Bytes of a request that has ended may still be on their way.
    answer_pending: Cell<bool>,
    /// A request has ended since the stream was read.
    answered: Cell<bool>,
    /// The request that is served is answered to the end, although the client has closed its side.
    outlasts: Cell<bool>,
    /// Something came or ended since: what is served now is not known before the next turn.
    fresh: Cell<bool>,
    /// Woken when what was held back, a head or the end of the stream, may be told.
    held_back: RefCell<Option<Waker>>,
}

impl Phase {
    /// Whether the end of what the client sends is to be kept from the framework for now. The framework takes it for a
    /// client that left and drops what it is doing, which is right but for answers that ask for less (RFC 9112 section 9.6
    /// leaves it to the server).
    fn holds_back_end(&self, cx: &Context<'_>) -> bool {
        if self.outlasts.get() {
            *self.held_back.borrow_mut() = Some(cx.waker().clone());
            return true;
        }
        if self.fresh.take() {
            cx.waker().wake_by_ref();
            return true;
        }
        false
    }
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
        self.0.begun.set(self.0.begun.get() + 1);
        self.0.head_began.set(None);
        Serving(self.0.clone())
    }

    /// The request that is served now is answered to the end also when the client has closed its side of the connection and only
    /// reads. A client that is gone altogether is noticed by the first byte it is sent. To be said before the first wait.
    pub fn outlast_half_close(&self) {
        self.0.outlasts.set(true);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
        self.0.idle_since.set(Instant::now());
        self.0.answer_pending.set(true);
        self.0.answered.set(true);
        self.0.outlasts.set(false);
        self.0.fresh.set(true);
        if let Some(waiting) = self.0.held_back.borrow_mut().take() {
            waiting.wake();
        }
    }
}

/// A stream with deadlines, generic over the stream below so that the data plane can bring its own.
pub struct DeadlineStream<S> {
    io: S,
    phase: Rc<Phase>,
    deadlines: Deadlines,
    idle_timer: Option<Pin<Box<Sleep>>>,
    /// For answers that no request made.
    headers: Arc<[(HeaderName, HeaderValue)]>,
    /// The rest of such an answer, which takes the place of the framework's.
    instead: Option<Vec<u8>>,
    ahead: Ahead,
    /// The framework knows that the client has closed its side.
    ended: bool,
    /// The stream below has a part of a head that it does not show yet.
    partial_head: Rc<Cell<bool>>,
}

impl<S> DeadlineStream<S> {
    pub fn new(io: S, deadlines: Deadlines, headers: Arc<[(HeaderName, HeaderValue)]>) -> Self {
        let phase = Rc::new(Phase {
            requests: Cell::new(0),
            begun: Cell::new(0),
            head_began: Cell::new(None),
            idle_since: Cell::new(Instant::now()),
            answer_pending: Cell::new(false),
            answered: Cell::new(false),
            outlasts: Cell::new(false),
            fresh: Cell::new(false),
            held_back: RefCell::new(None),
        });
        DeadlineStream {
            io,
            phase,
            deadlines,
            idle_timer: None,
            headers,
            instead: None,
            ahead: Ahead::default(),
            ended: false,
            partial_head: Rc::default(),
        }
    }

    /// With a stream below that says whether it has a part of a head that it does not show yet: a slow one counts from there.
    #[must_use]
    pub fn with_partial_head(self, partial_head: Rc<Cell<bool>>) -> Self {
        DeadlineStream { partial_head, ..self }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The stream below, whose deadlines are the taker's own, and what came behind the last request.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.ahead.into_rest())
    }

    /// Whether the next bytes begin a request: the one before, of which there is one, had no body, and all that were shown were
    /// served. (What comes behind a last answer is shown, too, and thrown away.) They are read only when the answer to it is sent.
    pub fn is_between_heads(&self) -> bool {
        self.phase.begun.get() == self.ahead.heads() && self.ahead.is_between_heads()
    }

    /// Whether what was read just now ends with a whole head without a body, and nothing came behind it.
    pub fn showed_one_head(&self) -> bool {
        self.ahead.showed_one_head()
    }

    /// Reads what the framework may see now.
    fn poll_shown(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        // Also while the end of an answer is to be written: behind a last one the framework would serve what it sees.
        let busy = self.phase.requests.get() > 0 || self.phase.answer_pending.get();
        if self.phase.answered.take() {
            self.ahead.answered();
        }
        let before = buf.filled().len();
        let result = self.ahead.poll_read(&mut self.io, busy, cx, buf);
        // Behind an answer whose end is to be written, a request that came before the end of the stream is shown before that.
        let ended = result.is_ready() && buf.filled().len() == before && self.phase.requests.get() == 0;
        if busy && !self.ahead.is_empty() && (result.is_pending() || ended) {
            // Shown at the end of the answer.
            *self.phase.held_back.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        result
    }

    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection(self.phase.clone())
    }

    /// Between requests: `Err` when the next head is overdue; otherwise the task is woken when it will be.
    fn check_idle(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // Nor does who still takes the end of an answer owe a head.
        if self.phase.requests.get() > 0 || self.phase.answer_pending.get() {
            return Ok(());
        }
        let due = match self.phase.head_began.get() {
            Some(began) => began + self.deadlines.head,
            None => self.phase.idle_since.get() + self.deadlines.idle,
        };
        // A timer that fires early is set anew; moving it at every request would cost more.
        let early = self.idle_timer.as_ref().is_some_and(|timer| timer.deadline() < due);
        if early && !poll_timer(&mut self.idle_timer, None, cx) {
            return Ok(());
        }
        if poll_timer(&mut self.idle_timer, Some(due), cx) {
            return Err(timed_out("the request head took too long"));
        }
        Ok(())
    }
}

fn timed_out(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// Whether `timer`, moved to `due` when given, has fired; otherwise the task is woken when it does.
pub(super) fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, due: Option<Instant>, cx: &mut Context<'_>) -> bool {
    let timer = match (timer, due) {
        (Some(timer), due) => {
            if let Some(due) = due.filter(|due| *due != timer.deadline()) {
                timer.as_mut().reset(due);
            }
            timer
        }
        (none, Some(due)) => none.insert(Box::pin(sleep_until(due))),
        (_, None) => return false,
    };
    timer.as_mut().poll(cx).is_ready()
}

/// Writes and empties `bytes`.
fn poll_write_all<S: AsyncWrite + Unpin>(
    io: &mut S,
    bytes: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !bytes.is_empty() {
        let count = ready!(Pin::new(&mut *io).poll_write(cx, bytes))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        bytes.drain(..count);
    }
    Poll::Ready(Ok(()))
}

impl<S: AsyncRead + Unpin> AsyncRead for DeadlineStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = this.poll_shown(cx, buf);
        let between = this.phase.requests.get() == 0;
        if buf.filled().len() > before {
            this.phase.fresh.set(true);
        } else if matches!(result, Poll::Ready(Ok(()))) {
            if this.phase.holds_back_end(cx) {
                return Poll::Pending;
            }
            this.ended = true;
        }
        let head_moves = buf.filled().len() > before || this.partial_head.get();
        if between && head_moves && this.phase.head_began.get().is_none() {
            this.phase.head_began.set(Some(Instant::now()));
        }
        match result {
            Poll::Pending => this.check_idle(cx)?,
            Poll::Ready(_) => {}
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for DeadlineStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_none() && this.phase.requests.get() == 0 && !this.phase.answer_pending.get() {
            this.instead = bare::dressed(buf, &this.headers);
        }
        match &mut this.instead {
            Some(answer) => poll_write_all(&mut this.io, answer, cx).map_ok(|()| buf.len()),
            None => Pin::new(&mut this.io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The framework flushes when all that it has is written: from here on the next head may be waited for.
        if this.phase.answer_pending.take() {
            let now = Instant::now();
            this.phase.idle_since.set(now);
            if this.phase.head_began.get().is_some() {
                this.phase.head_began.set(Some(now));
            }
            if let Some(waiting) = this.phase.held_back.borrow_mut().take() {
                waiting.wake();
            }
        }
        this.check_idle(cx)?;
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        if flushed.is_pending() && this.ended {
            // A body in the slot, which may wait for its source for long. What the framework itself has to write is bounded by the
            // stall deadline.
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client left")));
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
