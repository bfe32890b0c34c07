//! Pipes: the place in the kernel where bytes lie between two sockets, or a socket and a file (splice needs one; nothing is copied
//! into it).
//!
//! **A pipe is filled only when it is empty.** Filling one that holds bytes makes EAGAIN ambiguous: it may be the pipe that
//! is full, not the socket that has nothing. Tokio would then forget that the socket can be read, and the transfer would
//! stand still for ever. [`Pipe::fill`] is the only way to fill one, and looks first.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::slot::Outlet;

/// What a pipe is asked to hold at most, in bytes, and what each has without asking. Large ones save calls and wakes on both
/// sides, but an ordinary user has 64 MiB of pipes in all, and gets pipes of two pages beyond that.
const LARGEST: usize = 1 << 20;
const USUAL: usize = 64 * 1024;

/// The first sixteen pipes of the process are as large as can be, later ones have a share of this, so that 128 take 40 MiB.
const SHARED: usize = 16 << 20;

/// Pipes of this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Asked of the socket by one call; the pipe takes as much as it can.
const MOST: u64 = 1 << 20;

/// Idle pipes kept by a worker: as many as the edge keeps connections, so that a steady load opens none. Each has two descriptors.
const MAX_IDLE: usize = 64;

pub struct Pipe {
    take: OwnedFd,
    put: OwnedFd,
    /// Bytes in it.
    held: usize,
}

impl Pipe {
    fn open(largest: usize) -> io::Result<Self> {
        let (take, put) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let share = (SHARED / (OPEN.fetch_add(1, Ordering::Relaxed) + 1)).max(USUAL);
        // The kernel would round up.
        let size = largest.min(1 << share.ilog2());
        if let Err(error) = fcntl_setpipe_size(&put, size) {
            log::debug!("A pipe keeps its size: {error}");
        }
        Ok(Pipe { take, put, held: 0 })
    }

    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// One that this thread keeps, or a new one. Fails when the process has no descriptors left.
    pub fn get() -> io::Result<Self> {
        HERE.with(Pipes::get)
    }

    /// For the next one who needs one on this thread. One that still holds bytes is closed: they are another message's.
    pub fn give_back(self) {
        // A thread that ends keeps nothing.
        HERE.try_with(|pipes| pipes.give_back(self)).unwrap_or_default();
    }

    /// Fills the empty pipe with what has come to `from`, at most `most` bytes, and says how many; 0: `from` has ended. Does not wait.
    pub fn fill(&mut self, from: impl AsFd, most: u64) -> io::Result<usize> {
        if !self.is_empty() {
            return Err(io::Error::other("a pipe is filled only when it is empty"));
        }
        let most = usize::try_from(most.min(MOST)).unwrap_or(usize::MAX);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        self.held = splice(from, None, &self.put, None, most, flags)?;
        Ok(self.held)
    }

    /// [`Pipe::fill`], waiting for something to come.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &TcpStream, most: u64) -> Poll<io::Result<usize>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            match from.try_io(Interest::READABLE, || self.fill(from, most)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Writes all that it holds into `file` at `at`, which moves along. Waits for the disk, if that has to be.
    pub fn empty_into(&mut self, file: BorrowedFd<'_>, at: &mut u64) -> io::Result<()> {
        while self.held > 0 {
            match splice(&self.take, None, file, Some(&mut *at), self.held, SpliceFlags::MOVE) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => self.held -= moved,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Moves what it holds, as much as the socket takes at once, into `to`, and says how much; `more` is to follow. Never of an
    /// empty one, which looks like a socket that takes nothing.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &mut Outlet<'_>, more: bool) -> Poll<io::Result<usize>> {
        if self.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = ready!(to.poll_splice(cx, self.take.as_fd(), self.held, more))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.held -= count;
        Poll::Ready(Ok(count))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    static HERE: Pipes = Pipes::default();
}

/// Pipes that nobody uses just now.
pub(super) struct Pipes {
    largest: usize,
    idle: RefCell<Vec<Pipe>>,
}

impl Default for Pipes {
    fn default() -> Self {
        Pipes::of(LARGEST)
    }
}

impl Pipes {
    /// Pipes that hold `largest` bytes at most.
    pub fn of(largest: usize) -> Self {
        Pipes {
            largest,
            idle: RefCell::default(),
        }
    }

    pub fn get(&self) -> io::Result<Pipe> {
        let idle = self.idle.borrow_mut().pop();
        idle.map_or_else(|| Pipe::open(self.largest), Ok)
    }

    pub fn give_back(&self, pipe: Pipe) {
        let mut idle = self.idle.borrow_mut();
        if pipe.is_empty() && idle.len() < MAX_IDLE {
            idle.push(pipe);
        }
    }
}

#[cfg(test)]
impl Pipe {
    /// Bytes that it can hold.
    pub fn size(&self) -> usize {
        rustix::pipe::fcntl_getpipe_size(&self.put).unwrap()
    }
}

#[cfg(test)]
impl Pipes {
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }
}
