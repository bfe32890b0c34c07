//! Reading one stored object to its end, slowly, and past the page cache: what memory still has says nothing of the disk, and what
//! viewers watch stays there.

use crate::{
    ledger::scrub::Due,
    store::{Content, ObjectKey, ReadAt, Store, StoreError},
    upload::sink::hex,
};
use log::debug;
use rustix::fs::{OFlags, fcntl_setfl, fstat};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io,
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

/// Longest time for one object, whatever the rate: the caller waits for it.
const AT_MOST: Duration = Duration::from_secs(20 * 60);

pub struct Task {
    store: Store,
    key: ObjectKey,
    size: u64,
    /// Bytes per second.
    rate: u64,
    stop: Arc<AtomicBool>,
}

/// Ends the task when it is dropped: nobody waits for it any more.
pub struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    pub fn new(store: Store, due: &Due, rate: u64) -> Self {
        Task {
            store,
            key: due.key.clone(),
            size: due.size,
            rate: rate.max(due.size / AT_MOST.as_secs()),
            stop: Arc::default(),
        }
    }

    pub fn stopped_with_this(&self) -> Stop {
        Stop(Arc::clone(&self.stop))
    }

    /// SHA-256 of the object in lower-case hexadecimal; `None` when it was removed. Blocks for as long as its rate says.
    pub fn run(self) -> Result<Option<String>, StoreError> {
        match self.store.open(&self.key)? {
            Content::Remote(object) => self.hash(&object, object.size()? == self.size, || false),
            Content::File(file, size) => {
                let direct = Direct::new(file);
                let removed = || fstat(&direct.file).is_ok_and(|stat| stat.st_nlink == 0);
                self.hash(&direct, size == self.size, removed)
            }
        }
    }

    /// `removed`: nobody can reach it any more, and whoever holds it open keeps its room.
    fn hash(
        &self,
        content: &dyn ReadAt,
        same_size: bool,
        removed: impl Fn() -> bool,
    ) -> Result<Option<String>, StoreError> {
        if !same_size {
            return Err(StoreError::Io(io::Error::other("it has another size")));
        }
        let (began, mut hash, mut at) = (Instant::now(), Sha256::new(), 0);
        let mut room = vec![0; CHUNK + BLOCK];
        let start = room.as_ptr().align_offset(BLOCK);
        let chunk = &mut room[start..start + CHUNK];
        while at < self.size {
            if removed() {
                return Ok(None);
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(StoreError::Io(io::ErrorKind::Interrupted.into()));
            }
            let read = content.read_at(chunk, at).map_err(StoreError::of_read)?;
            if read == 0 {
                return Err(StoreError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            hash.update(&chunk[..read]);
            at += read as u64;
            let due = Duration::from_secs_f64(at as f64 / self.rate as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        Ok(Some(hex(&hash.finalize())))
    }
}

/// A file that is read past the page cache where its file system can do that.
struct Direct {
    file: File,
}

impl Direct {
    fn new(file: File) -> Self {
        if let Err(error) = fcntl_setfl(&file, OFlags::DIRECT) {
            debug!("A file is checked through the page cache: {error}");
        }
        Direct { file }
    }
}

impl ReadAt for Direct {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It takes the flag and not such a read, or a read before this one ended between two blocks.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    fcntl_setfl(&self.file, OFlags::empty())?;
                    return ReadAt::read_at(&self.file, buffer, at);
                }
                read => return read,
            }
        }
    }
}
