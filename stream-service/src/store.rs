//! Where objects lie: on the local disk, or in an S3 store. An enum picked by `store.url`.
//!
//! Names are made from checked ids only ([`ObjectKey`]); no text of a user ever becomes part of a path.

pub mod disk;
mod examine;
mod incoming;
pub mod kept;
mod read_at;
pub mod s3;

use common::{
    config::StoreConfig,
    ids::{Id, VideoId},
};
use std::{fmt, fs::File, io, path::Path};

pub use disk::{DiskStore, Found, FoundKind};
pub use examine::examine;
pub use incoming::Incoming;
pub use kept::{Kept, KeptPart, Tail};
pub use read_at::ReadAt;
pub use s3::S3Store;

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

impl StoreError {
    /// What a failed read says: a store that is away says so inside.
    pub fn of_read(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Io)
    }
}

impl From<rustix::io::Errno> for StoreError {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

/// The configured store. Every call waits for a disk or the network: callers are on the blocking pool.
#[derive(Clone, Debug)]
pub enum Store {
    Disk(DiskStore),
    S3(S3Store),
}

/// A stored object, for reading, and its size in bytes.
pub enum Content {
    File(File, u64),
    Remote(s3::Object),
}

/// A store that can't be used: the key of the configuration to look at, and why.
#[derive(Debug)]
pub struct Unusable {
    pub key: &'static str,
    pub problem: String,
}

impl Store {
    /// The store of the configuration, whose `store.url` is `url` then. `exclusive` when no other process may use a folder;
    /// `largest`: bytes that an object may have. A bucket is tried, for ten seconds if it can't be reached.
    pub fn connect(config: &StoreConfig, url: &str, exclusive: bool, largest: u64) -> Result<Self, Unusable> {
        let unusable = |problem: String| Unusable {
            key: "store.url",
            problem,
        };
        if let Some(path) = url.strip_prefix("file:") {
            let open = || {
                let disk = DiskStore::open_root(Path::new(path))?;
                if exclusive {
                    disk.lock()?;
                }
                Ok::<_, io::Error>(Self::Disk(disk))
            };
            return open().map_err(|error| unusable(format!("{url}: {error}")));
        }
        let bucket = S3Store::connect(config, largest)?;
        bucket.check()?;
        Ok(Self::S3(bucket))
    }

    /// Starts a new object; see [`DiskStore::create`].
    pub fn create(&self, key: &ObjectKey) -> Result<Incoming, StoreError> {
        match self {
            Self::Disk(disk) => disk.create(key).map(Incoming::Disk),
            Self::S3(bucket) => bucket.create(key).map(Incoming::of_bucket),
        }
    }

    /// Goes on with an object; see [`DiskStore::resume`].
    pub fn resume(&self, key: &ObjectKey, left: &Left) -> Result<Incoming, StoreError> {
        match self {
            Self::Disk(disk) => disk.resume(key, left.at).map(Incoming::Disk),
            Self::S3(bucket) => bucket.resume(key, left).map(Incoming::of_bucket),
        }
    }

    /// Numbers that a request has to reserve in the ledger when it sends `unsaved` bytes more than it acknowledges on the way;
    /// `None` where the ledger has nothing to keep.
    pub fn numbers(&self, unsaved: u64) -> Option<u32> {
        match self {
            Self::Disk(_) => None,
            Self::S3(bucket) => Some(bucket.numbers(unsaved)),
        }
    }

    /// What was received of an object that is to become part of another, for reading. In a bucket only whole objects can be
    /// read: there it gets its name.
    pub fn open_part(&self, key: &ObjectKey, left: &Left) -> Result<Box<dyn ReadAt + Send>, StoreError> {
        match self {
            Self::Disk(disk) => Ok(Box::new(disk.open_part(key)?.0)),
            Self::S3(bucket) => Ok(Box::new(bucket.resume(key, left)?.publish()?)),
        }
    }

    /// A stored object for reading.
    pub fn open(&self, key: &ObjectKey) -> Result<Content, StoreError> {
        match self {
            Self::Disk(disk) => disk.open(key).map(|(file, size)| Content::File(file, size)),
            Self::S3(bucket) => bucket.open(key).map(Content::Remote),
        }
    }

    /// Bytes of a stored object, or of what was received of it; `None` when there is nothing.
    pub fn size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Disk(disk) => disk.size(key),
            Self::S3(bucket) => bucket.size(key),
        }
    }

    /// Bytes of a stored object; `None` when it is not there whole.
    pub fn stored_size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Disk(disk) => disk.stored_size(key),
            Self::S3(bucket) => bucket.stored_size(key),
        }
    }

    /// Removes an object, whole or half received, durably. `false` when there was nothing.
    pub fn remove(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        match self {
            Self::Disk(disk) => disk.remove(key),
            Self::S3(bucket) => bucket.remove(key),
        }
    }

    /// Removes all of these objects of one video, as [`Store::remove`] does one.
    pub fn remove_all(&self, video: &VideoId, objects: &[Id]) -> Result<(), StoreError> {
        match self {
            Self::Disk(disk) => disk.remove_all(video, objects).map(drop),
            Self::S3(bucket) => bucket.remove_all(video, objects).map(drop),
        }
    }

    /// Bytes that the file system of the store has left for us.
    pub fn free(&self) -> Result<u64, StoreError> {
        match self {
            Self::Disk(disk) => disk.free(),
            // A bucket says so only when it is full.
            Self::S3(_) => Ok(u64::MAX),
        }
    }

    /// The groups that [`Store::list`] lists, in order: a bounded way through a store of any size.
    pub fn groups(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Disk(disk) => disk.groups(),
            Self::S3(bucket) => bucket.groups(),
        }
    }

    /// Everything that lies in one group, stray things included.
    pub fn list(&self, group: &str) -> Result<Vec<Found>, StoreError> {
        match self {
            Self::Disk(disk) => disk.list(group),
            Self::S3(bucket) => bucket.list(group),
        }
    }

    /// Everything that lies in the place of one video.
    pub fn list_video(&self, video: &VideoId) -> Result<Vec<Found>, StoreError> {
        match self {
            Self::Disk(disk) => disk.list_video(video),
            Self::S3(bucket) => bucket.list_video(video),
        }
    }

    /// Removes something that [`Store::list`] found and no ledger row names. Links are removed, never followed.
    pub fn remove_found(&self, found: &Found) -> Result<bool, StoreError> {
        match self {
            Self::Disk(disk) => disk.remove_found(found),
            Self::S3(bucket) => bucket.remove_found(found),
        }
    }
}
