//! An open stored file and which parts of it are known to lie in the page cache.
//!
//! sendfile waits for the disk when a page is not in memory, and with it a worker and all of its viewers. So each window of
//! a file is looked at first: one byte at five places, read without waiting (`preadv2` with `RWF_NOWAIT`). What is cold is
//! fetched by the blocking pool. A window once found warm is taken to be so for the first second after the file was opened: that
//! is for the many short requests that share it; a long one looks at each of its windows.

use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};
use std::{
    fs::File,
    io::{self, IoSliceMut},
    num::NonZeroU64,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Bytes of a file that are looked at and fetched at once; as many as a connection sends in one turn.
pub const WINDOW: u64 = 2 << 20;

/// One byte read of each of these brings in the page around it and what the kernel reads ahead.
const STEP: u64 = 64 << 10;

/// How long a read may be with the disk before its stream is given up.
pub const DISK: Duration = Duration::from_secs(30);

/// How long a window is taken to be warm without another look.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Cheap to share; closed with the last user.
pub struct StoredFile {
    file: File,
    size: u64,
    opened: Instant,
    /// One bit for each window that was found warm.
    warm: Box<[AtomicU64]>,
}

impl StoredFile {
    pub fn new(file: File, size: u64) -> Self {
        let words = size.div_ceil(WINDOW).div_ceil(64);
        StoredFile {
            file,
            size,
            opened: Instant::now(),
            warm: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the window of `offset` ends.
    pub fn window_end(offset: u64) -> u64 {
        (offset / WINDOW + 1) * WINDOW
    }

    /// The end of what can be sent from `offset` on without waiting for the disk, at most `end` and, if that is far, the end of the
    /// window; `None` when the disk has to be asked.
    pub fn warm_until(&self, offset: u64, end: u64) -> Option<u64> {
        let warm = self.warm_in_window(offset, end)?;
        let short = end - offset <= WINDOW;
        if !short || warm == end || warm < Self::window_end(offset) {
            return Some(warm);
        }
        // Over the border between two windows in one piece.
        Some(self.warm_in_window(warm, end).unwrap_or(warm))
    }

    fn warm_in_window(&self, offset: u64, end: u64) -> Option<u64> {
        let window = offset / WINDOW;
        let (start, until) = (window * WINDOW, Self::window_end(offset).min(self.size));
        let slice = end.min(until);
        let remembered = self.opened.elapsed() < REMEMBERED;
        let word = self.warm.get((window / 64) as usize).filter(|_| remembered);
        let bit = 1 << (window % 64);
        if word.is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0) {
            return Some(slice);
        }
        if self.cached(start, until) {
            word.map(|word| word.fetch_or(bit, Ordering::Relaxed));
            return Some(slice);
        }
        // Not all of the window, but maybe what is wanted of it.
        self.cached(offset, slice).then_some(slice)
    }

    /// Whether five bytes of `start..end` can be read without waiting. A kernel or file system that can't tell is asked by sending.
    fn cached(&self, start: u64, end: u64) -> bool {
        let last = end.saturating_sub(1).max(start);
        (0..5).all(|part| {
            let at = start + (last - start) / 4 * part;
            let at = if part == 4 { last } else { at };
            let mut byte = [0];
            match preadv2(
                &self.file,
                &mut [IoSliceMut::new(&mut byte)],
                at,
                ReadWriteFlags::NOWAIT,
            ) {
                Err(Errno::AGAIN) => false,
                // The plain read or send names what is wrong.
                Ok(_) | Err(_) => true,
            }
        })
    }

    /// Brings `offset..end` into memory, and lets the kernel begin with what follows. Blocks on the disk.
    pub fn fetch(self: Arc<Self>, offset: u64, end: u64) -> io::Result<()> {
        let ahead = NonZeroU64::new(end - offset + WINDOW);
        // Advice: a file system that takes none is read all the same.
        if let Err(error) = fadvise(&self.file, offset, ahead, Advice::WillNeed) {
            log::debug!("No advice about a stored file: {error}");
        }
        let mut at = offset;
        while at < end {
            let mut byte = [0];
            match self.file.read_at(&mut byte, at) {
                // Shorter than the ledger says: sending finds out.
                Ok(0) => return Ok(()),
                Ok(_) => at += STEP,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64) -> StoredFile {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        let stored = Arc::new(StoredFile::new(file, size));
        stored.clone().fetch(0, size).unwrap();
        Arc::into_inner(stored).unwrap()
    }

    #[test]
    fn a_slice_ends_with_its_window_the_file_or_the_range() {
        let stored = file(WINDOW + 1000);
        assert_eq!(stored.warm_until(0, 10), Some(10));
        assert_eq!(stored.warm_in_window(5, WINDOW + 10), Some(WINDOW));
        assert_eq!(stored.warm_until(11, WINDOW + 10), Some(WINDOW + 10), "short");
        assert_eq!(stored.warm_until(5, WINDOW + 10), Some(WINDOW), "long");
        assert_eq!(stored.warm_until(WINDOW, WINDOW + 10), Some(WINDOW + 10));
        assert_eq!(stored.warm_until(WINDOW + 999, WINDOW + 1000), Some(WINDOW + 1000));
    }

    #[test]
    fn what_is_warm_is_remembered_for_each_window() {
        let stored = file(3 * WINDOW);
        assert_eq!(stored.warm_until(WINDOW, WINDOW + 1), Some(WINDOW + 1));
        let bits = stored.warm[0].load(Ordering::Relaxed);
        assert_eq!(bits, 0b010);
    }

    #[test]
    fn what_was_warm_is_looked_at_again_after_a_while() {
        let mut stored = file(WINDOW);
        stored.file().write_all_at(&vec![1; WINDOW as usize], 0).unwrap();
        stored.file().sync_all().unwrap();
        assert_eq!(stored.warm_until(0, 1), Some(1));
        fadvise(stored.file(), 0, None, Advice::DontNeed).unwrap();
        if stored.cached(0, WINDOW) {
            println!("skipped: the temporary folder's file system keeps its files in memory");
            return;
        }
        assert_eq!(stored.warm_until(0, 1), Some(1), "remembered");
        stored.opened = Instant::now().checked_sub(REMEMBERED).unwrap();
        assert_eq!(stored.warm_until(0, WINDOW), None);
    }

    #[test]
    fn fetching_beyond_the_end_of_a_file_that_shrank_ends() {
        let stored = file(WINDOW);
        stored.file().set_len(10).unwrap();
        Arc::new(stored).fetch(0, WINDOW).unwrap();
    }
}
