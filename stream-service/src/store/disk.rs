//! Objects as files: `<root>/<first two characters of the video>/<video>/<object>`, and `<object>.part` while they come in.
//!
//! What is promised: a published object survives a power cut (data synced, then renamed, then the directory synced, and the
//! parents that had to be made); a failed sync fails the object for good, because the kernel may have dropped the pages it
//! could not write; no path component is ever followed through a symbolic link.

use super::{ObjectKey, StoreError};
use common::ids::{Id, VideoId};
use log::warn;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, fdatasync, flock, fsync, mkdirat,
        openat, statat, unlinkat,
    },
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Directories and files are the service's own business.
const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

const PART: &str = ".part";

/// Entries listed of one group per call; 1,024 groups of it are 100 million. What lies beyond is found by a later run.
const MAX_LISTED: usize = 100_000;

/// Times a directory is made again when a concurrent removal of its last object takes it away.
const MAKE_ATTEMPTS: usize = 8;

/// How long to wait for a process that is just ending to let go of the store: 5 s.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct DiskStore {
    root: Arc<OwnedFd>,
}

/// An object that is being received. Dropping it without [`Incoming::publish`] removes what was written.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    directory: OwnedFd,
    name: String,
    root: Arc<OwnedFd>,
    video: VideoId,
    /// Whether `name.part` is still ours to remove.
    unpublished: bool,
}

/// One thing that lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub kind: FoundKind,
    /// Below the root, for the log and for [`DiskStore::remove_found`].
    pub path: PathBuf,
    pub bytes: u64,
    /// Last change, Unix milliseconds.
    pub modified_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundKind {
    Object(ObjectKey),
    Part(ObjectKey),
    /// A regular file that no upload of ours can have made, or a symbolic link. (Directories are not listed.)
    Stray,
}

impl DiskStore {
    /// Opens the store at `root`, made if missing.
    pub fn open_root(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        // The root itself is the operator's choice and may be a link; nothing below it may.
        let root = openat(CWD, root, DIR_FLAGS.difference(OFlags::NOFOLLOW), Mode::empty())?;
        rustix::fs::fchmod(&root, DIR_MODE)?;
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
        let directory = self.video_dir(&key.video)?;
        // NONBLOCK: opening a planted FIFO must not hang a thread; it means nothing for regular files.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(&directory, key.object.to_string(), flags, Mode::empty())?);
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

    pub fn groups(&self) -> Result<Vec<String>, StoreError> {
        let mut groups: Vec<String> = self
            .entries(&self.root)?
            .into_iter()
            .filter(|(_, kind)| *kind == FileType::Directory)
            .map(|(name, _)| name)
            .collect();
        groups.sort_unstable();
        Ok(groups)
    }

    pub fn list(&self, group: &str) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        let directory = match openat(&*self.root, group, DIR_FLAGS, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(found),
            other => other?,
        };
        for (name, kind) in self.entries(&directory)? {
            let path = Path::new(group).join(&name);
            if kind != FileType::Directory {
                found.extend(stray(&directory, &name, path)?);
                continue;
            }
            found.extend(self.list_dir(&directory, &name, &path)?);
            if found.len() >= MAX_LISTED {
                warn!("More than {MAX_LISTED} files below {group}: the rest is looked at in a later run");
                break;
            }
        }
        Ok(found)
    }

    pub fn list_video(&self, video: &VideoId) -> Result<Vec<Found>, StoreError> {
        match openat(&*self.root, group_of(video), DIR_FLAGS, Mode::empty()) {
            Ok(group) => self.list_dir(&group, video.as_str(), &Path::new(group_of(video)).join(video.as_str())),
            Err(Errno::NOENT) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What lies in the directory of one video, named `path` below the root.
    fn list_dir(&self, group: &OwnedFd, name: &str, path: &Path) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        let directory = match openat(group, name, DIR_FLAGS, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(found),
            other => other?,
        };
        for (file, kind) in self.entries(&directory)? {
            if kind != FileType::Directory {
                found.extend(classify(&directory, name, &file, kind, path.join(&file))?);
            }
        }
        Ok(found)
    }

    /// Unlinks what was found, if the name still stands for something that isn't a directory.
    pub fn remove_found(&self, found: &Found) -> Result<bool, StoreError> {
        let mut directory = self.root.try_clone()?;
        let mut names = found.path.iter().peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                let removed = unlink(&directory, &name.to_string_lossy())?;
                fsync(&directory)?;
                if let FoundKind::Object(key) | FoundKind::Part(key) = &found.kind {
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

    fn video_dir(&self, video: &VideoId) -> Result<OwnedFd, Errno> {
        let group = openat(&*self.root, group_of(video), DIR_FLAGS, Mode::empty())?;
        openat(&group, video.as_str(), DIR_FLAGS, Mode::empty())
    }

    /// The directory of a video, made durably if missing.
    fn make_video_dir(&self, video: &VideoId) -> Result<OwnedFd, Errno> {
        let group = make_dir(&self.root, group_of(video))?;
        make_dir(&group, video.as_str())
    }

    /// Names and types, `.` and `..` and names that are not UTF-8 (none of ours) left out; the type is asked for, not followed.
    fn entries(&self, directory: &OwnedFd) -> Result<Vec<(String, FileType)>, StoreError> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(errno.into()),
                },
                kind => kind,
            };
            entries.push((name.to_owned(), kind));
            if entries.len() >= MAX_LISTED {
                break;
            }
        }
        Ok(entries)
    }
}

impl Incoming {
    /// Appends; fails with [`StoreError::Full`] when there is no space.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        Ok(self.file.write_all(bytes)?)
    }

    /// The bytes written so far, for looking inside.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Brings the data to the disk. After an error the object is lost: dropping it is all that is left.
    pub fn sync(&self) -> Result<(), StoreError> {
        Ok(fdatasync(&self.file)?)
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

fn stray(directory: &OwnedFd, name: &str, path: PathBuf) -> Result<Option<Found>, StoreError> {
    found(directory, name, FoundKind::Stray, path)
}

/// What a file in the directory of a video is, by its name.
fn classify(
    directory: &OwnedFd,
    video: &str,
    name: &str,
    kind: FileType,
    path: PathBuf,
) -> Result<Option<Found>, StoreError> {
    if kind != FileType::RegularFile {
        return stray(directory, name, path);
    }
    let (id, part) = name.strip_suffix(PART).map_or((name, false), |id| (id, true));
    let kind = match (video.parse::<VideoId>(), id.parse()) {
        // A good name in the wrong group can't be opened by its key: a stray.
        (Ok(video), Ok(object)) if path.starts_with(group_of(&video)) => {
            let key = ObjectKey { video, object };
            if part {
                FoundKind::Part(key)
            } else {
                FoundKind::Object(key)
            }
        }
        _ => FoundKind::Stray,
    };
    found(directory, name, kind, path)
}

fn found(directory: &OwnedFd, name: &str, kind: FoundKind, path: PathBuf) -> Result<Option<Found>, StoreError> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            let bytes = u64::try_from(stat.st_size).unwrap_or(0);
            let modified_ms = stat
                .st_mtime
                .saturating_mul(1000)
                .saturating_add(stat.st_mtime_nsec as i64 / 1_000_000);
            Ok(Some(Found {
                kind,
                path,
                bytes,
                modified_ms,
            }))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, os::unix::fs::PermissionsExt};

    const VIDEO: &str = "0abcdefghjkm";

    fn store() -> (tempfile::TempDir, DiskStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open_root(&dir.path().join("media")).unwrap();
        (dir, store)
    }

    fn key(number: u64) -> ObjectKey {
        let object = format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap();
        ObjectKey {
            video: VIDEO.parse().unwrap(),
            object,
        }
    }

    fn put(store: &DiskStore, key: &ObjectKey, bytes: &[u8]) {
        let mut incoming = store.create(key).unwrap();
        incoming.write(bytes).unwrap();
        incoming.sync().unwrap();
        incoming.publish().unwrap();
    }

    fn all(store: &DiskStore) -> Vec<Found> {
        store
            .groups()
            .unwrap()
            .iter()
            .flat_map(|group| store.list(group).unwrap())
            .collect()
    }

    #[test]
    fn an_object_appears_when_it_is_published() {
        let (dir, store) = store();
        let mut incoming = store.create(&key(1)).unwrap();
        incoming.write(b"hello").unwrap();
        assert!(matches!(store.open(&key(1)), Err(StoreError::Missing)));
        assert_eq!(store.size(&key(1)).unwrap(), Some(5));
        incoming.sync().unwrap();
        incoming.publish().unwrap();
        let (mut file, size) = store.open(&key(1)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), size), ("hello", 5));
        let path = dir.path().join(format!("media/0a/{VIDEO}/{}", key(1).object));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_dropped_upload_leaves_nothing() {
        let (dir, store) = store();
        let mut incoming = store.create(&key(1)).unwrap();
        incoming.write(b"half").unwrap();
        drop(incoming);
        assert_eq!(all(&store), []);
        assert!(!dir.path().join("media/0a").join(VIDEO).exists());
    }

    #[test]
    fn names_are_taken_once() {
        let (_dir, store) = store();
        let _first = store.create(&key(1)).unwrap();
        assert!(matches!(store.create(&key(1)), Err(StoreError::Exists)));
        put(&store, &key(2), b"x");
        let again = store.create(&key(2)).unwrap();
        assert!(matches!(again.publish(), Err(StoreError::Exists)));
        assert_eq!(store.size(&key(2)).unwrap(), Some(1));
    }

    #[test]
    fn removing_is_repeatable() {
        let (_dir, store) = store();
        put(&store, &key(1), b"x");
        assert!(store.remove(&key(1)).unwrap());
        assert!(!store.remove(&key(1)).unwrap());
        assert_eq!(store.size(&key(1)).unwrap(), None);
        assert_eq!(all(&store), []);
    }

    #[test]
    fn a_reader_keeps_what_was_removed() {
        let (_dir, store) = store();
        put(&store, &key(1), b"still here");
        let (mut file, _) = store.open(&key(1)).unwrap();
        store.remove(&key(1)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "still here");
    }

    #[test]
    fn links_are_never_followed() {
        let (dir, store) = store();
        put(&store, &key(1), b"x");
        let outside = dir.path().join("outside");
        std::fs::create_dir_all(outside.join(VIDEO)).unwrap();
        let secret = outside.join(VIDEO).join(key(2).object.to_string());
        std::fs::write(&secret, b"secret").unwrap();
        let video_dir = dir.path().join("media/0a").join(VIDEO);
        std::os::unix::fs::symlink(&secret, video_dir.join(key(2).object.to_string())).unwrap();
        assert!(store.open(&key(2)).is_err());
        std::os::unix::fs::symlink(&outside, dir.path().join("media/zz")).unwrap();
        std::os::unix::fs::symlink(outside.join(VIDEO), dir.path().join("media/0a/0abbbbbbbbbb")).unwrap();
        let other = ObjectKey {
            video: "0abbbbbbbbbb".parse().unwrap(),
            object: key(2).object,
        };
        assert!(store.open(&other).is_err());
        assert!(store.create(&other).is_err());
        assert_eq!(store.groups().unwrap(), ["0a"]);
        let found = all(&store);
        assert_eq!(
            found.iter().filter(|found| found.kind == FoundKind::Stray).count(),
            2,
            "{found:?}"
        );
        for found in found.iter().filter(|found| found.kind == FoundKind::Stray) {
            assert!(store.remove_found(found).unwrap());
        }
        assert!(secret.exists(), "a link was followed");
        assert_eq!(all(&store).len(), 1);
    }

    #[test]
    fn a_planted_fifo_does_not_hang() {
        let (dir, store) = store();
        put(&store, &key(1), b"x");
        let path = dir.path().join("media/0a").join(VIDEO).join(key(2).object.to_string());
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, FILE_MODE, 0).unwrap();
        assert!(store.open(&key(2)).is_err());
    }

    #[test]
    fn listing_tells_objects_parts_and_strays() {
        let (dir, store) = store();
        put(&store, &key(1), b"object");
        let _incoming = store.create(&key(2)).unwrap();
        let group = dir.path().join("media/0a");
        std::fs::write(group.join(VIDEO).join("notes.txt"), b"?").unwrap();
        std::fs::write(group.join("loose"), b"?").unwrap();
        let mut kinds: Vec<_> = all(&store)
            .into_iter()
            .map(|found| (found.path.clone(), found.kind))
            .collect();
        kinds.sort_by_key(|(path, _)| path.clone());
        let in_video = |name: String| Path::new("0a").join(VIDEO).join(name);
        assert_eq!(
            kinds,
            [
                (in_video(key(1).object.to_string()), FoundKind::Object(key(1))),
                (in_video(format!("{}.part", key(2).object)), FoundKind::Part(key(2))),
                (in_video("notes.txt".to_owned()), FoundKind::Stray),
                (Path::new("0a/loose").to_owned(), FoundKind::Stray),
            ]
        );
    }

    #[test]
    fn concurrent_uploads_and_removals_of_one_video() {
        let (_dir, store) = store();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let store = &store;
                scope.spawn(move || {
                    for round in 0..20 {
                        let key = key(thread * 1000 + round);
                        put(store, &key, b"x");
                        assert!(store.remove(&key).unwrap());
                    }
                });
            }
        });
        assert_eq!(all(&store), []);
    }
}
