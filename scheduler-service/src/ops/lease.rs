//! Taking jobs. A lease is a row's `lease_until` and a fence that grows with every lease: whoever holds an older fence can no
//! longer settle. The attempt is counted here, when the job is taken, so that a job that kills its worker is counted too.

use common::db::AnyConn;
use common::ids::Id;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::{id_list, skip_locked};
use crate::job::{Kind, Row};

/// What leases are taken for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who takes them; shown to people only, the fence decides.
    pub owner: String,
    pub lease_ms: i64,
    pub max_attempts: i64,
}

/// A job that is ours for now.
#[derive(Debug, Clone)]
pub struct Leased {
    pub job: Row,
    pub kind: Kind,
    /// It must run while nothing else does: its last workers did not live to settle it.
    pub alone: bool,
}

/// Attempts that ended without a word after which a job runs alone. What runs beside a job that kills its worker loses an
/// attempt with it; two such losses are bearable, eight would make innocent jobs dead.
const SILENT_ATTEMPTS: i64 = 2;

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = Text)]
    id: Id,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
}

/// Takes up to `free` due jobs; `idle` says that the caller runs nothing now. Leases that ran out come first.
pub fn lease(conn: &mut AnyConn, now: i64, terms: &Terms, free: usize, idle: bool) -> QueryResult<Vec<Leased>> {
    let expired = expired(conn, now, terms)?;
    let (spent, live): (Vec<_>, Vec<_>) = expired.into_iter().partition(|job| job.attempts >= terms.max_attempts);
    bury(conn, now, &spent)?;
    let (suspects, mut take): (Vec<_>, Vec<_>) = live.into_iter().partition(|job| job.attempts >= SILENT_ATTEMPTS);
    if let Some(suspect) = suspects.into_iter().next() {
        // It waits until this worker is idle, and the worker takes nothing else until then.
        let taken = if idle {
            mark(conn, now, terms, &[suspect])?
        } else {
            vec![]
        };
        return Ok(taken
            .into_iter()
            .map(|leased| Leased { alone: true, ..leased })
            .collect());
    }
    take.truncate(free);
    for kind in Kind::ALL {
        let room = free - take.len();
        if room > 0 {
            take.extend(due(conn, now, kind, room)?);
        }
    }
    mark(conn, now, terms, &take)
}

/// As a list for SQL. What is leased for another kind is a newer version's to take over.
fn known_kinds() -> String {
    Kind::ALL.map(|kind| format!("'{}'", kind.name())).join(",")
}

/// Leases whose holder is gone. One that reaches further than any lease can was written before the clock was set back; its
/// holder, if it lives, renews it within a third of a lease.
fn expired(conn: &mut AnyConn, now: i64, terms: &Terms) -> QueryResult<Vec<Candidate>> {
    let lock = skip_locked(conn.backend());
    let kinds = known_kinds();
    sql_query(format!(
        "SELECT id, attempts FROM jobs WHERE state = 'running' AND (lease_until <= $1 OR lease_until > $2) \
         AND kind IN ({kinds}) ORDER BY lease_until LIMIT 256{lock}"
    ))
    .bind::<BigInt, _>(now)
    .bind::<BigInt, _>(now.saturating_add(terms.lease_ms.saturating_mul(2)))
    .load(conn)
}

/// The statement that every poll runs; a test holds it to its index.
pub const DUE: &str = "SELECT id, attempts FROM jobs WHERE state = 'scheduled' AND kind = $1 AND run_at <= $2 \
                              ORDER BY run_at LIMIT $3";

fn due(conn: &mut AnyConn, now: i64, kind: Kind, room: usize) -> QueryResult<Vec<Candidate>> {
    let lock = skip_locked(conn.backend());
    sql_query(format!("{DUE}{lock}"))
        .bind::<Text, _>(kind.name())
        .bind::<BigInt, _>(now)
        .bind::<BigInt, _>(i64::try_from(room).unwrap_or(i64::MAX))
        .load(conn)
}

fn mark(conn: &mut AnyConn, now: i64, terms: &Terms, jobs: &[Candidate]) -> QueryResult<Vec<Leased>> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let mut rows: Vec<Row> = sql_query(format!(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, fence = fence + 1, lease_owner = $1, lease_until = $2, \
         started_at = $3 WHERE id IN ({}) RETURNING *",
        id_list(jobs.iter().map(|job| &job.id))
    ))
    .bind::<Text, _>(&terms.owner)
    .bind::<BigInt, _>(now.saturating_add(terms.lease_ms))
    .bind::<BigInt, _>(now)
    .load(conn)?;
    rows.sort_by_key(|job| job.run_at);
    let known = |job: Row| {
        Kind::from_name(&job.kind).map(|kind| Leased {
            job,
            kind,
            alone: false,
        })
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

/// The last attempt ended without a word too.
fn bury(conn: &mut AnyConn, now: i64, spent: &[Candidate]) -> QueryResult<()> {
    if spent.is_empty() {
        return Ok(());
    }
    sql_query(format!(
        "UPDATE jobs SET state = 'dead', finished_at = $1, lease_owner = NULL, lease_until = NULL, fence = fence + 1, \
         again_payload = NULL, again_at = NULL, again_operation = NULL, \
         last_error = 'The worker of the last attempt died or stalled' || COALESCE('; before that: ' || last_error, '') \
         WHERE id IN ({})",
        id_list(spent.iter().map(|job| &job.id))
    ))
    .bind::<BigInt, _>(now)
    .execute(conn)
    .map(drop)
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Text)]
    id: Id,
    #[diesel(sql_type = BigInt)]
    fence: i64,
}

/// Renews the leases of `held` (ids and fences) and says which of them are still ours.
pub fn extend(conn: &mut AnyConn, now: i64, terms: &Terms, held: &[(Id, i64)]) -> QueryResult<Vec<Id>> {
    if held.is_empty() {
        return Ok(vec![]);
    }
    let ids = id_list(held.iter().map(|(id, _)| id));
    let lock = match conn.backend() {
        common::db::Backend::Sqlite => "",
        common::db::Backend::Postgres => " FOR UPDATE",
    };
    let found: Vec<Held> = sql_query(format!(
        "SELECT id, fence FROM jobs WHERE state = 'running' AND id IN ({ids}) ORDER BY id{lock}"
    ))
    .load(conn)?;
    let ours = |row: &Held| held.iter().any(|(id, fence)| *id == row.id && *fence == row.fence);
    let kept: Vec<Id> = found.into_iter().filter(ours).map(|row| row.id).collect();
    if !kept.is_empty() {
        sql_query(format!(
            "UPDATE jobs SET lease_until = $1 WHERE id IN ({})",
            id_list(&kept)
        ))
        .bind::<BigInt, _>(now.saturating_add(terms.lease_ms))
        .execute(conn)?;
    }
    Ok(kept)
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = diesel::sql_types::Nullable<BigInt>)]
    at: Option<i64>,
}

/// Milliseconds until something can be leased: 0 when something can be now, None when nothing is planned.
pub fn due_in(conn: &mut AnyConn, now: i64, terms: &Terms) -> QueryResult<Option<i64>> {
    let of_kind = |kind: Kind| {
        format!(
            "SELECT MIN(run_at) AS at FROM jobs WHERE state = 'scheduled' AND kind = '{}'",
            kind.name()
        )
    };
    let all = Kind::ALL.map(of_kind).join(" UNION ALL ");
    let scheduled: Vec<Next> = sql_query(all).load(conn)?;
    let kinds = known_kinds();
    let leased = format!("SELECT lease_until AS at FROM jobs WHERE state = 'running' AND kind IN ({kinds})");
    let leased: Vec<Next> = sql_query(leased).load(conn)?;
    let impossible = now.saturating_add(terms.lease_ms.saturating_mul(2));
    let ends = leased
        .into_iter()
        .filter_map(|row| row.at)
        .map(|at| if at > impossible { now } else { at });
    let first = scheduled.into_iter().filter_map(|row| row.at).chain(ends).min();
    Ok(first.map(|at| (at - now).max(0)))
}
