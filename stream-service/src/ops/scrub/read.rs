//! Reading a stored object, slowly, and past the page cache: what memory still has says nothing of the disk, and what viewers
//! watch stays there.

use crate::{
    ledger::scrub::Turn,
    media::registry::Ticket,
    store::{
        Content, ObjectKey, ReadAt, Store, StoreError,
        kept::{go_on, half_done},
    },
    upload::sink::hex,
};
use log::debug;
use rustix::fs::{Advice, OFlags, fadvise, fcntl_setfl};
use sha2::{Digest, Sha256};
use std::{
    cell::Cell,
    fs::File,
    io,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Bytes of one read.
const CHUNK: usize = 1 << 20;

/// Where a read past the page cache may begin, in the file and in memory: no disk has larger blocks.
const BLOCK: usize = 4096;

/// How a turn goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// SHA-256 of the whole, lower-case hexadecimal, and bytes read for it now.
    End { sha256: String, bytes: u64 },
    /// The time is up: bytes read so far, in all turns and now, and their hash half done.
    Stopped { place: u64, hash: String, bytes: u64 },
    /// It is taken away.
    Gone,
}

/// Reads on with one object.
pub struct Task {
    key: ObjectKey,
    size: u64,
    place: u64,
    hash: Sha256,
    /// Bytes per second.
    rate: u64,
    until: Instant,
    stop: Arc<AtomicBool>,
    /// Dropped with the task, when the file is closed.
    ticket: Ticket,
}

/// Ends the task when it is dropped: nobody waits for it any more.
pub struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    pub fn new(turn: &Turn, rate: u64, until: Instant, ticket: Ticket) -> Self {
        // What another version kept is read anew.
        let (place, hash) = match go_on(&turn.state) {
            Some(hash) if turn.place.is_multiple_of(CHUNK as u64) && turn.place <= turn.size => (turn.place, hash),
            _ => (0, Sha256::new()),
        };
        Task {
            key: turn.key.clone(),
            size: turn.size,
            place,
            hash,
            rate,
            until,
            stop: Arc::default(),
            ticket,
        }
    }

    pub fn stop_with_this(&self) -> Stop {
        Stop(Arc::clone(&self.stop))
    }

    /// Blocks until the time is up, or the object is read.
    pub fn run(mut self, store: &Store) -> Result<Read, StoreError> {
        let (content, size): (Box<dyn ReadAt>, _) = match store.open(&self.key)? {
            Content::File(file, size) => (Box::new(Direct::new(file)), size),
            Content::Remote(object) => {
                let size = object.size()?;
                (Box::new(object), size)
            }
        };
        if size != self.size {
            return Err(StoreError::Io(io::Error::other(format!(
                "it has {size} bytes instead of {}",
                self.size
            ))));
        }
        self.go_on(&*content)
    }

    fn go_on(&mut self, content: &dyn ReadAt) -> Result<Read, StoreError> {
        let (began, from) = (Instant::now(), self.place);
        let mut room = vec![0; CHUNK + BLOCK];
        let start = room.as_ptr().align_offset(BLOCK);
        let chunk = &mut room[start..start + CHUNK];
        while self.place < self.size {
            if self.ticket.is_cut() {
                return Ok(Read::Gone);
            }
            // At least one piece in each turn.
            let stopped = self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until;
            if stopped && self.place > from {
                return Ok(Read::Stopped {
                    place: self.place,
                    hash: half_done(&self.hash),
                    bytes: self.place - from,
                });
            }
            // Whole pieces, so that each begins at a block.
            let most = usize::try_from(self.size - self.place).map_or(CHUNK, |left| left.min(CHUNK));
            fill(content, chunk, most, self.place).map_err(StoreError::of_read)?;
            self.hash.update(&chunk[..most]);
            self.place += most as u64;
            let due = Duration::from_secs_f64((self.place - from) as f64 / self.rate as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        Ok(Read::End {
            sha256: hex(&self.hash.finalize_reset()),
            bytes: self.place - from,
        })
    }
}

/// Reads `most` bytes from `at` on into `chunk`, which has more room: a read past the page cache asks for whole blocks.
fn fill(content: &dyn ReadAt, chunk: &mut [u8], most: usize, at: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < most {
        match content.read_at(&mut chunk[filled..], at + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(())
}

/// A file that is read past the page cache where its file system can do that, and otherwise after the cache was told to forget.
struct Direct {
    file: File,
    direct: Cell<bool>,
}

impl Direct {
    fn new(file: File) -> Self {
        let set = fcntl_setfl(&file, OFlags::DIRECT);
        if let Err(error) = set {
            debug!("A file is checked through the page cache: {error}");
        }
        Direct {
            file,
            direct: Cell::new(set.is_ok()),
        }
    }
}

impl ReadAt for Direct {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            if !self.direct.get() {
                fadvise(&self.file, at, NonZeroU64::new(buffer.len() as u64), Advice::DontNeed)?;
            }
            match self.file.read_at(buffer, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It takes the flag and not such a read, or the one before this ended between two blocks.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && self.direct.replace(false) => {
                    fcntl_setfl(&self.file, OFlags::empty())?;
                }
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests;
