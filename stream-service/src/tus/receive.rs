//! The bytes of one PATCH (or of a creation): into the file, synced, acknowledged, and at the end the video.
//!
//! Whatever ends the request early (the client leaves, stalls, is taken over, the service drains), what came until then is
//! saved. Only bytes under a checksum are all or nothing.

use super::{
    SAVE_EVERY,
    complete::complete,
    draft,
    fields::Checksum,
    plan::Upload,
    request::{Body, End, Protocol},
    rows,
};
use crate::{
    ledger::Uploader,
    limit::conn::Permit,
    state::State,
    store::{Left, ObjectKey},
    upload::{
        Stored, keep_alive,
        progress::Progress,
        registry::{Stop, Ticket},
        sink::{Durable, Save, Sink},
        source::Raw,
        stopped,
    },
};
use common::{
    db::{Backend, DbError},
    error::{ApiError, Code},
    ids::Id,
};
use log::{info, warn};
use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};
use tokio::sync::oneshot;

/// How often a request looks whether another process has taken its upload. With one process it hears of it at once.
const LOOK: Duration = Duration::from_millis(500);

/// An upload that this request holds.
pub struct Held {
    pub key: ObjectKey,
    pub by: Uploader,
    /// This request, in the row.
    pub holder: Id,
    pub upload: Upload,
    /// In which the request is answered.
    pub protocol: Protocol,
    /// Given back last: whoever comes next finds everything saved and closed.
    pub ticket: Ticket,
}

/// How far an upload is after a request; with the last byte, what is stored now.
pub struct Received {
    pub upload: Upload,
    pub stored: Option<Stored>,
}

/// Receives, and finishes the video when that was its last byte.
pub async fn append(
    state: &State,
    mut held: Held,
    (announced, most, mut permit): (Body, u64, Permit),
    body: Raw,
    gone: oneshot::Receiver<Infallible>,
) -> Result<Received, ApiError> {
    let (checksum, end) = (announced.checksum, announced.end);
    let whole_or_nothing = checksum.is_some();
    let at = held.upload.offset;
    // Bytes under a checksum are not acknowledged on the way.
    let unsaved = announced.declared.unwrap_or(most - at.min(most));
    let left = left(state, &held, if whole_or_nothing { unsaved } else { 0 }).await?;
    let mut sink = Sink::resume(state, &held.key, left, most, checksum.map(Checksum::begin)).await?;
    permit.counted_by(sink.received());
    let received = receive(state, &mut held, &mut sink, body, gone, whole_or_nothing).await;
    match received {
        Ok(()) if sink.checksum_holds().await? => {
            let ended = ends(&mut held.upload, end, sink.received().load(Ordering::Relaxed));
            save(state, &mut held, &mut sink, Save::All).await?;
            ended?;
        }
        Ok(()) => {
            sink.keep_hash(&state.uploads.hashes, &held.key.object, at);
            return Err(ApiError::new(
                Code::ChecksumMismatch,
                "The bytes don't have the checksum that was announced; none of them is kept.",
            ));
        }
        Err(error) => {
            if !whole_or_nothing && let Err(unsaved) = save(state, &mut held, &mut sink, Save::All).await {
                warn!(video_id = held.key.video; "The last bytes of {} are not saved: {unsaved}", held.key);
            }
            sink.keep_hash(&state.uploads.hashes, &held.key.object, held.upload.offset);
            info!(video_id = held.key.video; "Upload {} stops at {}: {error}", held.key, held.upload.offset);
            return Err(error);
        }
    }
    let completed = complete(state, held, sink).await;
    // Not before: the whole file may be read.
    drop(permit);
    completed
}

/// Says whether the upload is complete with these bytes, which are all that the request had.
fn ends(upload: &mut Upload, end: End, offset: u64) -> Result<(), ApiError> {
    upload.complete = match end {
        End::AtLength => upload.length == Some(offset),
        End::Here if upload.length.is_some_and(|length| length != offset) => {
            return Err(draft::inconsistent_length("The upload ends before its length."));
        }
        End::Here => {
            upload.length = Some(offset);
            true
        }
        End::Later => false,
    };
    Ok(())
}

async fn receive(
    state: &State,
    held: &mut Held,
    sink: &mut Sink,
    body: Raw,
    gone: oneshot::Receiver<Infallible>,
    whole_or_nothing: bool,
) -> Result<(), ApiError> {
    let received = sink.received();
    let owner = held.by.user.clone().filter(|_| !held.upload.partial());
    let progress = Progress::new(state, &held.key.video, owner, held.upload.length);
    let (key, holder, stop) = (held.key.clone(), held.holder.clone(), held.ticket.stopped());
    tokio::select! {
        biased;
        why = stop => Err(stopped(why)),
        _ = gone => Err(ApiError::new(Code::BadRequest, "The client left before the end of the body.")),
        () = state.platform.drain.begun() => Err(draining()),
        forgotten = keep_alive(state, &key) => Err(forgotten),
        () = replaced(state, &key, &holder) => Err(stopped(Stop::TakenOver)),
        never = progress.report(&received) => match never {},
        read = read(state, held, sink, body, whole_or_nothing) => read,
    }
}

async fn read(
    state: &State,
    held: &mut Held,
    sink: &mut Sink,
    mut body: Raw,
    whole_or_nothing: bool,
) -> Result<(), ApiError> {
    while body.read_some(sink, state.stall_timeout).await? {
        if !whole_or_nothing && sink.unsaved() >= SAVE_EVERY {
            save(state, held, sink, Save::SoFar).await?;
        }
    }
    Ok(())
}

/// Where this request goes on, and with what: `unsaved` bytes may come before it saves.
pub async fn left(state: &State, held: &Held, unsaved: u64) -> Result<Left, ApiError> {
    let at = held.upload.offset;
    let Some(numbers) = state.store.numbers(unsaved) else {
        return Ok(Left { at, ..Left::default() });
    };
    let (object, holder) = (held.key.object.clone(), held.holder.clone());
    let reserved = state
        .db
        .write(move |conn| Ok::<_, DbError>(rows::reserve(conn, &object, &holder, numbers)?));
    let kept = reserved.await?.ok_or_else(|| stopped(Stop::TakenOver))?;
    Ok(Left { at, kept, numbers })
}

/// Synced first, then told.
pub async fn save(state: &State, held: &mut Held, sink: &mut Sink, save: Save) -> Result<(), ApiError> {
    let Durable { bytes: offset, kept } = sink.save(save).await?;
    let (object, holder) = (held.key.object.clone(), held.holder.clone());
    let upload = Upload {
        offset,
        ..held.upload.clone()
    };
    let keep = state.upload_expiry;
    let acknowledged = state
        .db
        .write(move |conn| Ok::<_, DbError>(rows::acknowledge(conn, &object, &holder, (&upload, &kept, keep))?));
    let acknowledged = acknowledged.await?;
    sink.acknowledged(acknowledged.is_some()).await?;
    held.upload.expires = acknowledged.ok_or_else(|| stopped(Stop::TakenOver))?;
    held.upload.offset = offset;
    Ok(())
}

/// Resolves when another process has taken the upload over.
async fn replaced(state: &State, key: &ObjectKey, holder: &Id) {
    if state.db.backend() == Backend::Sqlite {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let (object, holder) = (key.object.clone(), holder.clone());
        // Without an answer it goes on: what it may acknowledge is decided when it does.
        let holds = state
            .db
            .read(move |conn| Ok::<_, DbError>(rows::holds(conn, &object, &holder)?));
        if matches!(holds.await, Ok(false)) {
            return;
        }
    }
}

fn draining() -> ApiError {
    ApiError::new(
        Code::Overloaded,
        "The service is stopping; what came is kept, go on at the offset that HEAD says.",
    )
    .retry_after(Duration::from_secs(1))
}
