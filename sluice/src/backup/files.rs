//! Files and folders of a backup: durable, and for their owner alone.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use common::config::ConfigError;
use common::service::StartError;

const SECRETS: &str = "secrets";

pub(super) fn make_new(to: &Path) -> Result<(), ConfigError> {
    let there = std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if there {
        let says = format!("{} isn't empty; name a new folder", to.display());
        return Err(ConfigError::new("--to", says));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(to);
    made.and_then(|()| std::fs::set_permissions(to, Permissions::from_mode(0o700)))
        .map_err(|error| wrong("--to", to, error))
}

pub(super) fn copy_secrets(from: &Path, to: &Path) -> Result<(), StartError> {
    let (from, to) = (from.join(SECRETS), to.join(SECRETS));
    if !from.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&to);
    made.map_err(|error| other(&to, error))?;
    for name in ["internal_token", "grant_keys"] {
        if from.join(name).is_file() {
            copy_file(&from.join(name), &to.join(name))?;
        }
    }
    sync_folder(&to)
}

/// A durable copy that only its owner can read.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), StartError> {
    let copied = || -> std::io::Result<()> {
        let mut source = File::open(from)?;
        let mut target = create(to)?;
        std::io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copied().map_err(|error| other(to, error))
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    let written = create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| other(path, error))
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

pub(super) fn sync_folder(path: &Path) -> Result<(), StartError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| other(path, error))
}

pub(super) fn wrong(key: &str, path: &Path, error: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(key, format!("{}: {error}", path.display()))
}

pub(super) fn other(path: &Path, error: impl std::fmt::Display) -> StartError {
    StartError::Other(format!("{}: {error}", path.display()))
}
