//! `/api/v1/jobs`: operators look at jobs, retry and cancel them, and start those that need no key.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use common::db::{AnyConn, now_ms};
use common::error::{ApiError, Code};
use common::http::{Body, DEFAULT_LIMIT, MAX_LIMIT, Page};
use common::ids::Id;
use common::operation;
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::State;
use crate::auth::Operator;
use crate::job::{self, Job, Kind};
use crate::ops::{self, Filter, Operated, Summary};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<job::State>,
    kind: Option<Kind>,
    /// `next` of the page before.
    cursor: Option<Id>,
    /// 1 to 100, 20 by default.
    limit: Option<u32>,
}

/// Starts a sweep now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRequest {
    /// `reconcile`, `scrub`, `expire_sessions` or `expire_uploads`.
    kind: Kind,
    /// Count and report, change nothing.
    #[serde(default)]
    dry_run: bool,
    /// `reconcile`: delete media of unknown videos even if that is most of all media.
    #[serde(default)]
    force: bool,
    /// `scrub`: check everything, and not only what was not checked for `stream.scrub_after`.
    #[serde(default)]
    all: bool,
}

#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, description = "The newest first", body = Page<Job>), (status = 403, body = common::error::Problem))
)]
pub async fn list(_: Operator, state: Data<State>, query: Query<ListQuery>) -> Result<Json<Page<Job>>, ApiError> {
    let ListQuery {
        state: wanted,
        kind,
        cursor,
        limit,
    } = query.into_inner();
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid("/limit", format!("1 to {MAX_LIMIT}")));
    }
    let filter = Filter {
        state: wanted,
        kind,
        after: cursor,
    };
    let (mut rows, now) = state
        .db
        .read(move |conn| -> Result<_, ApiError> {
            let now = now_ms(conn)?;
            // One more tells whether there is a next page.
            Ok((ops::page(conn, now, &filter, i64::from(limit) + 1)?, now))
        })
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = if more {
        rows.last().map(|row| row.id.to_string())
    } else {
        None
    };
    Ok(Json(Page {
        items: rows.into_iter().map(|row| row.shown(now)).collect(),
        next,
    }))
}

#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = Id, Path)),
    responses((status = 200, body = Job), (status = 404, body = common::error::Problem))
)]
pub async fn show(_: Operator, state: Data<State>, id: Path<Id>) -> Result<Json<Job>, ApiError> {
    let job = state
        .db
        .read(move |conn| -> Result<_, ApiError> {
            let now = now_ms(conn)?;
            Ok(ops::by_id(conn, &id)?.map(|row| row.shown(now)))
        })
        .await?;
    job.map(Json).ok_or_else(no_such_job)
}

#[utoipa::path(get, path = "/api/v1/jobs/summary", tag = "jobs", responses((status = 200, body = Summary)))]
pub async fn summary(_: Operator, state: Data<State>) -> Result<Json<Summary>, ApiError> {
    let summary = state.db.read(|conn| -> Result<_, ApiError> {
        let now = now_ms(conn)?;
        Ok(ops::summary(conn, now)?)
    });
    Ok(Json(summary.await?))
}

#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/retry", tag = "jobs", params(("id" = Id, Path)),
    responses((status = 200, description = "Due now, with all attempts", body = Job), (status = 409, description = "It runs", body = common::error::Problem))
)]
pub async fn retry(operator: Operator, state: Data<State>, id: Path<Id>) -> Result<Json<Job>, ApiError> {
    operate(operator, &state, id.into_inner(), "retries", ops::retry).await
}

#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = Id, Path)),
    responses((status = 200, description = "It will not begin", body = Job), (status = 409, description = "It runs or is done", body = common::error::Problem))
)]
pub async fn cancel(operator: Operator, state: Data<State>, id: Path<Id>) -> Result<Json<Job>, ApiError> {
    operate(operator, &state, id.into_inner(), "cancels", ops::cancel).await
}

type Operation = fn(&mut AnyConn, i64, &Id) -> diesel::QueryResult<Option<Operated>>;

async fn operate(
    Operator(who): Operator,
    state: &State,
    id: Id,
    verb: &str,
    change: Operation,
) -> Result<Json<Job>, ApiError> {
    let (answer, now) = state
        .db
        .write(move |conn| -> Result<_, ApiError> {
            let now = now_ms(conn)?;
            Ok((change(conn, now, &id)?, now))
        })
        .await?;
    let Operated { job: row, changed } = answer.ok_or_else(no_such_job)?;
    if !changed {
        let state = row.shown(now).state.name();
        return Err(ApiError::new(Code::Conflict, format!("The job is {state}.")));
    }
    log::info!(user_id = who.user, job = row.id; "Operator {} {verb} job {} {}", who.username, row.kind, row.key);
    state.tell(row.run_at, now);
    Ok(Json(row.shown(now)))
}

#[utoipa::path(
    post, path = "/api/v1/jobs", tag = "jobs", request_body = StartRequest,
    responses((status = 202, description = "It is due now; its result shows up in the job", body = Job), (status = 409, description = "Too many wait already", body = common::error::Problem))
)]
pub async fn start(
    Operator(who): Operator,
    state: Data<State>,
    body: Body<StartRequest>,
) -> Result<HttpResponse, ApiError> {
    let StartRequest {
        kind,
        dry_run,
        force,
        all,
    } = body.into_inner();
    if kind == Kind::Purge {
        return Err(ApiError::invalid(
            "/kind",
            "A video is purged by deleting it: DELETE /api/v1/videos/{id}",
        ));
    }
    if kind == Kind::Scrub && dry_run {
        return Err(ApiError::invalid(
            "/dryRun",
            "A scrub only reads: it has nothing to try.",
        ));
    }
    let payload = json!({ "dryRun": dry_run, "force": force, "all": all }).to_string();
    let operation = operation::current_or_mint();
    let (row, now) = state
        .db
        .write(move |conn| -> Result<_, ApiError> {
            let now = now_ms(conn)?;
            Ok((ops::run_now(conn, now, kind, &payload, operation.as_str())?, now))
        })
        .await?;
    let row = row.ok_or_else(|| ApiError::new(Code::Conflict, "Enough jobs of this kind wait already."))?;
    log::info!(user_id = who.user, job = row.id; "Operator {} starts {} (dry run: {dry_run})", who.username, row.kind);
    state.tell(row.run_at, now);
    Ok(HttpResponse::Accepted().json(row.shown(now)))
}

fn no_such_job() -> ApiError {
    ApiError::not_found("job")
}
