//! The machine: its clock, its disk.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Finding;
use crate::config::Config;
use crate::time::Timestamp;

/// No release is older than this: 2026-01-01 UTC, Unix milliseconds. A clock before it makes grants of the future.
const EARLIEST_MS: i64 = 1_767_225_600_000;

/// Below this share of free inodes or bytes a disk is as good as full.
const LEAST_SHARE: u64 = 20;

/// File systems that are gone with the machine or the container (`linux/magic.h`).
const PASSING: [(u64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x794c_7630, "overlay")];

/// Whether this machine knows what time it is.
#[must_use]
pub fn clock() -> Finding {
    let now = Timestamp::now();
    if now.0 < EARLIEST_MS {
        let says = format!("this machine believes that it is {now}");
        return Finding::fail(
            "clock",
            "time",
            says,
            "set the clock, and keep it with NTP: grants and sessions expire by it",
        );
    }
    Finding::ok("clock", "time", now)
}

/// The data folder.
#[must_use]
pub fn data_dir(config: &Config) -> Vec<Finding> {
    folder("server.data_dir", &config.data_dir())
}

/// A folder of ours: there or to be made, writable, private.
#[must_use]
pub fn folder(key: &str, path: &Path) -> Vec<Finding> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            let says = format!("{} is not a folder", path.display());
            return vec![Finding::fail(
                key,
                "folder",
                says,
                "name a folder, or one that can be made",
            )];
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return vec![to_be_made(key, path)],
        Err(error) => {
            let says = format!("{}: {error}", path.display());
            return vec![Finding::fail(
                key,
                "folder",
                says,
                "name a folder that this user can open",
            )];
        }
    };
    let mut findings = Vec::new();
    let mode = meta.mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.push(Finding::warn(
            key,
            "permissions",
            format!("{} has mode {mode:o}: others can look inside", path.display()),
            format!("chmod 700 {}", path.display()),
        ));
    }
    findings.push(match tempfile_in(path) {
        Ok(()) => Finding::ok(key, "folder", format!("{} can be written", path.display())),
        Err(error) => Finding::fail(
            key,
            "folder",
            format!("{} can't be written: {error}", path.display()),
            "give the folder to the user that runs sluice, or mount it writable",
        ),
    });
    findings
}

fn to_be_made(key: &str, path: &Path) -> Finding {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parent = absolute.ancestors().find(|ancestor| ancestor.exists());
    match parent.map(|parent| (parent, tempfile_in(parent))) {
        Some((_, Ok(()))) => Finding::ok(key, "folder", format!("{} will be made", path.display())),
        Some((parent, Err(error))) => Finding::fail(
            key,
            "folder",
            format!("{} can't be made: {}: {error}", path.display(), parent.display()),
            "name a folder that this user can make",
        ),
        None => Finding::fail(
            key,
            "folder",
            format!("{} can't be made", path.display()),
            "name a folder",
        ),
    }
}

/// Writes, syncs and removes a small file.
fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".sluice-doctor-{}", crate::ids::Id::now()));
    let written = write_synced(&path);
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn write_synced(path: &Path) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(b"written by sluice doctor, to be removed\n")?;
    file.sync_all()
}

/// The file system that holds `path`: room, and whether it stays.
#[must_use]
pub fn disk(key: &str, path: &Path) -> Vec<Finding> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = absolute.ancestors().find(|ancestor| ancestor.exists()) else {
        return Vec::new();
    };
    let Ok(stat) = rustix::fs::statvfs(there) else {
        return Vec::new();
    };
    let (free, size) = (stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize);
    let mut findings = Vec::new();
    let room = format!("{}: {} of {} free", there.display(), shown(free), shown(size));
    findings.push(if free < size / LEAST_SHARE {
        Finding::warn(key, "disk", room, "make room, or move the data to a larger disk")
    } else {
        Finding::ok(key, "disk", room)
    });
    if stat.f_files > 0 && stat.f_favail < stat.f_files / LEAST_SHARE {
        findings.push(Finding::warn(
            key,
            "disk",
            format!("{}: {} of {} inodes free", there.display(), stat.f_favail, stat.f_files),
            "every object is a file: use a file system with more inodes",
        ));
    }
    if let Ok(stat) = rustix::fs::statfs(there)
        && let Some((_, name)) = PASSING.iter().find(|(magic, _)| *magic == stat.f_type as u64)
    {
        findings.push(Finding::warn(
            key,
            "disk",
            format!(
                "{} is on {name}: what is stored is gone with the machine or the container",
                there.display()
            ),
            "mount a disk or a volume there",
        ));
    }
    findings
}

/// To a tenth of a GiB: nobody wants the bytes.
fn shown(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mut config = Config::default();
        for (path, level) in [
            (file.clone(), Level::Fail),
            (file.join("below"), Level::Fail),
            (dir.path().join("a/b"), Level::Ok),
            ("/proc/sluice".into(), Level::Fail),
        ] {
            config.server.data_dir = path.display().to_string();
            let found = data_dir(&config);
            assert_eq!(
                found.iter().map(|found| found.level).max(),
                Some(level),
                "{path:?}: {found:?}"
            );
        }
        mode(dir.path(), 0o755);
        config.server.data_dir = dir.path().display().to_string();
        assert_eq!(data_dir(&config)[0].level, Level::Warn);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn memory_is_no_place_for_data() {
        if Path::new("/dev/shm").is_dir() {
            let found = disk("store.url", Path::new("/dev/shm/media"));
            assert!(found.iter().any(|found| found.says.contains("tmpfs")), "{found:?}");
        }
    }
}
