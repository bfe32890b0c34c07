//! Stopping what is no longer allowed: sessions that ended and videos that were hidden or purged, told by the bus at once
//! and asked for nearly every second while there is something to stop, because the bus may lose a message, and because
//! processes without a common bus don't hear of each other (promise 13).

use crate::{ledger, state::State};
use common::{
    bus::{Message, Subject},
    db::DbError,
    ids::{Id, VideoId},
    messages::{MediaChanged, SessionList, SessionsRevoked},
};
use log::{debug, warn};
use std::time::{Duration, Instant};

/// Promise 13: effective within a second, the call included, also for a stream that began with what was known before.
const RECHECK: Duration = Duration::from_millis(450);
const _: () = assert!(RECHECK.as_millis() + crate::entries::LIFE.as_millis() < 950);

/// How often files that nobody asks for are closed.
const SWEEP: Duration = Duration::from_secs(1);

/// Sessions asked for at once (`POST /internal/sessions/check`), and videos asked for at once.
const BATCH: usize = 1000;

/// Ends the uploads of sessions that end.
pub async fn sessions(state: State) {
    let mut revoked = state.platform.bus.subscribe(&Subject::SessionsRevoked);
    let drain = state.platform.drain.clone();
    loop {
        tokio::select! {
            () = drain.begun() => return,
            message = revoked.next() => match message {
                Some(message @ Message::Data(_)) => {
                    if let Some(ended) = message.decode::<SessionsRevoked>() {
                        state.uploads.stop_sessions(&ended.sessions);
                    }
                }
                Some(Message::Missed(_)) => recheck(&state).await,
                None => return,
            },
        }
    }
}

/// Asks for the sessions of running uploads, again and again. On its own, so that an answer that takes long holds up no
/// message.
pub async fn sessions_again(state: State) {
    while again(&state, || !state.uploads.sessions().is_empty()).await {
        recheck(&state).await;
    }
}

/// Asks for the videos of running streams, again and again.
pub async fn media_again(state: State) {
    while again(&state, || !state.streams.videos().is_empty()).await {
        end_all_barred(&state).await;
    }
}

/// Waits for the next time; `false` when the drain has begun and nothing runs any more.
async fn again(state: &State, running: impl Fn() -> bool) -> bool {
    let drain = &state.platform.drain;
    if drain.sleep(RECHECK).await {
        return true;
    }
    let more = running();
    if more {
        tokio::time::sleep(RECHECK).await;
    }
    more
}

/// Asks api-service which sessions of running uploads are still good. Without an answer they go on: they were granted.
async fn recheck(state: &State) {
    for batch in state.uploads.sessions().chunks(BATCH) {
        match state
            .platform
            .clients
            .api
            .check_sessions(SessionList {
                sessions: batch.to_vec(),
            })
            .await
        {
            Ok(good) => {
                let ended: Vec<Id> = batch
                    .iter()
                    .filter(|session| !good.sessions.contains(session))
                    .cloned()
                    .collect();
                state.uploads.stop_sessions(&ended);
            }
            Err(error) => debug!("Sessions of running uploads could not be checked: {error}"),
        }
    }
}

/// Closes files that were played a moment ago and are no longer asked for.
pub async fn files(state: State) {
    while state.platform.drain.sleep(SWEEP).await {
        state.entries.sweep(Instant::now());
    }
}

/// Forgets what was known of media that changed, and ends streams and uploads of videos that were hidden or purged elsewhere.
pub async fn media(state: State) {
    let mut changed = state.platform.bus.subscribe(&Subject::MediaChanged);
    let drain = state.platform.drain.clone();
    loop {
        let message = tokio::select! {
            () = drain.begun() => return,
            message = changed.next() => message,
        };
        match message {
            Some(Message::Missed(_)) => {
                state.entries.clear();
                end_all_barred(&state).await;
            }
            Some(message) => {
                if let Some(MediaChanged { video }) = message.decode() {
                    state.entries.evict(&video);
                    if state.streams.runs(&video)
                        && let Err(error) = end_barred(&state, std::slice::from_ref(&video)).await
                    {
                        warn!(video_id = video; "Whether a video may still be sent could not be asked: {error}");
                    }
                    if state.uploads.runs(&video) {
                        stop_if_purged(&state, video).await;
                    }
                }
            }
            None => return,
        }
    }
}

/// Ends those streams of these videos that the ledger no longer allows.
pub async fn end_barred(state: &State, videos: &[VideoId]) -> Result<(), DbError> {
    let asked = videos.to_vec();
    let barred = state
        .db
        .read(move |conn| Ok::<_, DbError>(ledger::barred_streams(conn, &asked)?))
        .await?;
    for (video, least) in barred {
        state.streams.cut_below(&video, least);
    }
    Ok(())
}

async fn end_all_barred(state: &State) {
    for batch in state.streams.videos().chunks(BATCH) {
        if let Err(error) = end_barred(state, batch).await {
            warn!("Whether running streams may go on could not be asked: {error}");
        }
    }
}

async fn stop_if_purged(state: &State, video: VideoId) {
    let asked = video.clone();
    match state
        .db
        .read(move |conn| Ok::<_, DbError>(ledger::purge::has_begun(conn, &asked)?))
        .await
    {
        Ok(true) => state.uploads.stop_video(&video),
        Ok(false) => {}
        // Its heartbeat will find out, and its commit is refused in any case.
        Err(error) => warn!(video_id = video; "Whether a video is purged could not be asked: {error}"),
    }
}
