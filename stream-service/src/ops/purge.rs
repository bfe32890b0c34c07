//! Removing every object of a video, with a receipt that is the truth: objects and bytes equal what the store lost.

use super::in_store;
use crate::{
    ledger::purge,
    state::State,
    store::{Found, FoundKind},
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

/// How long reads of the video's file that are with the disk get: only they outlive the cut of their streams.
const STREAMS_END: Duration = Duration::from_secs(2);

pub async fn purge(state: &State, video: &VideoId) -> Result<Receipt, ApiError> {
    let closed = video.clone();
    if let Some(receipt) = state
        .db
        .write(move |conn| Ok::<_, DbError>(purge::begin(conn, &closed)?))
        .await?
    {
        return Ok(receipt);
    }
    state.entries.evict(video);
    state.streams.cut(video);
    state.uploads.stop_video(video);
    state
        .platform
        .bus
        .publish(&Subject::MediaChanged, &MediaChanged { video: video.clone() });
    if !state.uploads.wait_for_none(video, UPLOADS_END).await {
        warn!(video_id = video; "An upload of {video} did not end in time; its file is removed under it");
    }
    // An open file is on the disk until it is closed: a receipt before that would not be true.
    if !state.streams.wait_for_none(video, STREAMS_END).await {
        warn!(video_id = video; "A file of {video} is still being read; the disk gets its space back when that read is over");
    }
    // All sizes are written down before the first file goes.
    let files = files(state, video).await?;
    let (measured, owner) = (video.clone(), state.instance.clone());
    let measure = state
        .db
        .write(move |conn| Ok::<_, DbError>(purge::measure(conn, &measured, &files, &owner)?));
    if let Some(objects) = measure.await? {
        let emptied = video.clone();
        in_store(state, move |store| store.remove_all(&emptied, &objects)).await?;
    }
    let finished = video.clone();
    let receipt = state
        .db
        .write(move |conn| Ok::<_, DbError>(purge::finish(conn, &finished)?))
        .await?;
    info!(video_id = video, objects = receipt.objects, bytes = receipt.bytes; "Purged video {video}: {} bytes", receipt.bytes);
    Ok(receipt)
}

/// The objects that lie in the store, whole or half received, each once, with all the bytes that are there for it.
async fn files(state: &State, video: &VideoId) -> Result<Vec<(Id, u64)>, ApiError> {
    let listed = video.clone();
    let found = in_store(state, move |store| store.list_video(&listed)).await?;
    let mut files: Vec<(Id, u64)> = Vec::new();
    for Found { kind, bytes, .. } in found {
        let (FoundKind::Object(key) | FoundKind::Part(key) | FoundKind::Leftover(key)) = kind else {
            continue;
        };
        match files.iter_mut().find(|(object, _)| *object == key.object) {
            Some((_, all)) => *all += bytes,
            None => files.push((key.object, bytes)),
        }
    }
    Ok(files)
}
