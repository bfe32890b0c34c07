//! The end of an upload whose bytes are all in: look inside, sync, name, commit. Either all of it, or nothing is left.

use super::{
    Stored, barred, keep_alive,
    registry::{Stop, Ticket},
    sink::{Whole, hex},
    stopped,
    work::{blocking, store_error},
};
use crate::{
    deliver::MEDIA_READY,
    ledger::{self, Barred, LIVE},
    ops::uploads,
    probe::{self, ProbeError},
    state::State,
    store::{Incoming, ObjectKey, ReadAt, Store, StoreError},
    tus::rows,
};
use common::{
    db::DbError,
    error::{ApiError, Code},
    ids::Id,
    messages::MediaReady,
    outbox::{self, Message},
};
use log::{info, warn};
use sha2::{Digest, Sha256};
use std::{io, pin::pin};

/// Bytes read at once for the hash of an object.
const READ: usize = 256 << 10;

/// Why a whole file is not kept.
enum Unkept {
    NotVideo(String),
    Store(StoreError),
}

/// How a commit ended.
enum Commit {
    Done,
    Refused(ApiError),
    /// Not now: the upload can be continued, and stays.
    Left(ApiError),
    /// Something broke in between: it may have happened.
    Unclear(DbError),
}

pub async fn finish(state: &State, key: &ObjectKey, ticket: &Ticket, whole: Whole) -> Result<Stored, ApiError> {
    let holder = whole.holder.clone();
    let mut publishing = pin!(blocking(move || publish(whole)));
    // A sync may take longer than another process would wait for a sign of life.
    let published = tokio::select! {
        published = &mut publishing => match published {
            // What is acknowledged is there, and can be gone on with when the store is.
            Ok(Err(Unkept::Store(error))) if holder.is_some() && waits(&state.store, &error) => {
                return Err(store_error(error));
            }
            published => published.and_then(|result| result.map_err(unkept)),
        },
        forgotten = keep_alive(state, key) => {
            // What runs on the blocking pool can't be stopped: its file is removed when it is there.
            drop(publishing.await);
            Err(forgotten)
        }
    };
    let media = match published {
        Ok(media) => media,
        Err(error) => {
            remove_of(state, key, holder.as_ref()).await;
            return Err(error);
        }
    };
    let announced = state.announced.expect(&key.video);
    // What was stopped while it was synced does not become live.
    let commit = match (ticket.stop(), &holder) {
        (Some(stop @ Stop::SessionEnded), Some(_)) => Commit::Left(stopped(stop)),
        (Some(stop @ (Stop::SessionEnded | Stop::VideoPurged)), _) => Commit::Refused(stopped(stop)),
        (None | Some(Stop::TakenOver), _) => commit(state, key, holder.clone(), &media).await,
    };
    match commit {
        Commit::Done => {}
        Commit::Refused(error) => {
            remove_of(state, key, holder.as_ref()).await;
            return Err(error);
        }
        Commit::Left(error) => return Err(error),
        Commit::Unclear(error) => settle(state, key, holder.is_some(), error).await?,
    }
    state.entries.evict(&key.video);
    state.relay.wake();
    if !announced.wait().await {
        info!(video_id = key.video; "Video {} is stored; api-service will hear of it later", key.video);
    }
    Ok(Stored::new(&key.video, media))
}

/// Whether an upload that can be continued is kept for later. The kernel may have dropped what a disk could not take; a bucket has
/// what it has said it has, whatever it says now, unless it has thrown the upload away.
fn waits(store: &Store, error: &StoreError) -> bool {
    matches!(store, Store::S3(_)) && !matches!(error, StoreError::Missing)
}

/// On the blocking pool: the object has its name, durably, when this is Ok. On failure its part is gone.
fn publish(whole: Whole) -> Result<MediaReady, Unkept> {
    let Whole {
        incoming,
        sha256,
        bytes,
        ..
    } = whole;
    match incoming {
        Incoming::Disk(mut incoming) => {
            let media = look(incoming.file(), sha256, bytes)?;
            incoming.sync().map_err(Unkept::Store)?;
            incoming.publish().map_err(Unkept::Store)?;
            Ok(media)
        }
        // Only a whole object can be read. Until the commit nobody else does.
        Incoming::S3(incoming) => look(&incoming.publish().map_err(Unkept::Store)?, sha256, bytes),
    }
}

/// What is in it. Its hash is read where it isn't known.
fn look(object: &dyn ReadAt, sha256: Option<String>, bytes: u64) -> Result<MediaReady, Unkept> {
    let found = probe::probe(object).map_err(|error| match error {
        ProbeError::Rejected(text) => Unkept::NotVideo(text),
        ProbeError::Io(error) => Unkept::Store(StoreError::of_read(error)),
    })?;
    let sha256 = match sha256 {
        Some(sha256) => sha256,
        None => read_hash(object).map_err(|error| Unkept::Store(StoreError::of_read(error)))?,
    };
    Ok(MediaReady {
        size_bytes: bytes,
        sha256,
        mime: found.mime,
        duration_ms: found.duration_ms,
        width: Some(found.width),
        height: Some(found.height),
        codecs: found.codecs,
    })
}

/// The hash of an object that came in several requests, from itself: what is stored is what is vouched for. Of a file most is
/// still in memory.
fn read_hash(object: &dyn ReadAt) -> io::Result<String> {
    let (mut hash, mut buffer, mut at) = (Sha256::new(), vec![0; READ], 0);
    loop {
        match object.read_at(&mut buffer, at) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(read) => {
                hash.update(&buffer[..read]);
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn unkept(why: Unkept) -> ApiError {
    match why {
        Unkept::NotVideo(text) => ApiError::new(
            Code::UnsupportedMedia,
            format!("This is not a video that can be played. Found: {text}."),
        )
        .with("found", text),
        Unkept::Store(error) => store_error(error),
    }
}

async fn commit(state: &State, key: &ObjectKey, holder: Option<Id>, media: &MediaReady) -> Commit {
    let message = Message::new(MEDIA_READY, &key.video, media);
    let (key, media) = (key.clone(), media.clone());
    let committed = state.db.write(move |conn| {
        if let Some(holder) = &holder
            && !rows::finish(conn, &key.object, holder, media.size_bytes)?
        {
            return Ok(Err(None));
        }
        let outcome = ledger::finish(conn, &key.video, &key.object, &media)?;
        if outcome.is_ok() {
            outbox::enqueue(conn, &message)?;
        }
        Ok::<_, DbError>(outcome.map_err(Some))
    });
    match committed.await {
        Ok(Ok(())) => Commit::Done,
        Ok(Err(Some(why))) => Commit::Refused(barred(why)),
        Ok(Err(None)) => Commit::Left(stopped(Stop::TakenOver)),
        // The unique index: another upload of the same video was faster.
        Err(DbError::Conflict { .. }) => Commit::Refused(barred(Barred::HasSource)),
        Err(error) => Commit::Unclear(error),
    }
}

/// Finds out what became of a commit that nobody answered, by a write: it waits for a commit that is still under way. What can be
/// continued stays then, acknowledged as it is; all else is over, and no commit succeeds after it. Without an answer nothing is
/// removed: a live object must not lose its file, and a dead row is found by the sweeps.
async fn settle(state: &State, key: &ObjectKey, stays: bool, error: DbError) -> Result<(), ApiError> {
    let object = key.object.clone();
    let settled = state.db.write(move |conn| {
        let condemned = if stays {
            ledger::heartbeat(conn, &object)?;
            false
        } else {
            ledger::condemn(conn, &object)?
        };
        let live = !condemned && ledger::state_of(conn, &object)?.as_deref() == Some(LIVE);
        Ok::<_, DbError>((condemned, live))
    });
    match settled.await {
        Ok((_, true)) => return Ok(()),
        Ok((true, _)) => erase(state, key).await,
        Ok((false, false)) => {}
        Err(again) => {
            warn!(video_id = key.video; "Whether an upload was committed is not known, its file stays: {again}");
        }
    }
    Err(error.into())
}

/// Removes the file of an upload that is not kept. One whose row is not `writing` any more is left alone: it is a purge's or
/// a sweep's, which count it, or it is live.
pub async fn remove(state: &State, key: &ObjectKey) {
    remove_of(state, key, None).await;
}

/// The same for a request that may have been taken over: then it is the newer one's to remove.
async fn remove_of(state: &State, key: &ObjectKey, holder: Option<&Id>) {
    let (object, holder) = (key.object.clone(), holder.cloned());
    let condemned = state.db.write(move |conn| {
        if let Some(holder) = &holder
            && !rows::holds(conn, &object, holder)?
        {
            return Ok(false);
        }
        Ok::<_, DbError>(ledger::condemn(conn, &object)?)
    });
    match condemned.await {
        Ok(true) => erase(state, key).await,
        Ok(false) => {}
        Err(error) => warn!(video_id = key.video; "A refused file stays until the next sweep: {error}"),
    }
}

/// The file, then the row, of an upload that is condemned.
async fn erase(state: &State, key: &ObjectKey) {
    if let Err(error) = uploads::erase(state, key).await {
        warn!(video_id = key.video; "A refused file stays until the next sweep: {error}");
    }
}
