//! Opening what a stream reads from.

use super::{file::StoredFile, registry::Stored, relayed::Relayed, remote::Remote};
use crate::{
    ledger::Source,
    range::Plan,
    state::State,
    store::{
        DiskStore, ObjectKey, Store, StoreError,
        s3::client::{Client, S3Error},
    },
    upload::{blocking, store_error},
};
use common::{error::ApiError, ids::VideoId};
use std::{ops::Range, sync::Arc};

/// For a stream that is registered (see [`crate::entries`]). `moves`: its connection can take bytes from the kernel.
pub async fn open(
    state: &State,
    video: &VideoId,
    source: &Source,
    plan: &Plan,
    moves: bool,
) -> Result<Stored, ApiError> {
    let key = ObjectKey {
        video: video.clone(),
        object: source.object.clone(),
    };
    let opened = match &state.store {
        Store::Disk(disk) => open_file(state, disk, key, source.size).await?,
        Store::S3(bucket) => {
            let name = bucket.names().object(&key);
            let opened = Box::pin(open_object(bucket.client(), name, plan, source.size, moves)).await;
            opened.map_err(StoreError::from)
        }
    };
    match opened {
        Ok((size, content)) if size == source.size => Ok(content),
        Ok((size, _)) => Err(ApiError::internal(format!(
            "{video}: {size} bytes stored, the ledger says {}",
            source.size
        ))),
        Err(StoreError::Missing) => {
            // Purged since the ledger was asked, or lost: the reconciler tells them apart.
            state.entries.evict(video);
            Err(ApiError::not_found("video").because("its file is not in the store"))
        }
        Err(error) => Err(store_error(error)),
    }
}

/// Opened once for many requests that come at the same time.
async fn open_file(
    state: &State,
    disk: &DiskStore,
    key: ObjectKey,
    expected: u64,
) -> Result<Result<(u64, Stored), StoreError>, ApiError> {
    let found = || state.entries.file(&key.video, &key.object);
    let asked = match found() {
        Ok(file) => return Ok(Ok((file.size(), Stored::File(file)))),
        Err(asked) => asked,
    };
    let look = || found().ok().map(|file| Ok((file.size(), Stored::File(file))));
    let (disk, wanted) = (disk.clone(), key.clone());
    let open = async {
        let opened = blocking(move || disk.open(&wanted)).await?;
        Ok(opened.map(|(file, size)| {
            let file = Arc::new(StoredFile::new(file, size));
            if size == expected {
                state.entries.keep_file(&key.video, &key.object, &file, asked);
            }
            (size, Stored::File(file))
        }))
    };
    Box::pin(state.entries.opening.once(&key.video, look, open)).await
}

/// Asks a store for the first range, by the kernel's way if that can take all there is to send.
async fn open_object(
    client: &Client,
    name: String,
    plan: &Plan,
    size: u64,
    moves: bool,
) -> Result<(u64, Stored), S3Error> {
    let range = first(plan, size);
    let one = matches!(plan, Plan::One(_) | Plan::Whole) && !range.is_empty();
    if moves
        && one
        && let Some(relayed) = Relayed::open(client, &name, range.clone()).await?
    {
        return Ok((relayed.size(), Stored::Relayed(Box::new(relayed))));
    }
    let remote = Remote::open(client, name, range).await?;
    Ok((remote.size(), Stored::Remote(Box::new(remote))))
}

/// The first range that will be sent.
fn first(plan: &Plan, size: u64) -> Range<u64> {
    match plan {
        Plan::One(range) => range.start..range.end,
        Plan::Many(ranges) => ranges.first().map_or(0..0, |range| range.start..range.end),
        Plan::Whole | Plan::Unsatisfiable => 0..size,
    }
}
