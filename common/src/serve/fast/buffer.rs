//! Where a head is read into: one for each thread, and a few more while handlers wait, so that an idle connection has none.

use std::cell::RefCell;
use std::ops::Deref;

/// Bytes of a head that the fast path takes; media addresses with their grants make heads of some 500.
pub const SIZE: usize = 8 << 10;

/// Kept by a thread.
const KEPT: usize = 16;

thread_local! {
    static IDLE: RefCell<Vec<Box<[u8; SIZE]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read.
pub struct Buffer {
    /// Always there, but for the drop.
    bytes: Option<Box<[u8; SIZE]>>,
    filled: usize,
}

impl Buffer {
    /// An empty one.
    pub fn take() -> Self {
        let idle = IDLE.with_borrow_mut(Vec::pop);
        Buffer {
            bytes: Some(idle.unwrap_or_else(|| Box::new([0; SIZE]))),
            filled: 0,
        }
    }

    /// One with these bytes, at most [`SIZE`]; `None` without any.
    pub fn with(bytes: &[u8]) -> Option<Self> {
        let mut buffer = Buffer::take();
        buffer.room().get_mut(..bytes.len())?.copy_from_slice(bytes);
        buffer.fill(bytes.len());
        (!bytes.is_empty()).then_some(buffer)
    }

    /// All of it, to be read into.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.as_mut().map_or(&mut [], |bytes| &mut bytes[..])
    }

    pub fn fill(&mut self, count: usize) {
        self.filled = count.min(SIZE);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| &bytes[..self.filled])
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(bytes) = self.bytes.take() else { return };
        // A thread that ends keeps nothing.
        IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT {
                idle.push(bytes);
            }
        })
        .unwrap_or_default();
    }
}
