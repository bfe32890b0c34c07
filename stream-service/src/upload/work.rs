//! Work on the blocking pool, and what a client is told when storing fails.

use super::writer::leaves_room;
use crate::{ledger::Barred, state::State, store::StoreError};
use actix_web::error::PayloadError;
use common::{
    error::{ApiError, Code},
    http::payload_error,
};
use std::{io, time::Duration};

/// When to try again what the store was not there for.
const AWAY: Duration = Duration::from_secs(5);

/// Whether an upload of this many bytes leaves the room that is to be left. Those that run beside it are not counted: they
/// and this one look again while their bytes come in.
pub async fn check_room(state: &State, bytes: u64) -> Result<(), ApiError> {
    let (store, wanted) = (state.store.clone(), state.min_free.saturating_add(bytes));
    blocking(move || leaves_room(store.free()?, wanted))
        .await?
        .map_err(store_error)
}

/// A client that left, as [`payload_error`] has it.
pub fn ended_early(error: io::Error) -> ApiError {
    payload_error(&match error.kind() {
        io::ErrorKind::UnexpectedEof => PayloadError::Incomplete(None),
        _ => PayloadError::Io(error),
    })
}

pub fn too_large(max_bytes: u64) -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("A video may have {max_bytes} bytes here.")).with("maxBytes", max_bytes)
}

/// Runs what blocks on the disk on the blocking pool.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::internal(pool_failed(&error)))
}

pub fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::Full(_) => {
            ApiError::new(Code::StorageFull, "There is no space left for this video.").because(error)
        }
        // Its file was removed under it: by the sweep of another process that took it for dead.
        StoreError::Missing => super::barred(Barred::Forgotten).because(error),
        StoreError::Busy => ApiError::new(
            Code::Overloaded,
            "Another request is still writing this upload; try again.",
        )
        .retry_after(Duration::from_secs(1)),
        StoreError::Away(_) => ApiError::new(
            Code::UpstreamUnavailable,
            "The store of the videos is away for the moment.",
        )
        .retry_after(AWAY)
        .because(error),
        StoreError::Exists | StoreError::Io(_) => ApiError::internal(error),
    }
}

pub fn pool_failed(error: &tokio::task::JoinError) -> String {
    format!("work on the blocking pool: {error}")
}
