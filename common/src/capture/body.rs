//! A captured body, from the side of the request it belongs to.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;

use super::is_marked;
use super::stream::{Capture, Phase, Shared};
use crate::relay::Pipe;

/// Bytes of one piece for handlers that read an ordinary payload.
const PIECE: usize = 64 << 10;

/// The body of one request, still in the socket. Dropping it before its end closes the connection with the answer.
pub struct Captured {
    pub(super) shared: Rc<Shared>,
    length: u64,
    left: u64,
    done: Rc<Cell<bool>>,
}

impl Captured {
    /// The body that `shared` holds back, with whoever asks whether it was taken to its end.
    pub(super) fn of(shared: Rc<Shared>) -> Option<(Self, Claim)> {
        let Phase::Captured(length) = shared.phase.get() else {
            return None;
        };
        shared.phase.set(Phase::Taken);
        let done = Rc::new(Cell::new(false));
        let claim = Claim(done.clone());
        let captured = Captured {
            shared,
            length,
            left: length,
            done,
        };
        Some((captured, claim))
    }

    /// Bytes of the whole body.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that were not taken yet.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Adds at most `most` bytes to `buffer`. 0 when all are taken; a client that ends before is an error
    /// (`UnexpectedEof`). Cancel safe. Deadlines are the caller's.
    pub async fn read(&mut self, buffer: &mut impl BufMut, most: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer, most)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut impl BufMut, most: usize) -> Poll<io::Result<usize>> {
        let most = most.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Poll::Ready(Ok(0));
        }
        self.shared.check_open()?;
        let early = self.take_early(most);
        if !early.is_empty() {
            buffer.put_slice(&early);
            return Poll::Ready(Ok(early.len()));
        }
        let mut limited = buffer.limit(most);
        loop {
            ready!(self.shared.socket.poll_read_ready(cx))?;
            match self.shared.socket.try_read_buf(&mut limited) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.taken(count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Fills the empty `pipe` with what comes next, and says how many bytes that were. An end before the last byte is an error
    /// (`UnexpectedEof`). Only when all that was read with the head is [taken](Captured::take_early), and not at the end of the body.
    /// Who has moved the last byte on says so ([`Captured::finish`]).
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        self.shared.check_open()?;
        if !self.shared.early.borrow().is_empty() || self.left == 0 {
            return Poll::Ready(Err(io::Error::other("there is nothing to move, or bytes before it")));
        }
        let count = ready!(pipe.poll_fill(cx, &self.shared.socket, self.left))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.left -= count as u64;
        Poll::Ready(Ok(count))
    }

    /// What was read together with the head, at most `most` bytes, and nothing of the requests behind the body.
    pub fn take_early(&mut self, most: usize) -> BytesMut {
        let mut early = self.shared.early.borrow_mut();
        let count = early
            .len()
            .min(most)
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let taken = early.split_to(count);
        drop(early);
        self.taken(taken.len());
        taken
    }

    pub(super) fn taken(&mut self, count: usize) {
        self.left -= count as u64;
        self.finish();
    }

    /// The next request may be read, if all of the body was taken. Also the end of the connection, which ends what is still being done.
    pub fn finish(&mut self) {
        if self.left == 0 && !self.done.replace(true) {
            self.shared.set_phase(Phase::Head);
        }
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        if !self.done.get() {
            self.shared.set_phase(Phase::Abandoned);
        }
    }
}

/// A request whose body was captured.
pub(crate) struct Claim(Rc<Cell<bool>>);

impl Claim {
    /// Whether bytes of the body are left in the socket, so that no other request can follow.
    pub(crate) fn unfinished(&self) -> bool {
        !self.0.get()
    }
}

/// Shared by the payload of a request and its extensions: whoever comes first takes it.
#[derive(Clone)]
struct Unclaimed(Rc<RefCell<Option<Captured>>>);

/// Gives a request the body that was captured for it, if that is so, and the length that its client sent.
pub(crate) fn claim(request: &mut ServiceRequest) -> Option<Claim> {
    let length = request.headers().get(CONTENT_LENGTH)?;
    if !is_marked(request.method(), length.as_bytes()) {
        return None;
    }
    let shared = request.conn_data::<Capture>()?.0.upgrade()?;
    let (captured, claim) = Captured::of(shared)?;
    request
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(captured.length));
    let unclaimed = Unclaimed(Rc::new(RefCell::new(Some(captured))));
    request.extensions_mut().insert(unclaimed.clone());
    request.set_payload(Payload::Stream {
        payload: Box::pin(unclaimed),
    });
    Some(claim)
}

/// The captured body of a request: once, and only if nobody has begun to read its payload.
#[must_use]
pub fn take(request: &HttpRequest) -> Option<Captured> {
    let unclaimed = request.extensions_mut().remove::<Unclaimed>()?;
    let captured = unclaimed.0.borrow_mut().take()?;
    if captured.left < captured.length {
        *unclaimed.0.borrow_mut() = Some(captured);
        return None;
    }
    Some(captured)
}

impl Stream for Unclaimed {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut captured = self.0.borrow_mut();
        let Some(body) = captured.as_mut().filter(|body| body.left > 0) else {
            return Poll::Ready(None);
        };
        let mut piece = BytesMut::with_capacity(PIECE);
        Poll::Ready(Some(match ready!(body.poll_read(cx, &mut piece, PIECE)) {
            Ok(_) => Ok(piece.freeze()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(PayloadError::Incomplete(None)),
            Err(error) => Err(PayloadError::Io(error)),
        }))
    }
}
