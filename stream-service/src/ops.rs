//! What changes more than one thing: removing a video for good, and the sweeps that keep ledger and store in step. Every one
//! of them may be repeated, and a crash between any two of its steps is mended by its repetition.

pub mod purge;
pub mod reconcile;
pub mod scrub;
pub mod uploads;

use crate::{
    state::State,
    store::StoreError,
    upload::{blocking, store_error},
};
use common::error::ApiError;

/// A call to the store on the blocking pool.
async fn in_store<T: Send + 'static>(
    state: &State,
    work: impl FnOnce(&crate::store::Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    let store = state.store.clone();
    blocking(move || work(&store)).await?.map_err(|error| match error {
        StoreError::Away(_) => store_error(error),
        error => ApiError::internal(error),
    })
}
