//! Stopping what is no longer allowed: sessions that ended and videos that were hidden or purged, told by the bus at once
//! and asked for every few seconds, because the bus may lose a message.

use crate::{ledger, state::State};
use common::{
    bus::{Message, Subject},
    db::DbError,
    ids::Id,
    messages::{MediaChanged, SessionList, SessionsRevoked},
};
use log::{debug, warn};
use std::time::Duration;

/// How long a lost message about a session can go unnoticed.
const RECHECK: Duration = Duration::from_secs(5);

/// Sessions asked for at once (`POST /internal/sessions/check`).
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
            () = tokio::time::sleep(RECHECK) => recheck(&state).await,
        }
    }
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

/// Forgets what was known of media that changed, and ends uploads for videos that are purged elsewhere.
pub async fn media(state: State) {
    let mut changed = state.platform.bus.subscribe(&Subject::MediaChanged);
    let drain = state.platform.drain.clone();
    loop {
        let message = tokio::select! {
            () = drain.begun() => return,
            message = changed.next() => message,
        };
        match message {
            Some(Message::Missed(_)) => state.entries.clear(),
            Some(message) => {
                if let Some(MediaChanged { video }) = message.decode() {
                    state.entries.evict(&video);
                    if state.uploads.runs(&video) {
                        stop_if_purged(&state, video).await;
                    }
                }
            }
            None => return,
        }
    }
}

async fn stop_if_purged(state: &State, video: common::ids::VideoId) {
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
