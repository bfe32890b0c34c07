//! The side that answers many calls of one request.

use actix_web::web::Json;
use futures_util::future::join_all;

use super::Body;
use crate::error::ApiError;
use crate::messages::batch::{Call, Calls, MAX_CALLS, Outcome, Outcomes};
use crate::operation;
use crate::request::{guarded, log_api_failure};

/// Serves all calls at the same time, each as part of its own operation, and answers when the last one is over: what `serve` does
/// needs a deadline. One that panics fails alone (promise 11). What they write at the same time is committed together by SQLite's writer.
pub async fn serve_each<T, R>(
    body: Body<Calls<T>>,
    serve: impl AsyncFn(T) -> Result<R, ApiError>,
) -> Result<Json<Outcomes<R>>, ApiError> {
    let calls = body.into_inner().calls;
    if calls.is_empty() || calls.len() > MAX_CALLS {
        return Err(ApiError::invalid("/calls", format!("1 to {MAX_CALLS} calls")));
    }
    let one = |call: Call<T>| {
        let serving = guarded(serve(call.wanted));
        operation::scope(call.operation, async {
            match serving.await {
                Ok(done) => Outcome::Done(done),
                Err(error) => {
                    log_api_failure(&error);
                    Outcome::Problem(error.problem())
                }
            }
        })
    };
    let outcomes = join_all(calls.into_iter().map(one)).await;
    Ok(Json(Outcomes { outcomes }))
}
