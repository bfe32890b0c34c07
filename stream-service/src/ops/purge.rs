//! Removing every object of a video, with a receipt that is the truth: objects and bytes equal what the store lost.

use super::in_store;
use crate::{
    ledger::purge,
    state::State,
    store::{FoundKind, ObjectKey},
};
use common::{
    bus::Subject,
    db::DbError,
    error::ApiError,
    ids::{Id, VideoId},
    messages::{MediaChanged, Receipt},
};
use log::{info, warn};
use std::time::Duration;

/// How long running uploads of the video get to remove what they wrote. They stop at the next piece or flush; whoever takes
/// longer finds its row taken over, and its file is counted and removed here.
const UPLOADS_END: Duration = Duration::from_secs(5);

pub async fn purge(state: &State, video: &VideoId) -> Result<Receipt, ApiError> {
    let asked = video.clone();
    if let Some(receipt) = state
        .db
        .read(move |conn| Ok::<_, DbError>(purge::receipt(conn, &asked)?))
        .await?
    {
        return Ok(receipt);
    }
    let closed = video.clone();
    state
        .db
        .write(move |conn| Ok::<_, DbError>(purge::begin(conn, &closed)?))
        .await?;
    state.entries.evict(video);
    state.uploads.stop_video(video);
    state
        .platform
        .bus
        .publish(&Subject::MediaChanged, &MediaChanged { video: video.clone() });
    if !state.uploads.wait_for_none(video, UPLOADS_END).await {
        warn!(video_id = video; "An upload of {video} did not end in time; its file is removed under it");
    }
    adopt_files(state, video).await?;
    measure(state, video).await?;
    for object in doomed(state, video).await? {
        let key = ObjectKey {
            video: video.clone(),
            object,
        };
        in_store(state, move |store| store.remove(&key)).await?;
    }
    let finished = video.clone();
    let receipt = state
        .db
        .write(move |conn| Ok::<_, DbError>(purge::finish(conn, &finished)?))
        .await?;
    info!(video_id = video, objects = receipt.objects, bytes = receipt.bytes; "Purged video {video}: {} bytes", receipt.bytes);
    Ok(receipt)
}

/// Gives files that no row knows a row, so that they are measured and counted like the others.
async fn adopt_files(state: &State, video: &VideoId) -> Result<(), ApiError> {
    let listed = video.clone();
    let files = in_store(state, move |store| store.list_video(&listed)).await?;
    let objects: Vec<Id> = files
        .into_iter()
        .filter_map(|found| match found.kind {
            FoundKind::Object(key) | FoundKind::Part(key) => Some(key.object),
            FoundKind::Stray => None,
        })
        .collect();
    let (video, owner) = (video.clone(), state.instance.clone());
    let adopted = state.db.write(move |conn| {
        objects
            .iter()
            .try_for_each(|object| purge::adopt(conn, &video, object, &owner))?;
        Ok::<_, DbError>(())
    });
    Ok(adopted.await?)
}

/// Writes down the size of every object that has none yet, all before the first file goes.
async fn measure(state: &State, video: &VideoId) -> Result<(), ApiError> {
    let rows = rows(state, video).await?;
    let mut sizes = Vec::new();
    for row in rows.into_iter().filter(|row| !row.measured) {
        let key = ObjectKey {
            video: video.clone(),
            object: row.object.clone(),
        };
        sizes.push((row.object, in_store(state, move |store| store.size(&key)).await?));
    }
    let measured = state.db.write(move |conn| {
        sizes
            .iter()
            .try_for_each(|(object, bytes)| purge::measure(conn, object, *bytes))?;
        Ok::<_, DbError>(())
    });
    Ok(measured.await?)
}

async fn doomed(state: &State, video: &VideoId) -> Result<Vec<Id>, ApiError> {
    Ok(rows(state, video).await?.into_iter().map(|row| row.object).collect())
}

async fn rows(state: &State, video: &VideoId) -> Result<Vec<purge::Doomed>, ApiError> {
    let video = video.clone();
    Ok(state
        .db
        .write(move |conn| Ok::<_, DbError>(purge::begin(conn, &video)?))
        .await?)
}
