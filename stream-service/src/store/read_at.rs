//! Reading a piece of what is stored, wherever it lies.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Something of a fixed size that can be read from any place. Every call may wait for a disk or a network: callers are on the
/// blocking pool.
pub trait ReadAt {
    /// Bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads what begins at `at`, as much as is easily had: at least one byte, none only at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Fills the buffer. Fewer bytes are an error.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }
}
