//! What `sluice move` and `sluice backup` need of this service: its tables, and its media from one store to another. Every object
//! that the ledger calls live is read once, written, read back, and has to have the SHA-256 of the ledger both times.

use crate::{
    ledger::{DELETING, LIVE, WRITING},
    schema::{objects, tus_uploads},
    store::{Content, DiskStore, Incoming, ObjectKey, ReadAt, Store, StoreError, Unusable, s3::S3Store},
};
use common::{
    config::{Config, ConfigError},
    db::{
        AnyConn, now_ms,
        transfer::{Transfer, TransferError},
    },
    ids::{Id, VideoId},
};
use diesel::prelude::*;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// In an order in which rows can be inserted.
pub const TABLES: &[&str] = &[
    "objects",
    "media",
    "tombstones",
    "outbox",
    "tus_uploads",
    "egress",
    "limit_settings",
    "instances",
];

/// Objects asked for at once.
const PAGE: i64 = 200;

/// Bytes read and written at once.
const PIECE: usize = 8 << 20;

/// The place in the record of a move that says how far the media is.
const PLACE: &str = "media";

/// Noted once the target store was found empty; outlives a move that starts over.
const WAS_EMPTY: &str = common::db::transfer::OUTLIVES;

/// What was moved of the media.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Media {
    pub objects: u64,
    pub bytes: u64,
    /// Objects that are not what the ledger says, in words.
    pub damaged: Vec<String>,
}

/// One live object, as the ledger has it.
#[derive(Debug, Clone)]
pub struct LiveObject {
    pub key: ObjectKey,
    pub size: u64,
    pub sha256: String,
}

/// Live objects in pages by object id.
pub fn live_objects(conn: &mut AnyConn, after: &str) -> QueryResult<Vec<LiveObject>> {
    let rows: Vec<(Id, VideoId, i64, String)> = objects::table
        .filter(objects::state.eq(LIVE))
        .filter(objects::object_id.gt(after))
        .select((
            objects::object_id,
            objects::video_id,
            objects::size_bytes,
            objects::sha256,
        ))
        .order(objects::object_id)
        .limit(PAGE)
        .load(conn)?;
    let rows = rows.into_iter().map(|(object, video, size, sha256)| LiveObject {
        key: ObjectKey { video, object },
        size: u64::try_from(size).unwrap_or(0),
        sha256,
    });
    Ok(rows.collect())
}

/// Copies what is live in the source's ledger from store to store, from where the record of the move says that it was. An object
/// that is damaged is named and left out; the others go on.
pub fn copy_media(
    transfer: &mut Transfer,
    from: &Store,
    to: &Store,
    progress: &mut dyn FnMut(&Media),
) -> Result<Media, TransferError> {
    let stored = |error: StoreError| TransferError::Refused(format!("the target store: {error}"));
    // What lies there later is this move's own.
    if transfer.noted(WAS_EMPTY)?.is_none() {
        if !to.groups().map_err(stored)?.is_empty() {
            return Err(TransferError::Refused(
                "the target store isn't empty; name an empty folder, or another bucket or prefix".into(),
            ));
        }
        transfer.note(WAS_EMPTY, "yes")?;
    }
    let mut moved = Media::default();
    let mut after = transfer.noted(PLACE)?.unwrap_or_default();
    loop {
        let page = live_objects(transfer.source(), &after)?;
        let Some(last) = page.last() else {
            return Ok(moved);
        };
        after = last.key.object.as_str().to_owned();
        for object in &page {
            match copy_object(from, to, object) {
                Ok(()) => {
                    moved.objects += 1;
                    moved.bytes += object.size;
                }
                Err(error @ CopyError::Target(_)) => {
                    return Err(TransferError::Refused(format!("{}: {error}", object.key)));
                }
                Err(error) => moved.damaged.push(format!("{}: {error}", object.key)),
            }
            progress(&moved);
            // Behind a damaged object nothing is noted: it is looked at again by the next run.
            if moved.damaged.is_empty() {
                transfer.note(PLACE, object.key.object.as_str())?;
            }
        }
    }
}

/// Why an object could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("is not in the store")]
    Missing,
    /// The source has not what the ledger says.
    #[error("{0}")]
    Damaged(String),
    #[error("the target store: {0}")]
    Target(StoreError),
}

/// Copies one object and reads it back.
pub fn copy_object(from: &Store, to: &Store, object: &LiveObject) -> Result<(), CopyError> {
    let target = CopyError::Target;
    if from.stored_size(&object.key).is_ok_and(|size| size.is_none()) {
        return Err(CopyError::Missing);
    }
    // What an interrupted run has left, half or whole.
    to.remove(&object.key).map_err(target)?;
    let mut incoming = to.create(&object.key).map_err(target)?;
    let mut failed = None;
    let read = read(from, object, &mut |piece| {
        failed = incoming.append(piece).err();
        failed.is_none()
    });
    if let Some(error) = failed {
        return Err(target(error));
    }
    read.map_err(CopyError::Damaged)?;
    publish(incoming).map_err(target)?;
    check_object(to, object).map_err(|why| target(StoreError::Io(std::io::Error::other(format!("read back: {why}")))))
}

fn publish(incoming: Incoming) -> Result<(), StoreError> {
    match incoming {
        Incoming::Disk(mut file) => {
            file.sync()?;
            file.publish()
        }
        Incoming::S3(object) => object.publish().map(drop),
    }
}

/// Reads a stored object and compares it with the ledger; what is wrong with it otherwise.
pub fn check_object(store: &Store, object: &LiveObject) -> Result<(), String> {
    read(store, object, &mut |_| true)
}

/// Hands over an object piece by piece until `take` says no, and compares all of it with the ledger.
fn read(store: &Store, object: &LiveObject, take: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let (content, size): (Box<dyn ReadAt>, u64) = match store.open(&object.key).map_err(|error| failed(&error))? {
        Content::File(file, size) => (Box::new(file), size),
        Content::Remote(remote) => {
            let size = remote.size().map_err(|error| failed(&error))?;
            (Box::new(remote), size)
        }
    };
    if size != object.size {
        return Err(format!("has {size} bytes, and the ledger says {}", object.size));
    }
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE))];
    let mut at = 0;
    while at < size {
        let length = PIECE.min(usize::try_from(size - at).unwrap_or(PIECE));
        content
            .read_exact_at(&mut piece[..length], at)
            .map_err(|error| format!("can't be read at {at}: {error}"))?;
        hash.update(&piece[..length]);
        if !take(&piece[..length]) {
            return Ok(());
        }
        at += length as u64;
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != object.sha256 {
        return Err(format!(
            "has the SHA-256 {found}, and the ledger says {}",
            object.sha256
        ));
    }
    Ok(())
}

/// The end of a move, in the target's ledger: uploads that were under way have no bytes there. They are removed like any other that
/// nobody continues, and whoever sends them begins anew. How many.
pub fn end_uploads(conn: &mut AnyConn) -> QueryResult<usize> {
    let now = now_ms(conn)?;
    let writing = objects::table.filter(objects::state.eq(WRITING));
    let ended = tus_uploads::object_id.eq_any(writing.select(objects::object_id));
    diesel::delete(tus_uploads::table.filter(ended)).execute(conn)?;
    diesel::update(writing)
        .set((objects::state.eq(DELETING), objects::updated_at.eq(now)))
        .execute(conn)
}

/// The store of a source, which is left as it is. Of a folder, nobody else may use it meanwhile.
pub fn open_source(config: &Config) -> Result<Store, ConfigError> {
    let url = config.store_url();
    let unusable = |problem: String| ConfigError::new("store.url", problem);
    let Some(path) = url.strip_prefix("file:") else {
        let bucket = S3Store::connect(&config.store, config.stream.max_upload.0);
        return bucket.map(Store::S3).map_err(refused);
    };
    let disk = DiskStore::open_there(Path::new(path)).map_err(|error| unusable(format!("{path}: {error}")))?;
    disk.lock()
        .map_err(|error| unusable(format!("{path}: {error}; stop it")))?;
    Ok(Store::Disk(disk))
}

/// The store that a move or a restore fills; no process may use a folder meanwhile.
pub fn open_target(config: &Config) -> Result<Store, ConfigError> {
    Store::connect(&config.store, &config.store_url(), true, config.stream.max_upload.0).map_err(refused)
}

fn refused(Unusable { key, problem }: Unusable) -> ConfigError {
    ConfigError::new(key, problem)
}

/// A folder of media that a running platform may use meanwhile.
pub fn open_shared(folder: &Path) -> Result<Store, String> {
    let disk = crate::store::DiskStore::open_there(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Store::Disk(disk))
}

/// A new folder of media.
pub fn make_folder(folder: &Path) -> Result<Store, String> {
    let disk = DiskStore::open_root(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Store::Disk(disk))
}

/// Where an object lies below the folder of its store.
pub fn path_below(key: &ObjectKey) -> PathBuf {
    [&key.video.as_str()[..2], key.video.as_str(), key.object.as_str()]
        .iter()
        .collect()
}

/// Removes an object by the name that it shows.
pub fn remove_named(store: &Store, name: &str) -> Result<(), StoreError> {
    let key = name.split_once('/').and_then(|(video, object)| {
        Some(ObjectKey {
            video: video.parse().ok()?,
            object: object.parse().ok()?,
        })
    });
    store.remove(&key.ok_or(StoreError::Missing)?).map(drop)
}
