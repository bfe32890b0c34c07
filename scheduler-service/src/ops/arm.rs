//! Making sure that a job will run: `PUT /internal/jobs/{kind}/{key}` and the periodic schedules.

use common::db::AnyConn;
use common::ids::Id;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::job::{Kind, PERIODIC, Row, jobs};

/// What a service asks for. Two equal requests are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub kind: Kind,
    pub key: String,
    /// JSON.
    pub payload: String,
    /// Unix milliseconds.
    pub run_at: i64,
    pub operation_id: String,
}

/// What became of a request.
#[derive(Debug)]
pub struct Armed {
    pub job: Row,
    /// There was no job of this kind and key before.
    pub created: bool,
}

/// New: inserted. Scheduled: time and payload replaced. Finished in any way: armed anew with all its attempts. Running: what
/// differs from the present run is remembered and done after it.
pub fn arm(conn: &mut AnyConn, now: i64, request: &Request) -> QueryResult<Armed> {
    // The insert comes first: between a look and an insert another process could have been faster.
    let inserted: Vec<Row> = sql_query(
        "INSERT INTO jobs (id, kind, key, payload, wanted_at, run_at, state, attempts, fence, operation_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $5, 'scheduled', 0, 0, $6, $7) ON CONFLICT (kind, key) DO NOTHING RETURNING *",
    )
    .bind::<Text, _>(Id::now().as_str())
    .bind::<Text, _>(request.kind.name())
    .bind::<Text, _>(&request.key)
    .bind::<Text, _>(&request.payload)
    .bind::<BigInt, _>(request.run_at)
    .bind::<Text, _>(&request.operation_id)
    .bind::<BigInt, _>(now)
    .load(conn)?;
    if let Some(job) = inserted.into_iter().next() {
        return Ok(Armed { job, created: true });
    }
    rearm(conn, request)?;
    remember_for_after(conn, request)?;
    let job = jobs::table
        .filter(jobs::kind.eq(request.kind.name()))
        .filter(jobs::key.eq(&request.key))
        .select(Row::as_select())
        .first(conn)?;
    Ok(Armed { job, created: false })
}

/// A repeated request must not undo the wait after a failed attempt: only what differs, or is finished, is changed.
fn rearm(conn: &mut AnyConn, request: &Request) -> QueryResult<usize> {
    sql_query(
        "UPDATE jobs SET payload = $1, wanted_at = $2, run_at = $2, operation_id = $3, \
         attempts = CASE WHEN state = 'scheduled' THEN attempts ELSE 0 END, state = 'scheduled', \
         last_error = NULL, result = NULL, finished_at = NULL \
         WHERE kind = $4 AND key = $5 AND (state IN ('done', 'dead', 'cancelled') \
         OR state = 'scheduled' AND (payload <> $1 OR wanted_at <> $2))",
    )
    .bind::<Text, _>(&request.payload)
    .bind::<BigInt, _>(request.run_at)
    .bind::<Text, _>(&request.operation_id)
    .bind::<Text, _>(request.kind.name())
    .bind::<Text, _>(&request.key)
    .execute(conn)
}

fn remember_for_after(conn: &mut AnyConn, request: &Request) -> QueryResult<usize> {
    sql_query(
        "UPDATE jobs SET again_payload = $1, again_at = $2, again_operation = $3 \
         WHERE kind = $4 AND key = $5 AND state = 'running' AND (payload <> $1 OR wanted_at <> $2)",
    )
    .bind::<Text, _>(&request.payload)
    .bind::<BigInt, _>(request.run_at)
    .bind::<Text, _>(&request.operation_id)
    .bind::<Text, _>(request.kind.name())
    .bind::<Text, _>(&request.key)
    .execute(conn)
}

/// A job that has not begun will not; one that runs will not run again after. Safe to repeat.
pub fn cancel_by_key(conn: &mut AnyConn, now: i64, kind: Kind, key: &str) -> QueryResult<()> {
    let named = jobs::table.filter(jobs::kind.eq(kind.name())).filter(jobs::key.eq(key));
    diesel::update(named.filter(jobs::state.eq("scheduled")))
        .set((jobs::state.eq("cancelled"), jobs::finished_at.eq(now)))
        .execute(conn)?;
    let named = jobs::table.filter(jobs::kind.eq(kind.name())).filter(jobs::key.eq(key));
    diesel::update(named.filter(jobs::state.eq("running")))
        .set((
            jobs::again_at.eq(None::<i64>),
            jobs::again_payload.eq(None::<String>),
            jobs::again_operation.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Makes sure that the periodic job of `kind` exists and is not further away than `every_ms` (a shortened interval counts from
/// now). One that an operator cancelled, or that died, stays so.
pub fn ensure_periodic(conn: &mut AnyConn, now: i64, kind: Kind, every_ms: i64, operation: &str) -> QueryResult<()> {
    sql_query(
        "INSERT INTO jobs (id, kind, key, payload, wanted_at, run_at, state, attempts, fence, operation_id, created_at) \
         VALUES ($1, $2, $3, '{}', $4, $4, 'scheduled', 0, 0, $5, $6) ON CONFLICT (kind, key) DO NOTHING",
    )
    .bind::<Text, _>(Id::now().as_str())
    .bind::<Text, _>(kind.name())
    .bind::<Text, _>(PERIODIC)
    .bind::<BigInt, _>(now.saturating_add(every_ms))
    .bind::<Text, _>(operation)
    .bind::<BigInt, _>(now)
    .execute(conn)?;
    let latest = now.saturating_add(every_ms);
    diesel::update(
        jobs::table
            .filter(jobs::kind.eq(kind.name()))
            .filter(jobs::key.eq(PERIODIC))
            .filter(jobs::state.eq("scheduled"))
            .filter(jobs::run_at.gt(latest)),
    )
    .set((jobs::run_at.eq(latest), jobs::wanted_at.eq(latest)))
    .execute(conn)
    .map(drop)
}
