//! Where objects lie. An enum picked by `store.url`; the local disk for now, an S3 store comes as its second variant.
//!
//! Names are made from checked ids only ([`ObjectKey`]); no text of a user ever becomes part of a path.

pub mod disk;
mod incoming;
mod kept;
mod read_at;
pub mod s3;

use common::ids::{Id, VideoId};
use std::{fmt, fs::File, io, path::Path};

pub use disk::{DiskStore, Found, FoundKind};
pub use incoming::Incoming;
pub use kept::{Kept, KeptPart, Tail};
pub use read_at::ReadAt;

/// Names one object: the video it belongs to and its own id. Both are checked where they are parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    pub video: VideoId,
    pub object: Id,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.video, self.object)
    }
}

/// What a store can answer instead of doing it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the quota is full. Nothing is half stored; reads go on.
    #[error("the store is full: {0}")]
    Full(io::Error),
    #[error("no such object")]
    Missing,
    #[error("the object exists already")]
    Exists,
    /// Another request, of this process or another, writes it.
    #[error("the object is being written")]
    Busy,
    /// It can't be reached, or says that it can't now. Trying again later may help.
    #[error("the store is away: {0}")]
    Away(String),
    #[error("the store failed: {0}")]
    Io(io::Error),
}

/// Where an upload goes on: what the ledger says of it.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Acknowledged bytes.
    pub at: u64,
    pub kept: Kept,
    /// Numbers behind `kept.used` that are this request's.
    pub numbers: u32,
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::AlreadyExists => Self::Exists,
            _ => Self::Io(error),
        }
    }
}

impl From<rustix::io::Errno> for StoreError {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

/// The configured store. Every call blocks on the disk: callers are on the blocking pool.
#[derive(Clone, Debug)]
pub enum Store {
    Disk(DiskStore),
}

impl Store {
    /// The store of `store.url` (checked by the configuration: `file:PATH`). `exclusive` when no other process may use it.
    pub fn connect(url: &str, exclusive: bool) -> io::Result<Self> {
        match url.strip_prefix("file:") {
            Some(path) => {
                let disk = DiskStore::open_root(Path::new(path))?;
                if exclusive {
                    disk.lock()?;
                }
                Ok(Self::Disk(disk))
            }
            None => Err(io::Error::other("is not a store; write file:PATH")),
        }
    }

    /// Starts a new object; see [`DiskStore::create`].
    pub fn create(&self, key: &ObjectKey) -> Result<Incoming, StoreError> {
        match self {
            Self::Disk(disk) => disk.create(key).map(Incoming::Disk),
        }
    }

    /// Goes on with an object; see [`DiskStore::resume`].
    pub fn resume(&self, key: &ObjectKey, left: &Left) -> Result<Incoming, StoreError> {
        match self {
            Self::Disk(disk) => disk.resume(key, left.at).map(Incoming::Disk),
        }
    }

    /// Numbers that a request has to reserve in the ledger when it sends `unsaved` bytes more than it acknowledges on the way;
    /// `None` where the ledger has nothing to keep.
    pub fn numbers(&self, _unsaved: u64) -> Option<u32> {
        match self {
            Self::Disk(_) => None,
        }
    }

    /// What was received of an object, for reading, and its size in bytes.
    pub fn open_part(&self, key: &ObjectKey) -> Result<(File, u64), StoreError> {
        match self {
            Self::Disk(disk) => disk.open_part(key),
        }
    }

    /// A stored object for reading, and its size in bytes.
    pub fn open(&self, key: &ObjectKey) -> Result<(File, u64), StoreError> {
        match self {
            Self::Disk(disk) => disk.open(key),
        }
    }

    /// Bytes of a stored object, or of what was received of it; `None` when there is nothing.
    pub fn size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Disk(disk) => disk.size(key),
        }
    }

    /// Bytes of a stored object; `None` when it is not there whole.
    pub fn stored_size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Disk(disk) => disk.stored_size(key),
        }
    }

    /// Removes an object, whole or half received, durably. `false` when there was nothing.
    pub fn remove(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        match self {
            Self::Disk(disk) => disk.remove(key),
        }
    }

    /// Removes all of these objects of one video, as [`Store::remove`] does one.
    pub fn remove_all(&self, video: &VideoId, objects: &[Id]) -> Result<(), StoreError> {
        match self {
            Self::Disk(disk) => disk.remove_all(video, objects).map(drop),
        }
    }

    /// Bytes that the file system of the store has left for us.
    pub fn free(&self) -> Result<u64, StoreError> {
        match self {
            Self::Disk(disk) => disk.free(),
        }
    }

    /// The groups that [`Store::list`] lists, in order: a bounded way through a store of any size.
    pub fn groups(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Disk(disk) => disk.groups(),
        }
    }

    /// Everything that lies in one group, stray things included.
    pub fn list(&self, group: &str) -> Result<Vec<Found>, StoreError> {
        match self {
            Self::Disk(disk) => disk.list(group),
        }
    }

    /// Everything that lies in the place of one video.
    pub fn list_video(&self, video: &VideoId) -> Result<Vec<Found>, StoreError> {
        match self {
            Self::Disk(disk) => disk.list_video(video),
        }
    }

    /// Removes something that [`Store::list`] found and no ledger row names. Links are removed, never followed.
    pub fn remove_found(&self, found: &Found) -> Result<bool, StoreError> {
        match self {
            Self::Disk(disk) => disk.remove_found(found),
        }
    }
}
