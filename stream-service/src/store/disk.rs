//! Objects as files: `<root>/<first two characters of the video>/<video>/<object>`, and `<object>.part` while they come in.
//!
//! What is promised: a published object survives a power cut (data synced, then renamed, then the directory synced, and the
//! parents that had to be made); a failed sync fails the object for good, because the kernel may have dropped the pages it
//! could not write; no path component is ever followed through a symbolic link.

mod listing;
mod resume;

use super::{ObjectKey, StoreError};
use common::ids::{Id, VideoId};
use log::warn;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        Advice, AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, fadvise, fdatasync, flock, fstatvfs, fsync,
        mkdirat, openat, statat, unlinkat,
    },
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Write},
    num::NonZeroU64,
    path::Path,
    sync::Arc,
    time::Duration,
};

pub use listing::{Found, FoundKind};

/// Directories and files are the service's own business.
const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

const PART: &str = ".part";

/// Times a directory is made again when a concurrent removal of its last object takes it away.
const MAKE_ATTEMPTS: usize = 8;

/// How long to wait for a process that is just ending to let go of the store: 5 s.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct DiskStore {
    root: Arc<OwnedFd>,
}

/// An object that is being received. Dropping it without [`Incoming::publish`] removes what was written, unless it was opened
/// by [`DiskStore::resume`].
#[derive(Debug)]
pub struct Incoming {
    file: File,
    directory: OwnedFd,
    name: String,
    root: Arc<OwnedFd>,
    video: VideoId,
    /// Bytes of the file, and how many of them the disk has: what may be acknowledged.
    written: u64,
    synced: u64,
    /// Whether `name.part` is still ours to remove.
    unpublished: bool,
}

impl DiskStore {
    /// Opens the store at `root`, made if missing.
    pub fn open_root(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let store = Self::open_there(root)?;
        rustix::fs::fchmod(&*store.root, DIR_MODE)?;
        Ok(store)
    }

    /// Opens the store at `root` as it is.
    pub fn open_there(root: &Path) -> io::Result<Self> {
        // The root itself is the operator's choice and may be a link; nothing below it may.
        let root = openat(CWD, root, DIR_FLAGS.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Self { root: Arc::new(root) })
    }

    /// Takes the store for this process alone, until the last clone is dropped. A process that is just ending gets some time.
    pub fn lock(&self) -> io::Result<()> {
        let mut attempts = LOCK_ATTEMPTS;
        loop {
            match flock(&*self.root, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if attempts > 0 => attempts -= 1,
                Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another process uses this store")),
                other => return Ok(other?),
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Starts a new object: a file nobody else has, in the directory where it will stay.
    pub fn create(&self, key: &ObjectKey) -> Result<Incoming, StoreError> {
        let name = key.object.to_string();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..MAKE_ATTEMPTS {
            let directory = match self.make_video_dir(&key.video) {
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            match openat(&directory, format!("{name}{PART}"), flags, FILE_MODE) {
                Ok(file) => {
                    let (root, video) = (Arc::clone(&self.root), key.video.clone());
                    return Ok(Incoming {
                        file: file.into(),
                        directory,
                        name,
                        root,
                        video,
                        written: 0,
                        synced: 0,
                        unpublished: true,
                    });
                }
                // The directory was empty and went away between the two calls.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(StoreError::Io(io::Error::other(
            "the directory of the video keeps disappearing",
        )))
    }

    pub fn open(&self, key: &ObjectKey) -> Result<(File, u64), StoreError> {
        self.open_named(key, key.object.as_str())
    }

    fn open_named(&self, key: &ObjectKey, name: &str) -> Result<(File, u64), StoreError> {
        let directory = self.video_dir(&key.video)?;
        // NONBLOCK: opening a planted FIFO must not hang a thread; it means nothing for regular files.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(&directory, name, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(StoreError::Io(io::Error::other("not a regular file")));
        }
        Ok((file, metadata.len()))
    }

    pub fn size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        self.size_of_any(key, &names(key))
    }

    pub fn stored_size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        self.size_of_any(key, &names(key)[..1])
    }

    fn size_of_any(&self, key: &ObjectKey, names: &[String]) -> Result<Option<u64>, StoreError> {
        let directory = match self.video_dir(&key.video) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        for name in names {
            match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => return Ok(Some(u64::try_from(stat.st_size).unwrap_or(0))),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }

    pub fn remove(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        self.remove_all(&key.video, std::slice::from_ref(&key.object))
    }

    /// Whether any of them was there. Durable: either the directory without them is synced, or its own removal is.
    pub fn remove_all(&self, video: &VideoId, objects: &[Id]) -> Result<bool, StoreError> {
        let directory = match self.video_dir(video) {
            Err(Errno::NOENT) => return Ok(false),
            other => other?,
        };
        let mut removed = false;
        for object in objects {
            removed |= unlink(&directory, object.as_str())?;
            removed |= unlink(&directory, &format!("{object}{PART}"))?;
        }
        let group = openat(&*self.root, group_of(video), DIR_FLAGS, Mode::empty())?;
        // A sync also when nothing was there: an earlier try may have unlinked and then failed to sync.
        match unlinkat(&group, video.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => fsync(&group)?,
            Err(_) => fsync(&directory)?,
        }
        Ok(removed)
    }

    /// Unlinks what was found, if the name still stands for something that isn't a directory.
    pub fn remove_found(&self, found: &Found) -> Result<bool, StoreError> {
        let mut directory = self.root.try_clone()?;
        let mut names = found.path.iter().peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                let removed = unlink(&directory, &name.to_string_lossy())?;
                fsync(&directory)?;
                if let FoundKind::Object(key) | FoundKind::Part(key) | FoundKind::Leftover(key) = &found.kind {
                    remove_empty_dir(&self.root, &key.video);
                }
                return Ok(removed);
            }
            directory = match openat(&directory, name, DIR_FLAGS, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(false),
                other => other?,
            };
        }
        Ok(false)
    }

    pub fn free(&self) -> Result<u64, StoreError> {
        free(&self.root)
    }

    fn video_dir(&self, video: &VideoId) -> Result<OwnedFd, Errno> {
        let group = openat(&*self.root, group_of(video), DIR_FLAGS, Mode::empty())?;
        openat(&group, video.as_str(), DIR_FLAGS, Mode::empty())
    }

    /// The directory of a video, made durably if missing.
    fn make_video_dir(&self, video: &VideoId) -> Result<OwnedFd, Errno> {
        let group = make_dir(&self.root, group_of(video))?;
        make_dir(&group, video.as_str())
    }
}

impl Incoming {
    /// Appends; fails with [`StoreError::Full`] when there is no space.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// As [`DiskStore::free`].
    pub fn free(&self) -> Result<u64, StoreError> {
        free(&self.root)
    }

    /// The bytes written so far, for looking inside.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Has the disk begin with a range of written bytes, without waiting for the end of it; may wait for the disk to take it.
    ///
    /// `sync_file_range` has no safe wrapper; DONTNEED does the same (Linux starts write-back of the range, `mm/fadvise.c`),
    /// and drops only pages that are clean by then, which those just handed to the disk are not.
    pub fn begin_write_back(&self, from: u64, bytes: u64) -> Result<(), StoreError> {
        Ok(fadvise(&self.file, from, NonZeroU64::new(bytes), Advice::DontNeed)?)
    }

    /// Brings the data to the disk. After an error the object is lost: dropping it is all that is left.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        fdatasync(&self.file)?;
        self.synced = self.written;
        Ok(())
    }

    /// Bytes of the file that are on the disk, by the last sync that succeeded.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Gives the synced object its name and makes the name durable.
    pub fn publish(mut self) -> Result<(), StoreError> {
        let part = format!("{}{PART}", self.name);
        rustix::fs::renameat_with(
            &self.directory,
            &part,
            &self.directory,
            &self.name,
            RenameFlags::NOREPLACE,
        )?;
        self.unpublished = false;
        Ok(fsync(&self.directory)?)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.unpublished {
            let part = format!("{}{PART}", self.name);
            match unlink(&self.directory, &part).and_then(|_| Ok(fsync(&self.directory)?)) {
                Ok(()) => remove_empty_dir(&self.root, &self.video),
                Err(error) => warn!(
                    "Could not remove {part} of {}: {error}; the reconciler will",
                    self.video
                ),
            }
        }
    }
}

/// What is left for processes without privileges.
fn free(root: &OwnedFd) -> Result<u64, StoreError> {
    let stat = fstatvfs(root)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn group_of(video: &VideoId) -> &str {
    &video.as_str()[..2]
}

fn names(key: &ObjectKey) -> [String; 2] {
    [key.object.to_string(), format!("{}{PART}", key.object)]
}

/// `false` when it was gone already.
fn unlink(directory: &OwnedFd, name: &str) -> Result<bool, StoreError> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Empty directories are only untidy: failing to remove one (something new is in it) is no error.
fn remove_empty_dir(root: &OwnedFd, video: &VideoId) {
    let Ok(group) = openat(root, group_of(video), DIR_FLAGS, Mode::empty()) else {
        return;
    };
    if unlinkat(&group, video.as_str(), AtFlags::REMOVEDIR).is_ok() && fsync(&group).is_err() {
        warn!("Could not sync the directory that held {video}");
    }
}

fn make_dir(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match mkdirat(parent, name, DIR_MODE) {
        Ok(()) => fsync(parent)?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    openat(parent.as_fd(), name, DIR_FLAGS, Mode::empty())
}

#[cfg(test)]
mod tests;
