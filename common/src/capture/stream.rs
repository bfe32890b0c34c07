//! The layer on the socket: it knows where heads and bodies end, and holds back the bodies that are captured.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::classify::{Head, Verdict, classify};

/// Bytes read at once while a head is incomplete. What comes with it of a captured body is copied once more.
const READ: usize = 4 << 10;

/// How long a client whose body nobody wanted gets to read the answer, and what of it is read and thrown away at once.
const LINGER: Duration = Duration::from_secs(5);
const THROWN_AWAY: usize = 64 << 10;

/// Where in the stream of requests the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between requests, or inside a head.
    Head,
    /// So many bytes of a body are still to be passed on.
    Body(u64),
    /// Not understood: everything is passed on.
    Raw,
    /// A body of this length waits for its request.
    Captured(u64),
    /// Somebody takes it.
    Taken,
    /// Nobody does any more.
    Abandoned,
}

/// What the stream shares with the request that takes a body.
pub(super) struct Shared {
    pub(super) socket: TcpStream,
    pub(super) phase: Cell<Phase>,
    /// Read and not yet passed on.
    pub(super) early: RefCell<BytesMut>,
    /// A part of a head is in `early`, or was passed on.
    partial: Rc<Cell<bool>>,
    /// Of whoever reads while that is held back.
    reader: RefCell<Option<Waker>>,
}

impl Shared {
    /// An error when the connection has ended under whoever takes the body.
    pub(super) fn check_open(&self) -> io::Result<()> {
        match self.phase.get() {
            Phase::Abandoned => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    /// Ends a captured body.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// The connection as requests on it see it (`conn_data`).
#[derive(Clone)]
pub struct Capture(pub(super) Weak<Shared>);

/// A connection that has left the framework between two requests, see [`CaptureStream::leave`].
pub struct Left(Rc<Shared>);

impl Left {
    /// The socket and the head it left with; when the framework is done with it.
    #[must_use]
    pub fn into_parts(self) -> Option<(TcpStream, BytesMut)> {
        let shared = Rc::into_inner(self.0)?;
        Some((shared.socket, shared.early.into_inner()))
    }
}

/// A TCP connection below the framework. Reading, it is the state machine of [`crate::capture`]; writing, it is the socket.
pub struct CaptureStream {
    pub(super) shared: Rc<Shared>,
    /// Bytes of `early` that may be passed on.
    ready: usize,
    /// Of a client that is to read the answer to a body that nobody wanted.
    linger: Option<Pin<Box<Sleep>>>,
    pub(super) shut: bool,
}

impl CaptureStream {
    /// Without `capturing` everything is passed on unseen.
    #[must_use]
    pub fn new(socket: TcpStream, capturing: bool) -> Self {
        CaptureStream::with_early(socket, BytesMut::new(), capturing)
    }

    /// A connection of which `early` was read already.
    #[must_use]
    pub fn with_early(socket: TcpStream, early: BytesMut, capturing: bool) -> Self {
        CaptureStream {
            shared: Rc::new(Shared {
                socket,
                phase: Cell::new(if capturing { Phase::Head } else { Phase::Raw }),
                early: RefCell::new(early),
                partial: Rc::new(Cell::new(false)),
                reader: RefCell::new(None),
            }),
            ready: 0,
            linger: None,
            shut: false,
        }
    }

    /// For the requests of this connection.
    #[must_use]
    pub fn handle(&self) -> Capture {
        Capture(Rc::downgrade(&self.shared))
    }

    /// Whether a part of a head has come that nobody else knows of yet.
    #[must_use]
    pub fn partial_head(&self) -> Rc<Cell<bool>> {
        self.shared.partial.clone()
    }

    /// Whether the next bytes begin a request. Not when more was read, where nobody looks for the ends of requests, and while a
    /// request still holds its body.
    #[must_use]
    pub fn may_leave(&self) -> bool {
        let shared = &self.shared;
        shared.phase.get() == Phase::Head && shared.early.borrow().is_empty() && Rc::strong_count(shared) == 1
    }

    /// Takes the connection from the framework before it has seen `head`: the last bytes that were passed on, a head without a body.
    /// `None` unless it [may](CaptureStream::may_leave).
    #[must_use]
    pub fn leave(&self, head: &[u8]) -> Option<Left> {
        if !self.may_leave() {
            return None;
        }
        self.shared.early.borrow_mut().extend_from_slice(head);
        Some(Left(self.shared.clone()))
    }

    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.shared.socket
    }

    /// The socket and what was read and not passed on, for a connection that leaves HTTP. `None` while a body is being taken.
    #[must_use]
    pub fn into_parts(self) -> Option<(TcpStream, BytesMut)> {
        Left(self.shared).into_parts()
    }

    /// Passes on what is ready.
    fn pass_on(&mut self, buf: &mut ReadBuf<'_>) {
        let mut early = self.shared.early.borrow_mut();
        let count = self.ready.min(buf.remaining());
        buf.put_slice(&early[..count]);
        early.advance(count);
        self.ready -= count;
        if early.is_empty() {
            // An idle connection holds no buffer.
            *early = BytesMut::new();
        }
    }

    /// Decides about the bytes of `early`, of which none is ready. `false`: more are needed.
    fn decide(&mut self) -> bool {
        let shared = &self.shared;
        let mut early = shared.early.borrow_mut();
        match shared.phase.get() {
            Phase::Head => match classify(&early) {
                Verdict::Partial => return false,
                Verdict::Raw => {
                    shared.phase.set(Phase::Raw);
                    self.ready = early.len();
                }
                Verdict::Head(head) => {
                    shared.phase.set(after(&head));
                    if let Some(digits) = head.captured {
                        early[digits].fill(b'0');
                    }
                    self.ready = head.length;
                }
            },
            Phase::Body(left) => {
                let passed = early.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                shared.phase.set(less(left, passed));
                self.ready = passed;
            }
            Phase::Raw => self.ready = early.len(),
            Phase::Captured(_) | Phase::Taken | Phase::Abandoned => return false,
        }
        true
    }

    /// Reads of the socket into `buf`, at most `most` bytes. 0 at its end.
    fn poll_socket(&self, cx: &mut Context<'_>, buf: &mut impl BufMut, most: usize) -> Poll<io::Result<usize>> {
        let mut limited = buf.limit(most);
        loop {
            ready!(self.shared.socket.poll_read_ready(cx))?;
            match self.shared.socket.try_read_buf(&mut limited) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Reads straight into the buffer of the framework, and takes back what it may not see yet. `false`: nothing may be seen yet.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        let most = buf.remaining();
        if ready!(self.poll_socket(cx, buf, most))? == 0 {
            return Poll::Ready(Ok(true));
        }
        let bytes = &mut buf.filled_mut()[before..];
        let seen = match classify(bytes) {
            Verdict::Partial => 0,
            Verdict::Raw => {
                self.shared.phase.set(Phase::Raw);
                bytes.len()
            }
            Verdict::Head(head) => {
                self.shared.phase.set(after(&head));
                if let Some(digits) = head.captured {
                    bytes[digits].fill(b'0');
                }
                head.length
            }
        };
        self.shared.early.borrow_mut().extend_from_slice(&bytes[seen..]);
        buf.set_filled(before + seen);
        Poll::Ready(Ok(seen > 0))
    }

    /// One step; `false`: another one is needed.
    fn poll_step(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        if self.ready > 0 {
            self.pass_on(buf);
            return Poll::Ready(Ok(true));
        }
        let held = self.shared.early.borrow().len();
        match self.shared.phase.get() {
            Phase::Captured(_) | Phase::Taken | Phase::Abandoned => {
                *self.shared.reader.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            _ if held > 0 && self.decide() => return Poll::Ready(Ok(false)),
            Phase::Head if held == 0 => return self.poll_head(cx, buf),
            Phase::Head => {
                let mut more = BytesMut::with_capacity(READ);
                let read = self.poll_socket(cx, &mut more, READ)?;
                self.shared.partial.set(read.is_pending());
                if ready!(read) == 0 {
                    // Half a head and no more: the framework knows what to make of it.
                    self.shared.phase.set(Phase::Raw);
                    self.ready = held;
                }
                self.shared.early.borrow_mut().unsplit(more);
            }
            Phase::Body(left) => {
                let most = buf.remaining().min(usize::try_from(left).unwrap_or(usize::MAX));
                let read = ready!(self.poll_socket(cx, buf, most))?;
                self.shared.phase.set(less(left, read));
                return Poll::Ready(Ok(true));
            }
            Phase::Raw => {
                let most = buf.remaining();
                ready!(self.poll_socket(cx, buf, most))?;
                return Poll::Ready(Ok(true));
            }
        }
        Poll::Ready(Ok(false))
    }

    /// Reads and throws away until the client closes, or has had its time.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timer = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut rest = BytesMut::with_capacity(THROWN_AWAY);
        // A client that has closed or reset has read what it wanted to.
        while let Ok(1..) = ready!(self.poll_socket(cx, &mut rest, THROWN_AWAY)) {
            rest.clear();
        }
        Poll::Ready(Ok(()))
    }
}

fn after(head: &Head) -> Phase {
    match head.body {
        0 => Phase::Head,
        body if head.captured.is_some() => Phase::Captured(body),
        body => Phase::Body(body),
    }
}

fn less(left: u64, passed: usize) -> Phase {
    match left.saturating_sub(passed as u64) {
        0 => Phase::Head,
        left => Phase::Body(left),
    }
}

impl AsyncRead for CaptureStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        while !ready!(this.poll_step(cx, buf))? {}
        this.shared.partial.set(false);
        Poll::Ready(Ok(()))
    }
}
