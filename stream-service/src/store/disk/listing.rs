//! What lies in the store, for the sweeps: in pages of one group, links seen and never followed.

use super::{DIR_FLAGS, DiskStore, PART, group_of};
use crate::store::{ObjectKey, StoreError};
use common::ids::VideoId;
use log::warn;
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Dir, FileType, Mode, openat, statat},
    io::Errno,
};
use std::path::{Path, PathBuf};

/// Entries listed of one group per call; 1,024 groups of it are 100 million. What lies beyond is found by a later run.
const MAX_LISTED: usize = 100_000;

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
    /// What a request left beside an object that is whole by now. Never on a disk.
    Leftover(ObjectKey),
    /// A regular file that no upload of ours can have made, or a symbolic link. (Directories are not listed.)
    Stray,
}

impl DiskStore {
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
