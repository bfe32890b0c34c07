//! The body of one answer on its way from a socket through a pipe into another one, without being copied.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::{Line, Pipe};
use crate::slot::Outlet;

/// When so much came at once, more is there already: the kernel may wait for it to fill the segments of the other side. A source
/// that sends little by little is passed on little by little.
pub const STREAMING: u64 = 64 * 1024;

/// The rest of an answer: what lies in its pipe, and what has yet to come.
pub struct Flow {
    line: Line,
    pipe: Pipe,
    /// Bytes that are not in the pipe yet.
    left: u64,
    more: bool,
    /// Whether the source is waited for, with a deadline.
    waiting: bool,
}

impl Flow {
    /// The next `left` bytes of `line`.
    pub fn new(line: Line, pipe: Pipe, left: u64) -> Self {
        Flow {
            line,
            pipe,
            left,
            more: false,
            waiting: false,
        }
    }

    /// Everything went on.
    pub fn is_over(&self) -> bool {
        self.left == 0 && self.pipe.is_empty()
    }

    /// Whether the pipe has to be filled before it can be drained.
    pub fn is_dry(&self) -> bool {
        self.pipe.is_empty()
    }

    /// Fills the dry pipe with at most `most` bytes, and says how many. An error when the source ends before the end of its answer,
    /// or sends no byte for `wait`.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, most: u64, wait: Duration) -> Poll<io::Result<u64>> {
        let Poll::Ready(filled) = self.pipe.poll_fill(cx, &self.line.io, self.left.min(most)) else {
            if !self.waiting {
                self.waiting = true;
                self.line.patience.move_to(Instant::now() + wait);
            }
            ready!(self.line.patience.poll_over(cx));
            let text = format!("no byte for {wait:?}");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        };
        self.waiting = false;
        let count = filled? as u64;
        if count == 0 {
            let text = format!("an end {} bytes before that of the answer", self.left);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
        }
        self.left -= count;
        // Who takes less than there is has its reasons to wait before it goes on.
        self.more = self.left > 0 && count >= STREAMING && count < most;
        Poll::Ready(Ok(count))
    }

    /// Moves what the pipe holds, as much as the socket takes at once, into `to`, and says how much; nothing of a dry one.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &mut Outlet<'_>) -> Poll<io::Result<u64>> {
        self.pipe.poll_drain(cx, to, self.more).map_ok(|count| count as u64)
    }

    /// What is left of it at its end, to be used again.
    pub fn into_parts(self) -> (Line, Pipe) {
        (self.line, self.pipe)
    }
}
