//! Reading a stored object here and there, as a probe does: what was read is kept for a while, and reads that follow one another
//! fetch more and more at once.

use super::S3Store;
use crate::store::ReadAt;
use bytes::Bytes;
use std::{cell::RefCell, collections::VecDeque, io};

/// Fetched at once where nothing is known of what will be read next.
const BLOCK: u64 = 256 << 10;

/// Fetched at once at most, by a reader that goes straight on.
const MOST: u64 = 4 << 20;

/// Stretches that are kept: a probe walks four tables side by side. 32 MiB at most, after the parts of the upload are gone.
const KEPT: usize = 8;

/// A whole object. For one reader.
pub struct Object {
    store: S3Store,
    key: String,
    size: u64,
    /// The last one used is the first.
    kept: RefCell<VecDeque<(u64, Bytes)>>,
}

impl Object {
    pub fn new(store: &S3Store, key: String, size: u64) -> Self {
        Self {
            store: store.clone(),
            key,
            size,
            kept: RefCell::default(),
        }
    }

    /// The stretch that has the byte at `at`.
    fn stretch(&self, at: u64) -> io::Result<(u64, Bytes)> {
        let mut kept = self.kept.borrow_mut();
        let has = |(from, bytes): &(u64, Bytes)| (*from..*from + bytes.len() as u64).contains(&at);
        if let Some(found) = kept.iter().position(has)
            && let Some(found) = kept.remove(found)
        {
            kept.push_front(found.clone());
            return Ok(found);
        }
        // Where a stretch ends that is kept, its reader goes on: twice as much. That one is not needed any more.
        let before = kept.iter().position(|(from, bytes)| from + bytes.len() as u64 == at);
        let length = match before.and_then(|before| kept.remove(before)) {
            Some((_, bytes)) => (bytes.len() as u64 * 2).clamp(BLOCK, MOST),
            None => BLOCK,
        };
        let end = (at + length).min(self.size);
        let found = (at, self.fetch(at, end)?);
        kept.push_front(found.clone());
        kept.truncate(KEPT);
        Ok(found)
    }

    fn fetch(&self, from: u64, end: u64) -> io::Result<Bytes> {
        let bytes = self.store.read_range(&self.key, from..end);
        bytes.map_err(io::Error::other)
    }
}

impl ReadAt for Object {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let (from, bytes) = self.stretch(at)?;
        let bytes = &bytes[(at - from) as usize..];
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        Ok(read)
    }
}
