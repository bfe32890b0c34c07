//! `sluice backup` and `sluice restore` for the embedded way: SQLite files and a media folder, while the platform runs.
//!
//! **Order.** api.db is taken first, then scheduler.db, then stream.db with the media, so that whatever api.db calls ready was in
//! the ledger before; what happened in between the reconciler mends as after a crash. Media is linked before the ledger is taken and
//! again after it; an object that went away in between makes the ledger be taken anew. In the end exactly the objects that the
//! backup's ledger calls live lie in it. The manifest is written last: a folder without one is no backup.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common::config::{Config, ConfigError};
use common::data_dir;
use common::db::{DatabaseUrl, read_file, snapshot};
use common::service::StartError;
use common::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stream_service::store::Store;
use stream_service::transfer::{self as media, CopyError, LiveObject};

const MANIFEST: &str = "backup.json";
const MEDIA: &str = "media";
const SECRETS: &str = "secrets";

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

/// Brings a backup into an empty data folder. What an interrupted run has left is its own to overwrite.
pub fn restore(config: &Config, from: &Path) -> Result<(), StartError> {
    let files = embedded(config)?;
    let manifest = manifest(from)?;
    let folder = config.data_dir();
    refuse_data(config, &files)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| wrong("server.data_dir", &folder, error))?;
    let _locks = data_dir::lock(config, &ORDER)?;
    write_synced(
        &folder.join(data_dir::RESTORING),
        b"`sluice restore` writes here until this file is gone\n",
    )?;
    for database in &manifest.databases {
        let found = describe(&database.service, &file(from, &database.service))?;
        if found.sha256 != database.sha256 {
            let says = format!(
                "{} is not what the backup was made with",
                file(from, &database.service).display()
            );
            return Err(ConfigError::new("--from", says).into());
        }
    }
    let (objects, bytes) = restore_media(config, from)?;
    for database in &manifest.databases {
        let to = &files
            .iter()
            .find(|(service, _)| *service == database.service)
            .expect("three services")
            .1;
        copy_file(&file(from, &database.service), to)?;
        for rest in ["-wal", "-shm"] {
            let mut beside = to.clone().into_os_string();
            beside.push(rest);
            drop(std::fs::remove_file(beside));
        }
    }
    copy_secrets(from, &folder)?;
    std::fs::remove_file(folder.join(data_dir::RESTORING)).map_err(|error| other(&folder, error))?;
    sync_folder(&folder)?;
    println!(
        "Restored the backup of {} to {}: 3 databases, {objects} objects, {bytes} bytes, every hash compared",
        manifest.created_at,
        folder.display()
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

fn make_new(to: &Path) -> Result<(), ConfigError> {
    let there = std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if there {
        let says = format!("{} isn't empty; name a new folder", to.display());
        return Err(ConfigError::new("--to", says));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(to);
    made.and_then(|()| std::fs::set_permissions(to, Permissions::from_mode(0o700)))
        .map_err(|error| wrong("--to", to, error))
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

fn restore_media(config: &Config, from: &Path) -> Result<(u64, u64), StartError> {
    let source = media::open_shared(&from.join(MEDIA)).map_err(|error| ConfigError::new("--from", error))?;
    let target = media::open_target(config)?;
    let (mut objects, mut bytes, mut damaged) = (0, 0, 0);
    for object in live(&file(from, "stream"))? {
        match media::copy_object(&source, &target, &object) {
            Ok(()) => {
                objects += 1;
                bytes += object.size;
            }
            Err(CopyError::Target(error)) => return Err(StartError::Other(format!("{}: {error}", object.key))),
            Err(error) => {
                damaged += 1;
                println!("DAMAGED {}: {error}", object.key);
            }
        }
    }
    if damaged > 0 {
        return Err(StartError::Other(format!(
            "{damaged} objects of the backup are not what its ledger says: bring their files back, or take another backup"
        )));
    }
    Ok((objects, bytes))
}

/// A data folder is only filled when nothing is in it, or what an interrupted restore has left.
fn refuse_data(config: &Config, files: &[(&str, PathBuf)]) -> Result<(), ConfigError> {
    let folder = config.data_dir();
    if folder.join(data_dir::RESTORING).exists() {
        return Ok(());
    }
    let media = media_folder(config)?;
    let holds = |path: &Path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    let there = files.iter().map(|(_, path)| path).find(|path| path.exists());
    let there = there.cloned().or_else(|| holds(&media).then_some(media));
    match there {
        Some(path) => {
            let says = format!("{} is there already; restore into an empty folder", path.display());
            Err(ConfigError::new("server.data_dir", says))
        }
        None => Ok(()),
    }
}

fn manifest(from: &Path) -> Result<Manifest, ConfigError> {
    let path = from.join(MANIFEST);
    let says = |error: &dyn std::fmt::Display| {
        ConfigError::new(
            "--from",
            format!("{} is not a whole backup: {MANIFEST}: {error}", from.display()),
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| says(&error))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| says(&error))?;
    let all = ORDER
        .iter()
        .all(|service| manifest.databases.iter().any(|one| one.service == *service));
    if all && manifest.databases.len() == ORDER.len() {
        Ok(manifest)
    } else {
        Err(says(&"it does not name three databases"))
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

fn copy_secrets(from: &Path, to: &Path) -> Result<(), StartError> {
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
fn copy_file(from: &Path, to: &Path) -> Result<(), StartError> {
    let copied = || -> std::io::Result<()> {
        let mut source = File::open(from)?;
        let mut target = create(to)?;
        std::io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copied().map_err(|error| other(to, error))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
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

fn sync_folder(path: &Path) -> Result<(), StartError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| other(path, error))
}

fn wrong(key: &str, path: &Path, error: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(key, format!("{}: {error}", path.display()))
}

fn other(path: &Path, error: impl std::fmt::Display) -> StartError {
    StartError::Other(format!("{}: {error}", path.display()))
}
