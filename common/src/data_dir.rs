//! The data folder: made at the first start, locked while in use, keeper of the secrets of the embedded way.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, Secret};
use crate::grant::GrantKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Keys are read from the first kibibytes; a longer file is not one of ours.
const MAX_SECRET_LEN: u64 = 8 * 1024;

/// Stands in the folder while `sluice restore` fills it.
pub const RESTORING: &str = "restore-unfinished";

/// Held while the process runs; another process on the same data is refused.
pub struct Locks(Vec<File>);

fn problem(path: &Path, error: impl std::fmt::Display) -> ConfigError {
    ConfigError::new("server.data_dir", format!("{}: {error}", path.display()))
}

/// Makes the folder (mode 0700) where it is missing.
pub fn create(config: &Config) -> Result<PathBuf, ConfigError> {
    let path = config.data_dir();
    if path.join(RESTORING).exists() {
        let says = "an unfinished `sluice restore` fills this folder; run it again to its end, or name another folder";
        return Err(problem(&path, says));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .map_err(|error| problem(&path, error))?;
    Ok(path)
}

/// Takes `<service>.lock` for each of `services` whose tables are a file in the folder.
pub fn lock(config: &Config, services: &[&str]) -> Result<Locks, ConfigError> {
    let dir = config.data_dir();
    let embedded = services
        .iter()
        .filter(|service| config.database_url(service).starts_with("sqlite:"));
    let mut locks = Vec::new();
    for service in embedded {
        let path = dir.join(format!("{service}.lock"));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(|error| problem(&path, error))?;
        match file.try_lock() {
            Ok(()) => locks.push(file),
            Err(TryLockError::WouldBlock) => {
                return Err(problem(
                    &dir,
                    format!(
                        "another sluice process ({service}) uses this folder; stop it, or choose another --data-dir"
                    ),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(problem(&path, error)),
        }
    }
    Ok(Locks(locks))
}

impl Drop for Locks {
    fn drop(&mut self) {
        log::debug!("{} locks given back", self.0.len());
    }
}

/// Fills in the secrets that the configuration does not set from the folder, making them when `make` is true.
pub fn secrets(config: &mut Config, make: bool) -> Result<(), ConfigError> {
    let dir = config.data_dir().join("secrets");
    if make {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|error| problem(&dir, error))?;
    }
    if config.secrets.internal_token.is_empty() {
        let token = read_or_make(&dir.join("internal_token"), make, || {
            URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
        })?;
        config.secrets.internal_token = token.unwrap_or_default().into();
    }
    if config.secrets.grant_keys.is_empty() {
        let keys = read_or_make(&dir.join("grant_keys"), make, || GrantKey::generate("k1"))?;
        config.secrets.grant_keys = keys.unwrap_or_default().lines().map(Secret::from).collect();
    }
    Ok(())
}

fn read_or_make(path: &Path, make: bool, fresh: impl FnOnce() -> String) -> Result<Option<String>, ConfigError> {
    match File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(MAX_SECRET_LEN)
                .read_to_string(&mut text)
                .map_err(|error| problem(path, error))?;
            Ok(Some(text.trim_end().to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && !make => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => write_new(path, &fresh()).map(Some),
        Err(error) => Err(problem(path, error)),
    }
}

/// Writes beside and renames, so that a kill leaves either no secret or a whole one.
fn write_new(path: &Path, text: &str) -> Result<String, ConfigError> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&beside)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| problem(path, error))?;
    Ok(text.to_owned())
}
