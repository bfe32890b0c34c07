//! `/internal/jobs`: other services say what is to be done. All calls are safe to repeat.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use common::db::now_ms;
use common::error::ApiError;
use common::http::{Body, SOON, serve_each};
use common::messages::batch::{Calls, Done, Outcomes};
use common::messages::{JobRequest, NamedJob};
use common::operation;

use super::State;
use crate::job::Kind;
use crate::ops;

/// Longest key, in bytes: a video id has 12, a UUID 36.
const MAX_KEY: usize = 128;

/// 201 for a new job, 200 when there was one: replaced, armed anew, or remembered for after the present run.
pub async fn put(
    state: Data<State>,
    path: web::Path<(String, String)>,
    body: Body<JobRequest>,
) -> Result<HttpResponse, ApiError> {
    let (kind, key) = path.into_inner();
    let job = body.into_inner();
    let (armed, now) = arm(&state, NamedJob { kind, key, job }).await?;
    let mut response = if armed.created {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(response.json(armed.job.shown(now)))
}

/// `POST /internal/jobs`: [`put`] of many jobs.
pub async fn put_many(calls: Body<Calls<NamedJob>>, state: Data<State>) -> Result<web::Json<Outcomes<Done>>, ApiError> {
    serve_each(calls, SOON, async |job| arm(&state, job).await.map(|_| Done {})).await
}

/// What became of the request, and the database's time.
async fn arm(state: &State, NamedJob { kind, key, job }: NamedJob) -> Result<(ops::Armed, i64), ApiError> {
    let (kind, key) = named((kind, key))?;
    let JobRequest {
        payload,
        run_at,
        operation,
    } = job;
    let request = ops::Request {
        kind,
        key,
        payload: payload.to_string(),
        run_at: run_at.millis(),
        operation_id: operation.unwrap_or_else(operation::current_or_mint).to_string(),
    };
    let (armed, now) = state
        .db
        .write(move |conn| -> Result<_, ApiError> {
            let now = now_ms(conn)?;
            Ok((ops::arm(conn, now, &request)?, now))
        })
        .await?;
    state.tell(armed.job.run_at, now);
    Ok((armed, now))
}

/// 204: it will not begin; one that runs already goes on.
pub async fn delete(state: Data<State>, path: web::Path<(String, String)>) -> Result<HttpResponse, ApiError> {
    let (kind, key) = named(path.into_inner())?;
    state
        .db
        .write(move |conn| -> Result<(), ApiError> {
            let now = now_ms(conn)?;
            Ok(ops::cancel_by_key(conn, now, kind, &key)?)
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A kind that this version can't do is refused, not queued for ever: the caller's outbox tries again after the deploy.
fn named((kind, key): (String, String)) -> Result<(Kind, String), ApiError> {
    let Some(kind) = Kind::from_name(&kind) else {
        let known = Kind::ALL.map(Kind::name).join(", ");
        return Err(ApiError::invalid("/kind", format!("This scheduler knows: {known}")));
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(plain) {
        return Err(ApiError::invalid(
            "/key",
            format!("A key is 1 to {MAX_KEY} of A-Z a-z 0-9 . _ -"),
        ));
    }
    Ok((kind, key))
}
