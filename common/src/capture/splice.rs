//! A captured body into a file, without passing through our memory: socket, pipe, file. For whoever need not see the bytes.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;

use super::Captured;
use crate::relay::Pipe;

/// Bytes after which others of the thread get their turn, and after which the disk is told to begin.
const TURN: u64 = 4 << 20;
const WRITE_BACK_EVERY: u64 = 8 << 20;

/// A write of a pipe's content that takes this long was held up by the disk: alone it takes a hundredth of it.
const PATIENCE: Duration = Duration::from_millis(50);

/// How often a thread of the pool looks whether anybody still waits for it, and a move whether its connection goes on.
const LOOK: Duration = Duration::from_millis(500);

/// Has the disk begin with the bytes from `from` to `to` (see stream-service's store for why DONTNEED does that).
fn begin_write_back(file: &File, from: u64, to: u64) -> io::Result<()> {
    Ok(fadvise(file, from, NonZeroU64::new(to - from), Advice::DontNeed)?)
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the body stopped arriving")
}

/// When the disk begins with what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteBack {
    /// Every 8 MiB, so that a sync at the end is short.
    Early,
    /// When the kernel sees fit: for a file that nobody syncs.
    Kernel,
}

impl WriteBack {
    /// Bytes after which it is told to.
    fn every(self) -> u64 {
        match self {
            WriteBack::Early => WRITE_BACK_EVERY,
            WriteBack::Kernel => u64::MAX,
        }
    }
}

/// The bounds of one move.
#[derive(Clone, Copy)]
struct Bounds {
    stall: Duration,
    patience: Duration,
    write_back: WriteBack,
}

impl Captured {
    /// Moves the rest of the body into `file` from `at` on. `stall` is the longest wait for the next byte (`TimedOut`). The file
    /// is not synced. Work on a disk that can't follow goes on on the blocking pool; there it ends soon after the
    /// future is dropped.
    pub async fn move_to_file(
        &mut self,
        file: &Arc<File>,
        at: u64,
        stall: Duration,
        write_back: WriteBack,
    ) -> io::Result<()> {
        let bounds = Bounds {
            stall,
            patience: PATIENCE,
            write_back,
        };
        self.move_to_file_within(file, at, bounds).await
    }

    async fn move_to_file_within(&mut self, file: &Arc<File>, at: u64, bounds: Bounds) -> io::Result<()> {
        let shared = self.shared.clone();
        let ended = async {
            loop {
                shared.check_open()?;
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            ended = ended => ended,
            moved = self.move_on(file, at, bounds) => moved,
        }
    }

    async fn move_on(&mut self, file: &Arc<File>, mut at: u64, bounds: Bounds) -> io::Result<()> {
        let early = self.take_early(usize::try_from(self.left()).unwrap_or(usize::MAX));
        file.write_all_at(&early, at)?;
        at += early.len() as u64;
        let mut pipe = Pipe::get()?;
        let (mut turn, mut begun) = (at, at);
        while self.left() > 0 {
            self.fill(&mut pipe, bounds.stall).await?;
            let began = Instant::now();
            pipe.empty_into(file.as_fd(), &mut at)?;
            if began.elapsed() >= bounds.patience && self.left() > 0 {
                return self.on_the_pool(pipe, file, (begun, at), bounds).await;
            }
            if at - begun >= bounds.write_back.every() {
                let (file, from) = (file.clone(), begun);
                blocking(move || begin_write_back(&file, from, at)).await?;
                begun = at;
            }
            if at - turn >= TURN {
                tokio::task::yield_now().await;
                turn = at;
            }
        }
        pipe.give_back();
        self.finish();
        Ok(())
    }

    async fn fill(&mut self, pipe: &mut Pipe, stall: Duration) -> io::Result<()> {
        let filling = poll_fn(|cx| self.poll_fill(cx, pipe));
        tokio::time::timeout(stall, filling).await.map_err(|_| stalled())??;
        Ok(())
    }

    /// The rest of it by a thread of its own, which waits for the socket as well as for the disk.
    async fn on_the_pool(
        &mut self,
        pipe: Pipe,
        file: &Arc<File>,
        (begun, at): (u64, u64),
        bounds: Bounds,
    ) -> io::Result<()> {
        let socket = self.shared.socket.as_fd().try_clone_to_owned()?;
        let wanted = Arc::new(AtomicBool::new(true));
        let (file, left, guard) = (file.clone(), self.left(), Unwanted(wanted.clone()));
        let mut work = Rest {
            pipe,
            socket,
            file,
            wanted,
        };
        let moved = blocking(move || work.move_all(begun, at, left, bounds)).await;
        drop(guard);
        moved?;
        self.taken(usize::try_from(left).map_err(io::Error::other)?);
        Ok(())
    }
}

/// Tells the thread that nobody waits any more.
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

struct Rest {
    pipe: Pipe,
    socket: OwnedFd,
    file: Arc<File>,
    wanted: Arc<AtomicBool>,
}

impl Rest {
    fn move_all(&mut self, mut begun: u64, mut at: u64, mut left: u64, bounds: Bounds) -> io::Result<()> {
        let mut progress = Instant::now();
        while left > 0 {
            match self.pipe.fill(&self.socket, left) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(held) => {
                    self.pipe.empty_into(self.file.as_fd(), &mut at)?;
                    left -= held as u64;
                    progress = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if progress.elapsed() >= bounds.stall {
                        return Err(stalled());
                    }
                    self.wait()?;
                }
                Err(error) => return Err(error),
            }
            if !self.wanted.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if at - begun >= bounds.write_back.every() {
                begin_write_back(&self.file, begun, at)?;
                begun = at;
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        let look = Timespec::try_from(LOOK).map_err(io::Error::other)?;
        match poll(&mut sockets, Some(&look)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
