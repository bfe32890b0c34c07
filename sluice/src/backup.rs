//! `sluice backup` and `sluice restore` for the embedded way: SQLite files and a media folder, while the platform runs.
//!
//! **Order.** api.db is taken first, then scheduler.db, then stream.db with the media, so that whatever api.db calls ready was in
//! the ledger before; what happened in between the reconciler mends as after a crash. Media is linked before the ledger is taken and
//! again after it; an object that went away in between makes the ledger be taken anew. In the end exactly the objects that the
//! backup's ledger calls live lie in it. The manifest is written last: a folder without one is no backup.

mod files;
mod restore;

use std::collections::HashSet;
use std::fs::{DirBuilder, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common::config::{Config, ConfigError};
use common::db::{DatabaseUrl, read_file, snapshot};
use common::service::StartError;
use common::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stream_service::store::Store;
use stream_service::transfer::{self as media, CopyError, LiveObject};

use files::{copy_secrets, make_new, other, sync_folder, write_synced};
pub use restore::restore;

const MANIFEST: &str = "backup.json";
const MEDIA: &str = "media";

/// stream.db is the last: the media goes with it.
const ORDER: [&str; 3] = ["api", "scheduler", "stream"];

/// Times the ledger is taken anew because something was deleted meanwhile.
const TRIES: usize = 10;

/// What a backup holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    version: String,
    created_at: String,
    databases: Vec<Database>,
    objects: u64,
    bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Database {
    service: String,
    bytes: u64,
    sha256: String,
}

/// Makes a backup of what `config` names in the new folder `to`. With `copy`, media is copied (and its hash compared) also where
/// it could be linked.
pub fn backup(config: &Config, to: &Path, copy: bool) -> Result<(), StartError> {
    let files = embedded(config)?;
    let source = source_store(config)?;
    make_new(to)?;
    let target = media::make_folder(&to.join(MEDIA)).map_err(|error| ConfigError::new("--to", error))?;
    let mut taken = Taken {
        from: source,
        to: target,
        paths: (media_folder(config)?, to.join(MEDIA)),
        copy,
        known: HashSet::new(),
        bytes: 0,
    };
    for service in &ORDER[..2] {
        take(&files, service, to)?;
    }
    let live = ledger_and_media(&files, to, &mut taken)?;
    copy_secrets(&config.data_dir(), to)?;
    let databases = ORDER.iter().map(|service| describe(service, &file(to, service)));
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: Timestamp::now().to_string(),
        databases: databases.collect::<Result<_, _>>()?,
        objects: live.len() as u64,
        bytes: live.iter().map(|object| object.size).sum(),
    };
    let text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data");
    write_synced(&to.join(MANIFEST), text.as_bytes())?;
    sync_folder(to)?;
    println!(
        "Backed up to {}: 3 databases, {} objects, {} bytes ({} bytes copied, the rest linked)",
        to.display(),
        manifest.objects,
        manifest.bytes,
        taken.bytes
    );
    Ok(())
}

/// The files of the three databases; an error where the configuration is not the embedded one.
fn embedded(config: &Config) -> Result<Vec<(&'static str, PathBuf)>, ConfigError> {
    ORDER
        .iter()
        .map(|service| {
            let key = format!("database.{service}");
            let url: DatabaseUrl = config
                .database_url(service)
                .parse()
                .map_err(|error| ConfigError::new(&key, error))?;
            match url {
                DatabaseUrl::Sqlite { path } => Ok((*service, path)),
                DatabaseUrl::Postgres { .. } => {
                    let says = "is PostgreSQL: back it up with pg_dump, and the media with the tools of its store (docs/operations.md)";
                    Err(ConfigError::new(key, says))
                }
            }
        })
        .collect()
}

fn media_folder(config: &Config) -> Result<PathBuf, ConfigError> {
    let url = config.store_url();
    let path = url.strip_prefix("file:");
    path.map(PathBuf::from).ok_or_else(|| {
        let says = "is no folder: back the bucket up with the tools of its store (docs/operations.md)";
        ConfigError::new("store.url", says)
    })
}

/// Shared with a running platform.
fn source_store(config: &Config) -> Result<Store, ConfigError> {
    let folder = media_folder(config)?;
    media::open_shared(&folder).map_err(|error| ConfigError::new("store.url", error))
}

fn file(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.db"))
}

/// A consistent copy of one database, durable.
fn take(files: &[(&str, PathBuf)], service: &str, to: &Path) -> Result<(), StartError> {
    let (_, from) = files.iter().find(|(name, _)| *name == service).expect("three services");
    let target = file(to, service);
    let key = format!("database.{service}");
    snapshot(from, &target).map_err(|error| ConfigError::new(key, error))?;
    std::fs::set_permissions(&target, Permissions::from_mode(0o600)).map_err(|error| other(&target, error))?;
    let synced = File::open(&target).and_then(|file| file.sync_all());
    synced.map_err(|error| other(&target, error))
}

/// The media that lies in the backup so far.
struct Taken {
    from: Store,
    to: Store,
    paths: (PathBuf, PathBuf),
    copy: bool,
    known: HashSet<String>,
    /// Bytes that were copied, not linked.
    bytes: u64,
}

fn ledger_and_media(
    files: &[(&'static str, PathBuf)],
    to: &Path,
    taken: &mut Taken,
) -> Result<Vec<LiveObject>, StartError> {
    let (_, ledger) = files
        .iter()
        .find(|(name, _)| *name == "stream")
        .expect("three services");
    let target = file(to, "stream");
    // What is gone by now is missed after the ledger is taken, if it matters.
    let mut gone = Vec::new();
    take_media(&live(ledger)?, taken, &mut gone)?;
    for _ in 0..TRIES {
        gone.clear();
        drop(std::fs::remove_file(&target));
        take(files, "stream", to)?;
        let objects = live(&target)?;
        take_media(&objects, taken, &mut gone)?;
        if gone.is_empty() {
            remove_surplus(&objects, taken)?;
            return Ok(objects);
        }
    }
    let says = format!(
        "{}: it is in the ledger and not in the store; run a reconcile job",
        gone.join(", ")
    );
    Err(StartError::Other(says))
}

/// Links or copies what is not there yet; what is not in the store goes to `gone`.
fn take_media(objects: &[LiveObject], taken: &mut Taken, gone: &mut Vec<String>) -> Result<(), StartError> {
    for object in objects {
        let name = object.key.to_string();
        if taken.known.contains(&name) {
            continue;
        }
        let linked = !taken.copy && link(object, &taken.paths);
        if !linked {
            match media::copy_object(&taken.from, &taken.to, object) {
                Ok(()) => taken.bytes += object.size,
                Err(CopyError::Missing) => {
                    gone.push(name);
                    continue;
                }
                Err(error) => return Err(StartError::Other(format!("{name}: {error}"))),
            }
        }
        taken.known.insert(name);
    }
    Ok(())
}

/// A second name for the same file: objects never change. `false` where that is not possible.
fn link(object: &LiveObject, (from, to): &(PathBuf, PathBuf)) -> bool {
    let below = media::path_below(&object.key);
    let target = to.join(&below);
    let made = target
        .parent()
        .is_some_and(|folder| DirBuilder::new().recursive(true).mode(0o700).create(folder).is_ok());
    let same_size =
        |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == object.size);
    let source = from.join(&below);
    // The folder of the video, that of its group, and the store's: any of them may be new.
    let synced = || {
        target
            .ancestors()
            .skip(1)
            .take(3)
            .all(|folder| sync_folder(folder).is_ok())
    };
    made && same_size(&source) && std::fs::hard_link(&source, &target).is_ok() && synced()
}

/// What was deleted while the backup was made is deleted in it too.
fn remove_surplus(objects: &[LiveObject], taken: &mut Taken) -> Result<(), StartError> {
    let wanted: HashSet<String> = objects.iter().map(|object| object.key.to_string()).collect();
    let surplus: Vec<String> = taken.known.difference(&wanted).cloned().collect();
    for name in surplus {
        media::remove_named(&taken.to, &name).map_err(|error| StartError::Other(format!("{name}: {error}")))?;
        taken.known.remove(&name);
    }
    Ok(())
}

/// Every live object of a ledger.
fn live(ledger: &Path) -> Result<Vec<LiveObject>, StartError> {
    let failed = |error: &dyn std::fmt::Display| other(ledger, error);
    let mut conn = read_file(ledger).map_err(|error| failed(&error))?;
    let mut all: Vec<LiveObject> = Vec::new();
    loop {
        let after = all
            .last()
            .map_or(String::new(), |object| object.key.object.as_str().to_owned());
        let page = media::live_objects(&mut conn, &after).map_err(|error| failed(&error))?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn describe(service: &str, path: &Path) -> Result<Database, StartError> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut bytes = 0;
    let mut file = File::open(path).map_err(|error| other(path, error))?;
    loop {
        let count = file.read(&mut piece).map_err(|error| other(path, error))?;
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
        bytes += count as u64;
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Database {
        service: service.to_owned(),
        bytes,
        sha256,
    })
}
