//! The end of an upload whose bytes are all acknowledged: it becomes the video, or goes.

use super::{
    plan::Known,
    receive::{Held, Received},
    request::Protocol,
    rows,
    serve::find,
};
use crate::{
    ops::uploads,
    state::State,
    store::{Left, ObjectKey},
    upload::{finish, progress::Progress, sink::Sink},
};
use actix_web::http::header::{HeaderName, HeaderValue};
use common::{db::DbError, error::ApiError};
use log::{info, warn};

/// What the store needs to go on behind `at` bytes that are all of an upload.
pub async fn all_left(state: &State, key: &ObjectKey, at: u64) -> Result<Left, ApiError> {
    if state.store.numbers(0).is_none() {
        return Ok(Left { at, ..Left::default() });
    }
    let object = key.object.clone();
    let kept = state.db.read(move |conn| Ok::<_, DbError>(rows::kept(conn, &object)?));
    // For what is less than a part.
    let numbers = 1;
    Ok(Left {
        at,
        kept: kept.await?,
        numbers,
    })
}

/// The video, if all bytes are here and it isn't one part of it.
pub async fn complete(state: &State, mut held: Held, mut sink: Sink) -> Result<Received, ApiError> {
    if !held.upload.complete || held.upload.partial() {
        sink.keep_hash(&state.uploads.hashes, &held.key.object, held.upload.offset);
        return Ok(Received {
            upload: held.upload,
            stored: None,
        });
    }
    let progress = Progress::new(state, &held.key.video, held.by.user.clone(), held.upload.length);
    progress.done(held.upload.offset);
    let mut whole = sink.complete().await?;
    whole.holder = Some(held.holder.clone());
    let stored = match finish::finish(state, &held.key, &held.ticket, whole).await {
        Ok(stored) => stored,
        Err(error) => {
            state.metrics.uploads_failed.inc();
            info!(video_id = held.key.video; "Upload {} ended: {error}", held.key);
            return Err(unfinished(state, &held, error).await);
        }
    };
    state.metrics.uploads_stored.inc();
    let (key, bytes) = (&held.key, stored.size_bytes);
    info!(video_id = key.video, bytes = bytes; "Stored {bytes} bytes of video {}", key.video);
    clear(state, key).await;
    held.upload.finished = true;
    Ok(Received {
        upload: held.upload,
        stored: Some(stored),
    })
}

/// In the draft an error of what became of the whole file is told from one of the transfer (section 4.4.1).
async fn unfinished(state: &State, held: &Held, error: ApiError) -> ApiError {
    if held.protocol == Protocol::Draft && matches!(find(state, &held.key).await, Ok(Known::Gone)) {
        let name = HeaderName::from_static("upload-complete");
        return error.header(name, HeaderValue::from_static("?1"));
    }
    error
}

/// Removes the other unfinished uploads of a video that has its file now: parts of it, and what clients began and left. Those
/// that run here end by themselves; what can't be removed expires.
async fn clear(state: &State, key: &ObjectKey) {
    let video = key.video.clone();
    let open = state
        .db
        .read(move |conn| Ok::<_, DbError>(rows::open_of(conn, &video)?));
    let open = match open.await {
        Ok(open) => open,
        Err(error) => return warn!(video_id = key.video; "Other uploads of a stored video stay for now: {error}"),
    };
    let running = state.uploads.objects();
    for object in open.into_iter().filter(|object| !running.contains(object)) {
        let video = key.video.clone();
        terminate(state, &ObjectKey { video, object })
            .await
            .unwrap_or_else(|error| {
                warn!(video_id = key.video; "An upload of a stored video stays for now: {error}");
            });
    }
}

/// Removes an unfinished upload; the row stays to say that it is gone.
pub async fn terminate(state: &State, key: &ObjectKey) -> Result<(), ApiError> {
    state.uploads.hashes.forget(&key.object);
    let object = key.object.clone();
    let condemned = state
        .db
        .write(move |conn| Ok::<_, DbError>(crate::ledger::condemn(conn, &object)?));
    if condemned.await? {
        uploads::erase(state, key).await?;
    }
    Ok(())
}
