//! Going on with an object that was received in part, by a request or a process before.

use super::{DiskStore, FILE_MODE, Incoming, PART};
use crate::store::{ObjectKey, StoreError};
use rustix::{
    fd::OwnedFd,
    fs::{FlockOperation, Mode, OFlags, RenameFlags, flock, fsync, ftruncate, openat, renameat_with},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    sync::Arc,
    time::Duration,
};

/// How long whoever wrote before gets to let go of the file: it has been told to, and looks twice a second.
const ATTEMPTS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(100);

impl DiskStore {
    /// Opens what was received of an object, for this caller alone, and cuts it to the first `at` bytes: what lies beyond was
    /// never acknowledged. Fewer bytes than that are an error. With nothing received yet the file is made, durably.
    /// Dropping it leaves the file where it is.
    pub fn resume(&self, key: &ObjectKey, at: u64) -> Result<Incoming, StoreError> {
        let name = key.object.to_string();
        let directory = if at == 0 {
            self.make_video_dir(&key.video)?
        } else {
            self.video_dir(&key.video)?
        };
        let mut file = open_for_writing(&directory, &name, at == 0)?;
        lock(&file)?;
        // Whoever wrote before may have named it while we waited, and crashed or been replaced before its commit: it is a part
        // until it is committed.
        name_part(&directory, &name)?;
        let length = file.metadata()?.len();
        if length < at {
            return Err(StoreError::Io(io::Error::other(format!(
                "{key} has {length} bytes, {at} were acknowledged"
            ))));
        }
        ftruncate(&file, at)?;
        file.seek(SeekFrom::Start(at))?;
        if at == 0 {
            fsync(&directory)?;
        }
        Ok(Incoming {
            file,
            directory,
            name,
            root: Arc::clone(&self.root),
            video: key.video.clone(),
            written: at,
            // They were acknowledged.
            synced: at,
            unpublished: false,
        })
    }

    /// What was received of an object.
    pub fn open_part(&self, key: &ObjectKey) -> Result<(File, u64), StoreError> {
        self.open_named(key, &format!("{}{PART}", key.object))
    }
}

fn open_for_writing(directory: &OwnedFd, name: &str, make: bool) -> Result<File, StoreError> {
    // NONBLOCK: as in `open_named`.
    let mut flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    if make {
        flags |= OFlags::CREATE;
    }
    match openat(directory, format!("{name}{PART}"), flags, FILE_MODE) {
        Ok(file) => Ok(file.into()),
        Err(Errno::NOENT) => Ok(openat(directory, name, flags, Mode::empty())?.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives a file that has its last name already its name as a part back. The caller has the lock and the fence.
fn name_part(directory: &OwnedFd, name: &str) -> Result<(), StoreError> {
    match renameat_with(
        directory,
        name,
        directory,
        format!("{name}{PART}"),
        RenameFlags::NOREPLACE,
    ) {
        Ok(()) => Ok(fsync(directory)?),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn lock(file: &File) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            other => return Ok(other?),
        }
    }
    Err(StoreError::Busy)
}
