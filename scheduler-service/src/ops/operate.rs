//! What operators do: retry, cancel, run now.

use common::db::AnyConn;
use common::ids::Id;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::list::by_id;
use crate::job::{Kind, PERIODIC, Row};

/// Unfinished jobs of one kind that operators may have started. One reconcile reads everything; a queue of them helps nobody.
const MAX_STARTED: i64 = 4;

/// A job after an operator's wish, and whether the wish could be done.
#[derive(Debug)]
pub struct Operated {
    pub job: Row,
    pub changed: bool,
}

/// Makes the job due now with all its attempts; not one that runs. `None`: there is no such job.
pub fn retry(conn: &mut AnyConn, now: i64, id: &Id) -> QueryResult<Option<Operated>> {
    let changed = sql_query(
        "UPDATE jobs SET state = 'scheduled', run_at = $1, attempts = 0, finished_at = NULL \
         WHERE id = $2 AND state <> 'running'",
    )
    .bind::<BigInt, _>(now)
    .bind::<Text, _>(id.as_str())
    .execute(conn)?;
    answer(conn, id, changed)
}

/// Ends a job that neither runs nor is done: a scheduled one will not begin, a dead one is put aside. `None`: there is no
/// such job.
pub fn cancel(conn: &mut AnyConn, now: i64, id: &Id) -> QueryResult<Option<Operated>> {
    let changed = sql_query(
        "UPDATE jobs SET state = 'cancelled', finished_at = CASE WHEN state = 'cancelled' THEN finished_at ELSE $1 END \
         WHERE id = $2 AND state IN ('scheduled', 'dead', 'cancelled')",
    )
    .bind::<BigInt, _>(now)
    .bind::<Text, _>(id.as_str())
    .execute(conn)?;
    answer(conn, id, changed)
}

fn answer(conn: &mut AnyConn, id: &Id, changed: usize) -> QueryResult<Option<Operated>> {
    let changed = changed == 1;
    Ok(by_id(conn, id)?.map(|job| Operated { job, changed }))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// A job of its own that is due now; `None` when operators have started too many of this kind.
pub fn run_now(conn: &mut AnyConn, now: i64, kind: Kind, payload: &str, operation: &str) -> QueryResult<Option<Row>> {
    let waiting =
        sql_query("SELECT COUNT(*) AS n FROM jobs WHERE kind = $1 AND key <> $2 AND state IN ('scheduled', 'running')")
            .bind::<Text, _>(kind.name())
            .bind::<Text, _>(PERIODIC)
            .get_result::<Count>(conn)?;
    if waiting.n >= MAX_STARTED {
        return Ok(None);
    }
    let id = Id::now();
    let request = super::Request {
        kind,
        key: format!("operator-{id}"),
        payload: payload.to_owned(),
        run_at: now,
        operation_id: operation.to_owned(),
    };
    super::arm(conn, now, &request).map(|armed| Some(armed.job))
}
