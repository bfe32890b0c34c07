//! Removing uploads that nobody continues: their process was killed, or lost its database.

use super::in_store;
use crate::{
    ledger::sweep::{self, SILENCE_MS},
    state::State,
    store::ObjectKey,
    tus,
};
use common::{
    db::{Backend, DbError},
    error::ApiError,
    ids::Id,
};
use log::error;
use std::time::Duration;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expired {
    /// Removed (or to be removed).
    pub count: u64,
    /// Could not be removed this time.
    pub failed: u64,
}

/// At the start, before the first upload: a SQLite file has one process, so every upload in it has lost its own.
pub async fn expire_at_start(state: &State) -> Result<Expired, ApiError> {
    let alone = state.db.backend() == Backend::Sqlite;
    sweep(state, false, if alone { 0 } else { SILENCE_MS }).await
}

/// Removes (or with `dry_run` counts) uploads that have been silent for `grace`, and for as long as nothing that lives is.
pub async fn expire(state: &State, dry_run: bool, grace: Duration) -> Result<Expired, ApiError> {
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    sweep(state, dry_run, grace_ms.max(SILENCE_MS)).await
}

async fn sweep(state: &State, dry_run: bool, silence_ms: i64) -> Result<Expired, ApiError> {
    let mut expired = Expired::default();
    if !dry_run {
        resume(state, &mut expired).await?;
    }
    let mut after = String::new();
    loop {
        let start = after.clone();
        let page = state
            .db
            .read(move |conn| Ok::<_, DbError>(sweep::silent_uploads(conn, &start, silence_ms)?));
        let (mut silent, last) = page.await?;
        // Looked up after the rows were read: an upload is registered before its row is written, and for longer than that is
        // `writing`. The other way round, an upload that begins in between would be taken for somebody else's.
        let ours = state.uploads.objects();
        silent.retain(|key| !ours.contains(&key.object));
        for key in silent {
            if dry_run {
                expired.count += 1;
            } else if condemn(state, &key, silence_ms).await? {
                note(&mut expired, &key, erase(state, &key).await);
            }
        }
        match last {
            Some(last) => after = last.as_str().to_owned(),
            None => break,
        }
    }
    if !dry_run {
        let forgotten = state.db.write(|conn| Ok::<_, DbError>(tus::rows::forget(conn)?));
        forgotten.await?;
    }
    Ok(expired)
}

/// From then on the upload can't end well, should it live after all.
async fn condemn(state: &State, key: &ObjectKey, silence_ms: i64) -> Result<bool, ApiError> {
    let object = key.object.clone();
    Ok(state
        .db
        .write(move |conn| Ok::<_, DbError>(sweep::condemn(conn, &object, silence_ms)?))
        .await?)
}

/// Removes the file and then the row of a condemned upload.
pub async fn erase(state: &State, key: &ObjectKey) -> Result<(), ApiError> {
    let (object, removed): (Id, ObjectKey) = (key.object.clone(), key.clone());
    in_store(state, move |store| store.remove(&removed)).await?;
    Ok(state
        .db
        .write(move |conn| Ok::<_, DbError>(sweep::erase(conn, &object)?))
        .await?)
}

/// Ends removals that a crash interrupted.
async fn resume(state: &State, expired: &mut Expired) -> Result<(), ApiError> {
    let mut after = String::new();
    loop {
        let start = after.clone();
        let left = state
            .db
            .read(move |conn| Ok::<_, DbError>(sweep::condemned(conn, &start)?))
            .await?;
        let Some(last) = left.last() else {
            return Ok(());
        };
        after = last.object.as_str().to_owned();
        for key in left {
            note(expired, &key, erase(state, &key).await);
        }
    }
}

/// One that can't be removed does not keep the others: its row says that it has to go.
fn note(expired: &mut Expired, key: &ObjectKey, erased: Result<(), ApiError>) {
    match erased {
        Ok(()) => expired.count += 1,
        Err(error) => {
            expired.failed += 1;
            error!(video_id = key.video; "The dead upload {key} can't be removed: {error}");
        }
    }
}
