//! The slot transport: response bodies that move inside the kernel, under an unchanged actix-http.
//!
//! actix-http copies every byte of a body through its write buffer. Here a body deposits a [`Job`] in the [`Slot`] of its
//! connection instead and stays pending; the dispatcher writes the response head as always and then flushes the stream,
//! and in that flush the job moves its bytes straight into the socket (sendfile, splice). Nothing of actix is changed; what
//! it has to keep for this to work is P1–P4 of the list below. Each is checked while running (a violation closes the
//! connection rather than mix two answers, and is counted) and by tests.
//!
//! - P1: after a body returned Pending, the same poll writes the whole buffer before it calls `poll_flush`, and every
//!   later wake polls the body and then `poll_flush` again.
//! - P2: between a response's head and its end nothing but that body's bytes enters the write buffer.
//! - P3: a `BodySize::Stream` with `no_chunking(length)` keeps that Content-Length and the connection alive, and may end at
//!   any count of bytes written through the framework.
//! - P4: an error of the body or of `poll_flush` ends the connection.
//!
//! ```text
//! Idle ──body: deposit──▶ Queued ──flush, tail as expected──▶ Sending ──job done──▶ Done ──body: end──▶ Idle
//!                            └── tail differs, a write in between, the body dropped, an error ──▶ Failed (for good)
//! ```

mod body;
mod interim;
mod sender;
mod socket;
mod stall;
mod stream;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite};

pub use body::SlotBody;
use sender::Sending;
pub(crate) use sender::{Sender, many_send};
#[cfg(test)]
pub(crate) use socket::unsent;
pub(crate) use socket::{gains_by_waiting, poll_send, send_held_back};
pub use stream::SlotStream;

/// Bytes that one turn of a connection may move before the others of its thread get theirs (nginx's `sendfile_max_chunk`). What a pipe
/// holds is not split by the end of a turn, which may be longer by that.
pub const WINDOW: usize = 2 << 20;

/// Jobs that send in this process at once before sockets are told to queue less: a socket of a slow client otherwise holds
/// half a megabyte of page cache, and thousands of them reach the host's limit for TCP memory, where *all* TCP suffers. It
/// costs a fifth more CPU, so that a server with few clients does without.
const MANY: usize = 512;

/// Jobs of this process that are sending.
static SENDING: AtomicUsize = AtomicUsize::new(0);

/// What a job writes to: a socket, or in tests one in memory. All calls take `&self`: the stream is owned by the framework.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// At most `count` bytes of `file` from `offset` on, which moves along. `Ok(0)`: the file ends there.
    fn poll_sendfile(
        &self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>>;

    /// At most `count` bytes out of `pipe`, which must hold some: an empty one looks like a socket that takes none.
    fn poll_splice(
        &self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
        more: bool,
    ) -> Poll<io::Result<usize>>;

    /// Asks the kernel to take no more than it can send soon (TCP_NOTSENT_LOWAT).
    fn queue_little(&self) {}

    /// Bytes that the other side has not acknowledged, sent or not; `None` when that can't be said.
    fn unacknowledged(&self) -> Option<u64> {
        None
    }

    /// What is not sent yet will not be: closing resets the connection (SO_LINGER 0).
    fn forget_unsent(&self) {}
}

/// Moves the bytes of one response body straight into the socket; polled inside the flush of the connection.
pub trait Job {
    /// `Ready(Ok(()))` when every promised byte is in the socket; an error closes the connection. When it returns `Pending`,
    /// the task of `cx` is woken by what it waits for: by the socket through the outlet, by anything else (a disk, a pace, another
    /// server) by the job's own means, with deadlines of its own.
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The socket as a job sees it for one turn: it counts the bytes, ends the turn after [`WINDOW`] bytes, and notes whether the
/// client was waited for.
pub struct Outlet<'a> {
    socket: &'a dyn Socket,
    left: usize,
    sent: u64,
    blocked: bool,
}

impl<'a> Outlet<'a> {
    /// For one turn.
    pub fn new(socket: &'a dyn Socket) -> Self {
        Outlet {
            socket,
            left: WINDOW,
            sent: 0,
            blocked: false,
        }
    }

    /// As [`Socket::poll_sendfile`]; no more than what is left of this turn.
    pub fn poll_sendfile(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let socket = self.socket;
        let count = count.min(self.left);
        self.turn(cx, |cx| socket.poll_sendfile(cx, file, offset, count))
    }

    /// As [`Socket::poll_splice`]; nothing when nothing is left of this turn.
    pub fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let socket = self.socket;
        self.turn(cx, |cx| socket.poll_splice(cx, pipe, count, more))
    }

    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let result = send(cx);
        match &result {
            Poll::Ready(Ok(count)) => {
                self.left = self.left.saturating_sub(*count);
                self.sent += *count as u64;
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.blocked = true,
        }
        result
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Queued,
    Sending,
    Done,
    Failed,
}

/// The last four bytes that were written to a stream.
type Tail = [u8; 4];

/// What is shared between the stream of a connection and the body of its answer.
struct Slot {
    state: Cell<State>,
    job: RefCell<Option<Box<dyn Job>>>,
    sending: Cell<Option<Sending>>,
    /// Sent by jobs since somebody last asked.
    sent: Cell<u64>,
    tail: Cell<Tail>,
    expected: Cell<Tail>,
    interim: RefCell<interim::Interim>,
    violations: Counter,
}

/// In the connection data of every connection that has a slot (`request.conn_data::<SlotHandle>()`). Without one (TLS, a test
/// without a server, `server.zero_copy = false`) the body has to be copied.
#[derive(Clone)]
pub struct SlotHandle(Rc<Slot>);

impl SlotHandle {
    /// Bytes that jobs of this connection sent since the last call.
    #[must_use]
    pub fn take_sent(&self) -> u64 {
        self.0.sent.take()
    }
}

impl Slot {
    fn new(violations: Counter) -> Self {
        Slot {
            state: Cell::new(State::Idle),
            job: RefCell::new(None),
            sending: Cell::new(None),
            sent: Cell::new(0),
            tail: Cell::new(Tail::default()),
            expected: Cell::new(Tail::default()),
            interim: RefCell::default(),
            violations,
        }
    }

    fn deposit(&self, job: Box<dyn Job>, expected: Tail) -> io::Result<()> {
        if self.state.get() != State::Idle {
            return Err(self.violated("a second body came to the slot"));
        }
        *self.job.borrow_mut() = Some(job);
        self.expected.set(expected);
        self.state.set(State::Queued);
        Ok(())
    }

    /// The head (and prefix) is written: the job may `begin`, if they really are the last bytes before it.
    fn begin(&self, begin: impl FnOnce() -> Sending) -> io::Result<()> {
        if self.tail.get() != self.expected.get() {
            return Err(self.violated("the body's job came before the end of the head"));
        }
        self.sending.set(Some(begin()));
        self.state.set(State::Sending);
        Ok(())
    }

    /// Ends the job, whatever it was doing. What it held is given back here.
    fn end(&self, state: State) {
        self.state.set(state);
        self.sending.set(None);
        let job = self.job.borrow_mut().take();
        drop(job);
    }

    /// The framework did not keep P1 or P2: two answers would be mixed.
    fn violated(&self, how: &'static str) -> io::Error {
        self.end(State::Failed);
        self.violations.inc();
        log::error!("The slot of a connection was violated: {how}. It is closed.");
        io::Error::other(how)
    }

    fn written(&self, bytes: &[u8]) {
        self.tail.set(tail_after(self.tail.get(), bytes));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.end(State::Failed);
    }
}

fn tail_after(before: Tail, bytes: &[u8]) -> Tail {
    if let Some(last) = bytes.last_chunk::<4>() {
        return *last;
    }
    let mut tail = before;
    tail.rotate_left(bytes.len());
    tail[4 - bytes.len()..].copy_from_slice(bytes);
    tail
}

#[cfg(test)]
mod tests;
