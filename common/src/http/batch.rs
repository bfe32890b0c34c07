//! The side that answers many calls of one request.

use std::time::Duration;

use actix_web::web::Json;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::Body;
use crate::error::{ApiError, Code};
use crate::messages::batch::{Call, Calls, MAX_CALLS, Outcome, Outcomes};
use crate::operation;
use crate::request::{guarded, log_api_failure};

/// For calls that are a transaction or two: less than their callers wait for a request.
pub const SOON: Duration = Duration::from_secs(8);

/// Serves all calls at the same time, each as part of its own operation, and answers when the last one is over. One that is not over
/// `within` that time is dropped, and its caller told to ask again, so that those beside it need not wait; one that panics fails
/// alone (promise 11). What they write at the same time is committed together by SQLite's writer.
pub async fn serve_each<T, R>(
    body: Body<Calls<T>>,
    within: Duration,
    serve: impl AsyncFn(T) -> Result<R, ApiError>,
) -> Result<Json<Outcomes<R>>, ApiError> {
    let calls = body.into_inner().calls;
    if calls.is_empty() || calls.len() > MAX_CALLS {
        return Err(ApiError::invalid("/calls", format!("1 to {MAX_CALLS} calls")));
    }
    let one = |call: Call<T>| {
        let serving = timeout(within, guarded(serve(call.wanted)));
        operation::scope(call.operation, async {
            match serving.await {
                Ok(Ok(done)) => Outcome::Done(done),
                Ok(Err(error)) => {
                    log_api_failure(&error);
                    Outcome::Problem(error.problem())
                }
                Err(_) => {
                    log::info!("One of many calls takes more than {within:?}: its caller is to ask again");
                    let late = ApiError::new(Code::Overloaded, "This takes longer than what it came with; ask again.");
                    Outcome::Problem(late.problem())
                }
            }
        })
    };
    let outcomes = join_all(calls.into_iter().map(one)).await;
    Ok(Json(Outcomes { outcomes }))
}
