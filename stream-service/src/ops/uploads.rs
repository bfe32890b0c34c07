//! Removing uploads that nobody continues: their process was killed, or lost its database.

use super::in_store;
use crate::{ledger::sweep, state::State, store::ObjectKey};
use common::{db::DbError, error::ApiError, ids::Id, messages::Swept};
use std::time::Duration;

/// Removes (or with `dry_run` counts) uploads that have been silent for `grace` and whose process is not known to live.
pub async fn expire(state: &State, dry_run: bool, grace: Duration) -> Result<Swept, ApiError> {
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let mut count = if dry_run { 0 } else { resume(state).await? };
    let mut after = String::new();
    loop {
        let (start, ours) = (after.clone(), state.uploads.objects());
        let page = state
            .db
            .read(move |conn| Ok::<_, DbError>(sweep::silent_uploads(conn, &start, grace_ms, &ours)?));
        let (silent, last) = page.await?;
        for key in silent {
            if dry_run || remove(state, key, grace_ms).await? {
                count += 1;
            }
        }
        match last {
            Some(last) => after = last.as_str().to_owned(),
            None => return Ok(Swept { count }),
        }
    }
}

/// Condemns the row first: from then on the upload can't end well, should it live after all.
async fn remove(state: &State, key: ObjectKey, grace_ms: i64) -> Result<bool, ApiError> {
    let object = key.object.clone();
    let condemned = state
        .db
        .write(move |conn| Ok::<_, DbError>(sweep::condemn(conn, &object, grace_ms)?))
        .await?;
    if condemned {
        erase(state, key).await?;
    }
    Ok(condemned)
}

async fn erase(state: &State, key: ObjectKey) -> Result<(), ApiError> {
    let object: Id = key.object.clone();
    in_store(state, move |store| store.remove(&key)).await?;
    Ok(state
        .db
        .write(move |conn| Ok::<_, DbError>(sweep::erase(conn, &object)?))
        .await?)
}

/// Ends removals that a crash interrupted.
async fn resume(state: &State) -> Result<u64, ApiError> {
    let mut count = 0;
    loop {
        let left = state.db.read(|conn| Ok::<_, DbError>(sweep::condemned(conn)?)).await?;
        if left.is_empty() {
            return Ok(count);
        }
        for key in left {
            erase(state, key).await?;
            count += 1;
        }
    }
}
