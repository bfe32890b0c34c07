//! The outermost layer of a connection in the framework: it leaves again, for the fast path, as soon as a request comes that is served
//! there. To the framework that is the end of what the client sends.
//!
//! It leaves between requests only, with a head that nobody has seen, and nothing is left of the requests before: they were
//! served, the last answer is sent, and its request had no body (which the framework might be reading still, to throw it away; one that
//! was captured it has never seen). Where requests begin is what [`crate::capture`] found, which agrees with the framework or
//! decides nothing: a connection whose bodies are not all counted there stays.
//!
//! It relies on this of the dispatcher: at the end of the stream, without a request and with nothing to write, it shuts its stream
//! down and is done. If it wrote something instead, the connection would end ([`AsyncWrite::poll_write`]).

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::DeadlineStream;
use super::fast::Fast;
use crate::capture::{CaptureStream, Left};
use crate::slot::SlotStream;

/// The layers below.
type Layers = DeadlineStream<SlotStream<CaptureStream>>;

/// Where a connection that has left is found, when the framework is done with it.
pub(super) type Exit = Rc<RefCell<Option<Left>>>;

/// A connection as the framework has it.
pub struct ClientStream {
    io: Layers,
    peer: Option<SocketAddr>,
    fast: Rc<Fast>,
    exit: Exit,
    /// To the framework the client has closed its side.
    left: bool,
}

impl ClientStream {
    /// A connection of which `early` was read already.
    pub fn new(io: TcpStream, early: BytesMut, peer: Option<SocketAddr>, fast: Rc<Fast>) -> Self {
        let (bounds, context, deadlines) = (&fast.bounds, &fast.context, fast.deadlines(peer));
        // Nobody uploads to the listener of the other services.
        let io = CaptureStream::with_early(io, early, bounds.capture && context.internal_token.is_none());
        let partial_head = io.partial_head();
        let slot = SlotStream::new(io, deadlines.stall, context.metrics.http.slot_violations.clone());
        let io = DeadlineStream::new(slot, deadlines, context.default_headers.clone());
        ClientStream {
            io: io.with_partial_head(partial_head),
            peer,
            fast,
            exit: Exit::default(),
            left: false,
        }
    }

    pub fn exit(&self) -> Exit {
        self.exit.clone()
    }

    pub fn get_ref(&self) -> &Layers {
        &self.io
    }

    pub fn into_inner(self) -> Layers {
        self.io
    }

    /// Leaves with this head, if that is right.
    fn leave(&self, head: &[u8]) -> bool {
        let socket = self.io.get_ref().socket();
        if !self.io.showed_one_head() || !socket.may_leave() || !self.fast.wants(head, self.peer) {
            return false;
        }
        let left = socket.leave(head);
        let leaves = left.is_some();
        *self.exit.borrow_mut() = left;
        leaves
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left {
            return Poll::Ready(Ok(()));
        }
        let between = this.io.is_between_heads();
        let before = buf.filled().len();
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        if between && buf.filled().len() > before && this.leave(&buf.filled()[before..]) {
            buf.set_filled(before);
            this.left = true;
        }
        result
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.left {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut this.io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left {
            // The deadlines of the layers below are over, too.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
