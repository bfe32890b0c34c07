//! An object that is being received, on whichever store.

use super::{StoreError, disk, s3};
use sha2::Sha256;

/// Dropping it without publishing removes what was written, unless it was opened by [`super::Store::resume`]: then what was there
/// stays. Every call may wait for the store.
#[derive(Debug)]
pub enum Incoming {
    Disk(disk::Incoming),
    S3(Box<s3::Incoming>),
}

impl Incoming {
    pub(super) fn of_bucket(object: s3::Incoming) -> Self {
        Self::S3(Box::new(object))
    }

    /// Appends at most [`Incoming::room`] bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Disk(file) => file.write(bytes),
            Self::S3(object) => object.write(bytes),
        }
    }

    /// Appends any number of bytes, of which nobody keeps a hash.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.room()));
            self.write(now)?;
            if self.room() == 0 {
                self.filled(None)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Bytes until [`Incoming::filled`] has to be called.
    pub fn room(&self) -> usize {
        match self {
            Self::Disk(_) => usize::MAX,
            Self::S3(object) => object.room(),
        }
    }

    /// There is no room left; `hash` is that of all bytes so far, half done.
    pub fn filled(&mut self, hash: Option<&Sha256>) -> Result<(), StoreError> {
        match self {
            Self::Disk(_) => Ok(()),
            Self::S3(object) => object.filled(hash),
        }
    }

    /// Whether writing belongs on the blocking pool always.
    pub fn may_block(&self) -> bool {
        match self {
            Self::Disk(_) => false,
            Self::S3(_) => true,
        }
    }

    /// Bytes that the store has left for us.
    pub fn free(&self) -> Result<u64, StoreError> {
        match self {
            Self::Disk(file) => file.free(),
            // A bucket says so only when it is full.
            Self::S3(_) => Ok(u64::MAX),
        }
    }

    /// See [`disk::Incoming::begin_write_back`].
    pub fn begin_write_back(&self, from: u64, bytes: u64) -> Result<(), StoreError> {
        match self {
            Self::Disk(file) => file.begin_write_back(from, bytes),
            Self::S3(_) => Ok(()),
        }
    }

    /// Makes all that was written durable. After an error the object is lost: dropping it is all that is left.
    pub fn sync(&mut self, hash: Option<&Sha256>) -> Result<(), StoreError> {
        match self {
            Self::Disk(file) => file.sync(),
            Self::S3(object) => object.sync(hash),
        }
    }

    /// Takes note of what is durable by now, without waiting for more; `false` where nothing is before [`Incoming::sync`].
    pub fn checkpoint(&mut self) -> Result<bool, StoreError> {
        match self {
            Self::Disk(_) => Ok(false),
            Self::S3(object) => object.checkpoint().map(|()| true),
        }
    }

    /// Bytes that were durable at the last sync or checkpoint: what may be acknowledged.
    pub fn synced(&self) -> u64 {
        match self {
            Self::Disk(file) => file.synced(),
            Self::S3(object) => object.synced(),
        }
    }

    /// What the ledger keeps with that number.
    pub fn kept(&self) -> String {
        match self {
            Self::Disk(_) => String::new(),
            Self::S3(object) => object.kept().text(),
        }
    }

    /// Whether the ledger has it, or never will: what was only needed without it goes.
    pub fn acknowledged(&mut self, done: bool) {
        match self {
            Self::Disk(_) => {}
            Self::S3(object) => object.acknowledged(done),
        }
    }

    /// Drops it, and is over when what goes by that is gone.
    pub fn discard(self) {
        match self {
            Self::Disk(file) => drop(file),
            Self::S3(object) => object.discard(),
        }
    }
}
