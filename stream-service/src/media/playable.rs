//! Whether a grant plays a video now.

use crate::{
    ledger::{self, Source},
    state::State,
};
use common::{db::DbError, error::ApiError, ids::VideoId};
use std::time::Instant;

/// What a grant of this version plays; `None` when there is nothing, or no longer for this grant.
pub async fn playable(state: &State, video: &VideoId, grant: i64) -> Result<Option<Source>, ApiError> {
    let source = source(state, video).await?;
    Ok(source.filter(|source| source.min_grant <= grant))
}

async fn source(state: &State, video: &VideoId) -> Result<Option<Source>, ApiError> {
    let now = Instant::now();
    let asked = match state.entries.get(video, now) {
        Ok(entry) => return Ok(entry),
        Err(asked) => asked,
    };
    let wanted = video.clone();
    let entry = state
        .db
        .read(move |conn| Ok::<_, DbError>(ledger::playable(conn, &wanted)?))
        .await?;
    state.entries.put(video, entry.clone(), asked, now);
    Ok(entry)
}
