//! A connection of the fast path: reading the next head, sending an answer, and the deadlines of both.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::super::Bounds;
use super::super::linger::linger;
use super::super::stream::poll_timer;
use super::buffer::Buffer;
use crate::drain::Drain;
use crate::plain::Body;
use crate::slot::{Job, Sender, gains_by_waiting, poll_send};

/// How long a client gets to close after its last answer. The process may be waiting for it to end.
const LINGER: Duration = Duration::from_secs(1);

pub struct Wire {
    io: TcpStream,
    sender: Sender,
    /// Whether a head waits for the bytes of its job.
    joins: bool,
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
    pub fn new(io: TcpStream, bounds: &Bounds, drain: &Drain) -> Self {
        Wire {
            sender: Sender::new(bounds.deadlines.stall),
            joins: gains_by_waiting(&io),
            io,
            due: Instant::now() + bounds.deadlines.head,
            new: true,
            keep_alive: bounds.keep_alive,
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

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes, false).await?;
        self.answered();
        Ok(())
    }

    /// Sends an answer; `sent` counts the bytes of its body.
    pub async fn send(&mut self, mut head: Vec<u8>, body: Body, sent: &mut u64) -> io::Result<()> {
        match body {
            Body::Empty { .. } => self.write(&head).await,
            Body::Bytes(bytes) => {
                head.extend_from_slice(&bytes);
                self.write(&head).await?;
                *sent = bytes.len() as u64;
                Ok(())
            }
            Body::Moved { job, .. } => self.r#move(head, job, sent).await,
            Body::Copied { length, body } => self.copy(head, body, length, sent).await,
        }
    }

    /// `more`: the bytes of a job follow.
    async fn write_all(&mut self, mut bytes: &[u8], more: bool) -> io::Result<()> {
        poll_fn(|cx| {
            while !bytes.is_empty() {
                let Poll::Ready(sent) = poll_send(&self.io, cx, bytes, more && self.joins) else {
                    self.sender.check(&self.io, cx)?;
                    return Poll::Pending;
                };
                bytes = &bytes[sent?..];
                self.sender.moved();
            }
            Poll::Ready(io::Result::Ok(()))
        })
        .await
    }

    /// Sends `head` and what `job` moves; `sent` counts that.
    async fn r#move(&mut self, head: Vec<u8>, mut job: Box<dyn Job>, sent: &mut u64) -> io::Result<()> {
        self.write_all(&head, true).await?;
        drop(head);
        let _sending = self.sender.begin(&self.io);
        let moving = poll_fn(|cx| self.sender.poll_job(&self.io, &mut *job, sent, cx));
        unless_gone(&self.io, moving).await??;
        self.answered();
        Ok(())
    }

    /// Sends `head` and the pieces of `body`, which are `length` bytes or no good answer; `sent` counts them.
    async fn copy(&mut self, head: Vec<u8>, mut body: BoxBody, length: u64, sent: &mut u64) -> io::Result<()> {
        self.write_all(&head, false).await?;
        while *sent < length {
            let piece = self.wait(poll_fn(|cx| Pin::new(&mut body).poll_next(cx))).await?;
            let piece = piece.ok_or(io::ErrorKind::UnexpectedEof)?;
            let piece = piece.map_err(|error| io::Error::other(error.to_string()))?;
            if piece.len() as u64 > length - *sent {
                return Err(io::Error::other("a body is longer than its head says"));
            }
            self.write_all(&piece, false).await?;
            *sent += piece.len() as u64;
        }
        self.answered();
        Ok(())
    }

    /// What `work` brings; an error when the client is gone before that.
    pub fn wait<T>(&self, work: impl Future<Output = T> + Unpin) -> impl Future<Output = io::Result<T>> {
        unless_gone(&self.io, work)
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
/// say does not. Looked for only while there is something to wait for.
async fn unless_gone<T>(io: &TcpStream, mut work: impl Future<Output = T> + Unpin) -> io::Result<T> {
    let mut gone = pin!(io.ready(Interest::ERROR));
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
