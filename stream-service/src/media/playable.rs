//! Whether a grant plays a video now.

use crate::{
    entries::{Asked, Known},
    ledger,
    state::State,
};
use common::{db::DbError, error::ApiError, ids::VideoId};
use std::{sync::Arc, time::Instant};

/// What a grant of this version plays; `None` when there is nothing, or no longer for this grant.
pub async fn playable(state: &State, video: &VideoId, grant: i64) -> Result<Option<Arc<Known>>, ApiError> {
    let known = known(state, video).await?;
    Ok(known.filter(|known| known.source.min_grant <= grant))
}

async fn known(state: &State, video: &VideoId) -> Result<Option<Arc<Known>>, ApiError> {
    let now = Instant::now();
    let asked = match state.entries.get(video, now) {
        Ok(known) => return Ok(known),
        Err(asked) => asked,
    };
    let look = || state.entries.get(video, Instant::now()).ok();
    // Boxed, as everything that is rare: the future of a request that finds what it needs stays small.
    Box::pin(state.entries.knowing.once(video, look, ask(state, video, asked, now))).await
}

/// Asks the ledger.
async fn ask(state: &State, video: &VideoId, asked: Asked, now: Instant) -> Result<Option<Arc<Known>>, ApiError> {
    let wanted = video.clone();
    let source = state
        .db
        .read(move |conn| Ok::<_, DbError>(ledger::playable(conn, &wanted)?))
        .await?;
    let known = match source {
        Some(source) => {
            let known = Known::new(source);
            let unfit = || ApiError::internal(format!("{video}: the ledger holds what can't be a header"));
            Some(Arc::new(known.ok_or_else(unfit)?))
        }
        None => None,
    };
    state.entries.put(video, known.clone(), asked, now);
    Ok(known)
}
