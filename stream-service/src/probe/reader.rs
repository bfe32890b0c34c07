//! Positional reads of a file, counted and bounded.

use super::{Result, reject};
use crate::store::ReadAt;

/// Read at once when hopping from header to header. Sixteen small boxes usually lie within it.
const HOP: usize = 4 << 10;

/// Buffered of one table. Four are walked side by side at most.
const BULK: usize = 64 << 10;

/// Bytes of one file that are read at most: the tables of ten hours at 120 frames per second are 55 MB.
const MAX_BYTES: u64 = 96 << 20;

/// Reads of one file at most: a fragmented file of ten hours with two fragments per second needs 72,000.
const MAX_READS: u64 = 100_000;

/// Headers (boxes or elements) looked at in one file at most.
const MAX_HEADERS: u64 = 150_000;

const CUT: &str = "a file that is cut off";

/// What looking into a file has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub reads: u64,
    pub bytes: u64,
    pub headers: u64,
}

pub struct Reader<'a> {
    file: &'a dyn ReadAt,
    size: u64,
    window: Vec<u8>,
    window_at: u64,
    stats: Stats,
}

impl<'a> Reader<'a> {
    pub fn new(file: &'a dyn ReadAt, size: u64) -> Self {
        Self {
            file,
            size,
            window: Vec::new(),
            window_at: 0,
            stats: Stats::default(),
        }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The first bytes of the file, up to 4 KiB.
    pub fn head(&mut self) -> Result<&[u8]> {
        let length = self.size.min(HOP as u64) as usize;
        self.bytes(0, length)
    }

    /// Exactly `length` bytes at `position`; at most 4 KiB. Rejects when the file ends before.
    pub fn bytes(&mut self, position: u64, length: usize) -> Result<&[u8]> {
        debug_assert!(length <= HOP);
        let end = self.end_of(position, length)?;
        if position < self.window_at || end > self.window_at + self.window.len() as u64 {
            let mut window = std::mem::take(&mut self.window);
            window.resize((self.size - position).min(HOP as u64) as usize, 0);
            let filled = self.read_into(position, &mut window);
            (self.window, self.window_at) = (window, position);
            if filled.is_err() {
                self.window.clear();
            }
            filled?;
        }
        let start = (position - self.window_at) as usize;
        Ok(&self.window[start..start + length])
    }

    /// Fills `buffer` from `position`. Rejects when the file ends before.
    pub fn read_into(&mut self, position: u64, buffer: &mut [u8]) -> Result<()> {
        self.end_of(position, buffer.len())?;
        let mut filled = 0;
        while filled < buffer.len() {
            self.stats.reads += 1;
            if self.stats.reads > MAX_READS || self.stats.bytes > MAX_BYTES {
                return reject("a file whose tables are too large to look through");
            }
            match self.file.read_at(&mut buffer[filled..], position + filled as u64) {
                // The file became shorter while it was read.
                Ok(0) => return reject(CUT),
                Ok(read) => {
                    filled += read;
                    self.stats.bytes += read as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn end_of(&self, position: u64, length: usize) -> Result<u64> {
        match position.checked_add(length as u64).filter(|&end| end <= self.size) {
            Some(end) => Ok(end),
            None => reject(CUT),
        }
    }

    pub fn array<const N: usize>(&mut self, position: u64) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(position, N)?);
        Ok(array)
    }

    pub fn u32(&mut self, position: u64) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array(position)?))
    }

    pub fn u64(&mut self, position: u64) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array(position)?))
    }

    /// Counts one header, and refuses a file that has too many.
    pub fn count_header(&mut self) -> Result<()> {
        self.stats.headers += 1;
        if self.stats.headers > MAX_HEADERS {
            return reject("a file of too many parts to look through");
        }
        Ok(())
    }

    /// Whether another header may be counted: lets a walk that can do without the rest stop instead of failing.
    pub fn may_go_on(&self) -> bool {
        self.stats.headers < MAX_HEADERS && self.stats.reads < MAX_READS / 2 && self.stats.bytes < MAX_BYTES / 2
    }
}

/// Goes through a table in order, with a buffer of its own: several tables are walked side by side.
pub struct Cursor {
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Cursor {
    /// The bytes `position..end` of the file, which the caller has checked to lie within their box.
    pub fn new(position: u64, end: u64) -> Self {
        Self {
            position,
            end,
            buffer: Vec::new(),
            used: 0,
        }
    }

    /// The next `N` bytes, or `None` when fewer are left.
    pub fn next<const N: usize>(&mut self, reader: &mut Reader<'_>) -> Result<Option<[u8; N]>> {
        if self.buffer.len() - self.used < N {
            let left = self.buffer.len() - self.used;
            let unread = self.end - self.position;
            if left as u64 + unread < N as u64 {
                return Ok(None);
            }
            self.buffer.copy_within(self.used.., 0);
            self.used = 0;
            let more = unread.min((BULK - left) as u64) as usize;
            self.buffer.resize(left + more, 0);
            reader.read_into(self.position, &mut self.buffer[left..])?;
            self.position += more as u64;
        }
        let mut next = [0; N];
        next.copy_from_slice(&self.buffer[self.used..self.used + N]);
        self.used += N;
        Ok(Some(next))
    }
}
