//! A backup comes back: every hash is compared, and a folder that holds something is refused.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use common::config::{Config, ConfigError};
use common::data_dir;
use common::service::StartError;
use stream_service::transfer::{self as media, CopyError};

use super::files::{copy_file, copy_secrets, other, sync_folder, write_synced, wrong};
use super::{MANIFEST, MEDIA, Manifest, ORDER, describe, embedded, file, live, media_folder};

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
