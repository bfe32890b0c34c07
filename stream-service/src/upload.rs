//! Taking the bytes of a video in: ledger row, part file, hash, probe, sync, name, commit, in this order.
//!
//! An upload runs in a task of its own. Until its last byte is in, it ends when the client leaves, stalls, sends too much,
//! loses its session or its video; from then on nobody can interrupt it and it either commits or leaves nothing. Memory is
//! one buffer and the piece in flight, whatever the size of the file.

pub mod finish;
pub mod hashes;
pub mod progress;
pub mod registry;
pub mod sink;
pub mod source;
mod work;
pub mod writer;

use crate::{
    ledger::{self, Barred, Uploader},
    limit::conn::Permit,
    state::State,
    store::ObjectKey,
};
use common::{
    db::DbError,
    error::{ApiError, Code},
    ids::{Id, VideoId},
    messages::MediaReady,
    operation,
};
use log::{info, warn};
use progress::Progress;
use registry::{Stop, Ticket};
use serde::Serialize;
use sink::Sink;
use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};
use tokio::sync::oneshot;
use utoipa::ToSchema;

pub use source::Body;
pub use work::{blocking, check_room, store_error, too_large};

/// How often a running upload says so in the ledger.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// An upload that may begin: its grant has been checked.
pub struct Admitted {
    pub video: VideoId,
    pub by: Uploader,
    pub max_bytes: u64,
    /// Of the file, if the request says it.
    pub length: Option<u64>,
    /// Held for as long as bytes come in.
    pub permit: Permit,
}

/// Answer to an upload: what is stored now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    pub video_id: VideoId,
    pub size_bytes: u64,
    /// Lower-case hex of the whole content.
    pub sha256: String,
    pub mime: String,
    pub duration_ms: Option<u64>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub codecs: Vec<String>,
}

/// Runs an upload in its own task and waits for it. When the waiting ends early (the client left), an upload whose bytes
/// are not all in ends too.
pub async fn run(state: &State, admitted: Admitted, body: Body) -> Result<Stored, ApiError> {
    let task_state = state.clone();
    on_its_own(state, move |gone| async move {
        receive(&task_state, admitted, body, gone).await
    })
    .await
}

/// Does the work in a task of its own and waits for it; the work is told when nobody waits any more.
pub async fn on_its_own<T, F, Fut>(state: &State, work: F) -> Result<T, ApiError>
where
    T: 'static,
    F: FnOnce(oneshot::Receiver<Infallible>) -> Fut,
    Fut: Future<Output = Result<T, ApiError>> + 'static,
{
    let (client, gone) = oneshot::channel::<Infallible>();
    let (answer, answered) = oneshot::channel();
    let (id, working) = (operation::current_or_mint(), work(gone));
    state.platform.spawn(operation::scope(id, async move {
        let result = working.await;
        // Nobody may be waiting any more.
        drop(answer.send(result));
    }));
    let result = answered
        .await
        .unwrap_or_else(|_| Err(ApiError::internal("the task of an upload panicked")));
    drop(client);
    result
}

async fn receive(
    state: &State,
    admitted: Admitted,
    body: Body,
    gone: oneshot::Receiver<Infallible>,
) -> Result<Stored, ApiError> {
    let Admitted {
        video,
        by,
        max_bytes,
        length,
        mut permit,
    } = admitted;
    let key = ObjectKey {
        video: video.clone(),
        object: Id::now(),
    };
    // Registered before the row is written: a row whose upload isn't registered is dead to the sweeps.
    let ticket = state.uploads.register(&key, &by.session);
    let (row_video, object, row_by, owner) = (video.clone(), key.object.clone(), by.clone(), state.instance.clone());
    let begun = state
        .db
        .write(move |conn| Ok::<_, DbError>(ledger::begin(conn, &row_video, &object, &row_by, &owner)?));
    begun.await?.map_err(barred)?;
    let progress = Progress::new(state, &video, by.user, length);
    let result = store(state, &key, &ticket, (max_bytes, &progress, &mut permit), body, gone).await;
    drop(permit);
    match &result {
        Ok(stored) => {
            state.metrics.uploads_stored.inc();
            info!(video_id = key.video, bytes = stored.size_bytes; "Stored {} bytes of video {video}", stored.size_bytes);
        }
        Err(error) => {
            state.metrics.uploads_failed.inc();
            info!(video_id = key.video; "Upload for video {video} ended: {error}");
        }
    }
    result
}

async fn store(
    state: &State,
    key: &ObjectKey,
    ticket: &Ticket,
    (max_bytes, progress, permit): (u64, &Progress, &mut Permit),
    mut body: Body,
    gone: oneshot::Receiver<Infallible>,
) -> Result<Stored, ApiError> {
    let mut sink = match Sink::create(state, key, max_bytes).await {
        Ok(sink) => sink,
        Err(error) => {
            abandon(state, key).await;
            return Err(error);
        }
    };
    let received = sink.received();
    permit.counted_by(received.clone());
    let read = tokio::select! {
        biased;
        stop = ticket.stopped() => Err(stopped(stop)),
        _ = gone => Err(ApiError::new(Code::BadRequest, "The client left before the end of the body.")),
        forgotten = keep_alive(state, key) => Err(forgotten),
        never = progress.report(&received) => match never {},
        read = body.read_into(&mut sink, state.stall_timeout) => read,
    };
    let whole = match read {
        Ok(()) => {
            progress.done(received.load(Ordering::Relaxed));
            sink.complete().await
        }
        Err(error) => {
            sink.discard().await;
            Err(error)
        }
    };
    let whole = match whole {
        Ok(whole) => whole,
        Err(error) => {
            abandon(state, key).await;
            return Err(error);
        }
    };
    // From here on only the disk, the file itself or the ledger can end it.
    finish::finish(state, key, ticket, whole).await
}

/// Beats until the ledger says that the upload is no longer wanted. A database that is away is no reason to stop.
pub async fn keep_alive(state: &State, key: &ObjectKey) -> ApiError {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let object = key.object.clone();
        match state
            .db
            .write(move |conn| Ok::<_, DbError>(ledger::heartbeat(conn, &object)?))
            .await
        {
            Ok(true) => {}
            Ok(false) => return barred(Barred::Forgotten),
            Err(error) => warn!(video_id = key.video; "Heartbeat of an upload: {error}"),
        }
    }
}

/// Forgets an upload whose file is gone already. A failure leaves the row to the sweeps.
async fn abandon(state: &State, key: &ObjectKey) {
    let object = key.object.clone();
    if let Err(error) = state
        .db
        .write(move |conn| Ok::<_, DbError>(ledger::abandon(conn, &object)?))
        .await
    {
        warn!(video_id = key.video; "The row of a failed upload stays until the next sweep: {error}");
    }
}

pub fn barred(why: Barred) -> ApiError {
    match why {
        Barred::Purged => ApiError::new(Code::Gone, "This video has been deleted for good."),
        Barred::HasSource => ApiError::new(Code::Conflict, "This video has its file already."),
        Barred::Forgotten => ApiError::new(
            Code::Conflict,
            "This upload was taken for dead and removed; send it again.",
        ),
    }
}

pub fn stopped(stop: Stop) -> ApiError {
    match stop {
        Stop::SessionEnded => ApiError::new(Code::Unauthenticated, "The session that began this upload has ended."),
        Stop::VideoPurged => barred(Barred::Purged),
        Stop::TakenOver => ApiError::new(Code::Conflict, "A newer request goes on with this upload."),
    }
}

impl Stored {
    fn new(video: &VideoId, media: MediaReady) -> Self {
        let MediaReady {
            size_bytes,
            sha256,
            mime,
            duration_ms,
            width,
            height,
            codecs,
        } = media;
        Self {
            video_id: video.clone(),
            size_bytes,
            sha256,
            mime,
            duration_ms,
            width,
            height,
            codecs,
        }
    }
}
