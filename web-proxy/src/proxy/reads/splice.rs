//! The body of one answer on its way from the service's socket through a pipe into the client's, without being copied.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use common::slot::{Job, Outlet};
use tokio::time::Instant;

use super::super::metrics::Running;
use super::connection::Connection;
use super::pipe::{Pipe, Pipes};

/// When so much came at once, more is there already: the kernel may wait for it to fill the client's segments. A service
/// that sends little by little is passed on little by little.
const STREAMING: usize = 64 * 1024;

pub struct Splice {
    /// Given back at the end; dropped, and so closed, in every other case.
    held: Option<Held>,
    pipes: Rc<Pipes>,
    /// Bytes that are not in the pipe yet.
    left: u64,
    more: bool,
    /// Whether the service is waited for, with a deadline.
    waiting: bool,
    /// `proxy.response_timeout`.
    wait: Duration,
    running: Running,
}

struct Held {
    connection: Connection,
    pipe: Pipe,
    keep: bool,
}

impl Splice {
    /// The next `left` bytes of `connection`, which may be used again if `keep`.
    pub fn new(
        connection: Connection,
        keep: bool,
        left: u64,
        pipe: Pipe,
        pipes: Rc<Pipes>,
        wait: Duration,
        running: Running,
    ) -> Self {
        Splice {
            held: Some(Held { connection, pipe, keep }),
            pipes,
            left,
            more: false,
            waiting: false,
            wait,
            running,
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = self.held.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let Poll::Ready(filled) = held.pipe.poll_fill(cx, &held.connection.io, self.left) else {
            if !self.waiting {
                self.waiting = true;
                held.connection.patience.move_to(Instant::now() + self.wait);
            }
            ready!(held.connection.patience.poll_over(cx));
            let text = format!("the service sent no byte for {:?}", self.wait);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        };
        self.waiting = false;
        let count = filled?;
        if count == 0 {
            let text = format!("the service ended {} bytes before the end of its answer", self.left);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
        }
        self.left -= count as u64;
        self.more = self.left > 0 && count >= STREAMING;
        self.running.moved(count as u64);
        Poll::Ready(Ok(()))
    }

    fn end(&mut self) {
        if let Some(held) = self.held.take() {
            self.pipes.give_back(held.pipe);
            if held.keep {
                held.connection.give_back();
            }
        }
    }
}

impl Job for Splice {
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let held = self.held.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            ready!(held.pipe.poll_drain(cx, to, self.more))?;
            if self.left == 0 {
                self.end();
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = ready!(self.poll_fill(cx)) {
                log::warn!("An answer was cut: {error}");
                return Poll::Ready(Err(error));
            }
        }
    }
}

#[cfg(test)]
mod tests;
