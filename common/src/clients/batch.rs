//! Requests that carry many calls of one kind, each with an outcome of its own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClientError, Endpoint};
use crate::messages::batch::{Call, Calls, Outcome, Outcomes};

impl Endpoint {
    /// [`Endpoint::post`] of many calls; each has its own outcome, in its place. Refused as a whole by a version that does not know
    /// the address ([`ClientError::is_no_batch`]).
    pub(super) async fn carry<T: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        calls: Vec<Call<T>>,
    ) -> Result<Vec<Result<R, ClientError>>, ClientError> {
        let wanted = calls.len();
        let Outcomes { outcomes } = self.post(path, &Calls { calls }).await?;
        if outcomes.len() != wanted {
            let reason = format!("{} outcomes of {wanted} calls", outcomes.len());
            let service = self.service;
            return Err(ClientError::Away { service, reason });
        }
        let each = |outcome| match outcome {
            Outcome::Done(done) => Ok(done),
            Outcome::Problem(problem) => Err(self.refused(problem)),
        };
        Ok(outcomes.into_iter().map(each).collect())
    }
}

/// Makes `calls` with one request, that `many` sends. None when each is to be made by itself: who answers does not know such a request,
/// or there is one call only.
pub async fn carry<T: Clone, R>(
    calls: &[Call<T>],
    many: &impl AsyncFn(Vec<Call<T>>) -> Result<Vec<Result<R, ClientError>>, ClientError>,
) -> Option<Vec<Result<R, ClientError>>> {
    if calls.len() < 2 {
        return None;
    }
    match many(calls.to_vec()).await {
        Ok(outcomes) => Some(outcomes),
        Err(error) if error.is_no_batch() => None,
        Err(error) => Some(calls.iter().map(|_| Err(error.clone())).collect()),
    }
}
