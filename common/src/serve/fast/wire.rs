//! A connection of the fast path: reading the next head, sending an answer, and the deadlines of both.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use bytes::Bytes;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::super::Deadlines;
use super::super::linger::linger;
use super::super::stream::poll_timer;
use super::buffer::Buffer;
use super::chunk;
use crate::drain::Drain;
use crate::plain::Body;
use crate::slot::{Job, Sender, gains_by_waiting, many_send, poll_send, send_held_back};

/// How long a client gets to close after its last answer. The process may be waiting for it to end.
const LINGER: Duration = Duration::from_secs(1);

pub struct Wire {
    io: TcpStream,
    /// What was read of the next request.
    early: Option<Buffer>,
    sender: Sender,
    /// Whether a head waits for the bytes of its job.
    joins: bool,
    /// Whether a client that has closed its side is waited for, see [`crate::plain::PlainHandler::outlasts_half_close`].
    outlasts: bool,
    /// When the next bytes are overdue.
    due: Instant,
    /// There was no request yet.
    new: bool,
    keep_alive: Duration,
    /// Made at the first wait, and then left to fire.
    timer: Option<Pin<Box<Sleep>>>,
    drain: Drain,
    draining: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// What came of a connection between requests.
pub enum Came {
    Bytes(Buffer),
    /// It is over: the client closed it, or it was idle for long enough.
    End,
    /// Not even the begin of a first request, in all the time that there is for a head.
    Nothing,
}

impl Wire {
    /// A connection of which `early` was read already, at most [`super::buffer::SIZE`].
    pub fn new(io: TcpStream, early: &[u8], deadlines: Deadlines, keep_alive: Duration, drain: &Drain) -> Self {
        Wire {
            early: Buffer::with(early),
            sender: Sender::new(deadlines.stall),
            joins: gains_by_waiting(&io),
            outlasts: true,
            io,
            due: Instant::now() + deadlines.head,
            new: true,
            keep_alive,
            timer: None,
            drain: drain.clone(),
            draining: None,
        }
    }

    pub fn into_inner(self) -> TcpStream {
        self.io
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> Came {
        let came = poll_fn(|cx| self.poll_next(cx)).await;
        self.new = false;
        came
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        if let Some(early) = self.early.take() {
            return Poll::Ready(Came::Bytes(early));
        }
        let mut buffer = Buffer::take();
        let mut read = ReadBuf::new(buffer.room());
        if let Poll::Ready(result) = Pin::new(&mut self.io).poll_read(cx, &mut read) {
            let count = read.filled().len();
            if result.is_err() || count == 0 {
                return Poll::Ready(Came::End);
            }
            buffer.fill(count);
            return Poll::Ready(Came::Bytes(buffer));
        }
        drop(buffer);
        let draining = self.draining.get_or_insert_with(|| Box::pin(self.drain.begun()));
        if draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Came::End);
        }
        // A timer that fires early is set anew; moving it at every request would cost more. One that would fire late is made anew.
        if self.timer.as_ref().is_some_and(|timer| timer.deadline() > self.due) {
            self.timer = None;
        }
        while self.timer.is_none() || poll_timer(&mut self.timer, None, cx) {
            if self.due <= Instant::now() {
                return Poll::Ready(if self.new { Came::Nothing } else { Came::End });
            }
            poll_timer(&mut self.timer, Some(self.due), cx);
        }
        Poll::Pending
    }

    /// Sends an answer that is bytes as a whole.
    pub async fn write(&mut self, head: &[u8], body: &[u8], sent: &mut u64) -> io::Result<()> {
        self.write_all(head, body, false, sent).await?;
        self.answered();
        Ok(())
    }

    /// Sends an answer; `sent` counts the bytes of its body.
    pub async fn send(&mut self, head: Vec<u8>, body: Body, sent: &mut u64) -> io::Result<()> {
        match body {
            Body::Empty { .. } => self.write(&head, &[], sent).await,
            Body::Bytes(bytes) => self.write(&head, &bytes, sent).await,
            Body::Moved { first, job, .. } => self.r#move(head, first, job, sent).await,
            Body::Copied { length, body } => self.copy(head, body, length, sent).await,
        }
    }

    /// Sends `head`, then `body`, whose bytes `sent` counts; `more` follows, and they may wait for it.
    async fn write_all(&mut self, head: &[u8], body: &[u8], more: bool, sent: &mut u64) -> io::Result<()> {
        let mut parts = [IoSlice::new(head), IoSlice::new(body)];
        let (mut left, mut before) = (&mut parts[..1 + usize::from(!body.is_empty())], head.len());
        IoSlice::advance_slices(&mut left, 0);
        poll_fn(|cx| {
            while !left.is_empty() {
                let Poll::Ready(count) = poll_send(&self.io, cx, left, more) else {
                    self.sender.check(&self.io, cx)?;
                    return Poll::Pending;
                };
                let count = count?;
                IoSlice::advance_slices(&mut left, count);
                let of_head = count.min(before);
                before -= of_head;
                *sent += (count - of_head) as u64;
                self.sender.moved();
            }
            Poll::Ready(io::Result::Ok(()))
        })
        .await
    }

    /// Sends `head`, the `first` bytes of a body and what `job` moves; `sent` counts those of the body.
    async fn r#move(&mut self, head: Vec<u8>, first: Bytes, mut job: Box<dyn Job>, sent: &mut u64) -> io::Result<()> {
        // Where the memory of the kernel is scarce, it takes no more than a segment, and one alone is acknowledged late.
        let mut held_back = self.joins && !many_send();
        self.write_all(&head, &first, held_back, sent).await?;
        drop((head, first));
        let begun = *sent;
        let _sending = self.sender.begin(&self.io);
        let moving = poll_fn(|cx| {
            let moved = self.sender.poll_job(&self.io, &mut *job, sent, cx);
            if moved.is_pending() && *sent == begun && std::mem::take(&mut held_back) {
                // Nothing follows at once, and the kernel would wait for it (200 ms).
                send_held_back(&self.io);
            }
            moved
        });
        unless_gone(&self.io, self.outlasts, moving).await??;
        self.answered();
        Ok(())
    }

    /// Sends `head` and the pieces of `body`, which are `length` bytes or no good answer, or in chunks; `sent` counts them.
    async fn copy(&mut self, head: Vec<u8>, mut body: BoxBody, length: Option<u64>, sent: &mut u64) -> io::Result<()> {
        self.write_all(&head, &[], false, sent).await?;
        drop(head);
        while length != Some(*sent) {
            let piece = self.wait(poll_fn(|cx| Pin::new(&mut body).poll_next(cx))).await?;
            let piece = match (piece, length) {
                (Some(piece), _) => piece.map_err(|error| io::Error::other(error.to_string()))?,
                (None, None) => {
                    self.write_all(chunk::LAST, &[], false, sent).await?;
                    break;
                }
                (None, Some(_)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            let count = piece.len() as u64;
            match length {
                Some(length) if count > length - *sent => {
                    return Err(io::Error::other("a body is longer than its head says"));
                }
                Some(_) => self.write_all(&[], &piece, false, sent).await?,
                None => {
                    self.write_all(&chunk::of(&piece), &[], false, sent).await?;
                    *sent += count;
                }
            }
        }
        self.answered();
        Ok(())
    }

    /// For the next answer.
    pub fn outlast_half_close(&mut self, outlasts: bool) {
        self.outlasts = outlasts;
    }

    /// What `work` brings; an error when the client is gone before that.
    pub fn wait<T>(&self, work: impl Future<Output = T> + Unpin) -> impl Future<Output = io::Result<T>> {
        unless_gone(&self.io, self.outlasts, work)
    }

    /// From here on the next request may be waited for.
    fn answered(&mut self) {
        self.due = Instant::now() + self.keep_alive;
    }

    /// Ends the connection after a whole answer.
    pub async fn close(&mut self) {
        // Boxed: every connection has room for this future, and what it reads into, inside of its own.
        if let Err(error) = Box::pin(linger(&mut self.io, LINGER)).await {
            log::debug!("A connection was closed already: {error}");
        }
    }
}

/// What `work` brings. A client that is gone altogether (its connection is reset) ends it; one that has only said all it wants to
/// say does not, if that `outlasts` it. Looked for only while there is something to wait for.
async fn unless_gone<T>(io: &TcpStream, outlasts: bool, mut work: impl Future<Output = T> + Unpin) -> io::Result<T> {
    // PRIORITY is also, and where nobody registered for urgent bytes only, the end of what the client sends, whatever lies unread
    // before it.
    let (reset, closed) = (Interest::ERROR, Interest::ERROR | Interest::PRIORITY);
    let mut gone = pin!(io.ready(if outlasts { reset } else { closed }));
    poll_fn(|cx| {
        if let Poll::Ready(done) = Pin::new(&mut work).poll(cx) {
            return Poll::Ready(Ok(done));
        }
        gone.as_mut()
            .poll(cx)
            .map(|_| Err(io::ErrorKind::ConnectionReset.into()))
    })
    .await
}

#[cfg(test)]
mod tests;
