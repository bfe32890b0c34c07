//! Ending an attempt. Every settle is a compare-and-set on id and fence: whoever lost the lease changes nothing.

use common::db::{AnyConn, statement};
use common::ids::Id;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::job::{PERIODIC, Row};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The JSON is kept as the job's result.
    Done(serde_json::Value),
    /// There is nothing to do any more; the text says why.
    Cancelled(String),
    /// To be tried again after `wait_ms`, or dead when it was the last attempt.
    Failed { error: String, wait_ms: i64 },
    /// A service was away: to be tried again after `wait_ms`, and the attempt does not count. An outage ends no job; the error is
    /// shown while it lasts.
    Away { error: String, wait_ms: i64 },
    /// Not finished, and not the job's fault: the attempt does not count.
    GivenBack,
    /// Not to be done before this time, Unix milliseconds; the attempt does not count.
    Postponed(i64),
}

/// An ended attempt and the rules for it.
#[derive(Debug, Clone)]
pub struct Settled {
    pub job: Row,
    pub outcome: Outcome,
    pub max_attempts: i64,
    /// For a periodic job: when it comes again.
    pub every_ms: Option<i64>,
}

/// Longest error kept with a job, in characters: a sentence and its causes.
const MAX_ERROR_CHARS: usize = 1000;

/// Two clocks may differ: what is due here and not yet there is asked about once a second.
const MIN_POSTPONED_MS: i64 = 1000;

/// What the row becomes when nobody asked for another run in between.
struct Target {
    state: &'static str,
    run_at: i64,
    attempts: i64,
    error: Option<String>,
    result: Option<String>,
    finished_at: Option<i64>,
}

/// Says whether the lease was still ours.
pub fn settle(conn: &mut AnyConn, now: i64, settled: &Settled) -> QueryResult<bool> {
    let target = target(now, settled);
    let changed = statement(
        "UPDATE jobs SET state = CASE WHEN again_at IS NULL THEN $1 ELSE 'scheduled' END, \
         run_at = COALESCE(again_at, $2), attempts = CASE WHEN again_at IS NULL THEN $3 ELSE 0 END, \
         last_error = $4, result = COALESCE($5, result), finished_at = CASE WHEN again_at IS NULL THEN $6 END, \
         wanted_at = COALESCE(again_at, wanted_at), payload = COALESCE(again_payload, payload), \
         operation_id = COALESCE(again_operation, operation_id), \
         again_at = NULL, again_payload = NULL, again_operation = NULL, lease_owner = NULL, lease_until = NULL \
         WHERE id = $7 AND fence = $8 AND state = 'running'",
    )
    .bind::<Text, _>(target.state)
    .bind::<BigInt, _>(target.run_at)
    .bind::<BigInt, _>(target.attempts)
    .bind::<Nullable<Text>, _>(target.error)
    .bind::<Nullable<Text>, _>(target.result)
    .bind::<Nullable<BigInt>, _>(target.finished_at)
    .bind::<Text, _>(settled.job.id.as_str())
    .bind::<BigInt, _>(settled.job.fence)
    .execute(conn)?;
    Ok(changed == 1)
}

fn target(now: i64, settled: &Settled) -> Target {
    let Settled {
        job,
        outcome,
        max_attempts,
        every_ms,
    } = settled;
    let again = |wait: i64| now.saturating_add(wait);
    let periodic = every_ms.filter(|_| job.key == PERIODIC);
    let ends = |state, error| Target {
        state,
        run_at: job.run_at,
        attempts: job.attempts,
        error,
        result: None,
        finished_at: Some(now),
    };
    match (outcome, periodic) {
        (Outcome::Done(result), None) => Target {
            result: Some(result.to_string()),
            ..ends("done", None)
        },
        (Outcome::Done(result), Some(every)) => Target {
            run_at: again(every),
            attempts: 0,
            result: Some(result.to_string()),
            ..ends("scheduled", None)
        },
        (Outcome::Cancelled(reason), _) => ends("cancelled", Some(clipped(reason))),
        (Outcome::Failed { error, wait_ms }, _) if job.attempts < *max_attempts => Target {
            run_at: again(*wait_ms),
            finished_at: None,
            ..ends("scheduled", Some(clipped(error)))
        },
        // A schedule that an outage could end for ever would be none: it tries again at its next time.
        (Outcome::Failed { error, .. }, Some(every)) => Target {
            run_at: again(every),
            attempts: 0,
            ..ends("scheduled", Some(clipped(error)))
        },
        (Outcome::Failed { error, .. }, None) => ends("dead", Some(clipped(error))),
        (Outcome::Away { error, wait_ms }, _) => Target {
            run_at: again(*wait_ms),
            attempts: (job.attempts - 1).max(0),
            finished_at: None,
            ..ends("scheduled", Some(clipped(error)))
        },
        (Outcome::GivenBack, _) => Target {
            attempts: (job.attempts - 1).max(0),
            finished_at: None,
            ..ends("scheduled", job.last_error.clone())
        },
        (Outcome::Postponed(until), _) => Target {
            run_at: (*until).max(again(MIN_POSTPONED_MS)),
            attempts: (job.attempts - 1).max(0),
            finished_at: None,
            ..ends("scheduled", None)
        },
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(MAX_ERROR_CHARS).collect()
}

/// Forgets jobs that were done or cancelled before `before`, up to `limit`; says how many. Dead ones stay for the operator.
pub fn prune(conn: &mut AnyConn, before: i64, limit: i64) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state IN ('done', 'cancelled') AND finished_at < $1 \
         ORDER BY finished_at LIMIT $2)",
    )
    .bind::<BigInt, _>(before)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

impl Settled {
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.job.id
    }
}
