//! What operators read.

use common::db::AnyConn;
use common::ids::Id;
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::job::{Kind, Row, State, jobs};

/// Which jobs of the list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub kind: Option<Kind>,
    /// Read on after this one.
    pub after: Option<Id>,
}

/// Up to `limit` jobs, the newest first.
pub fn page(conn: &mut AnyConn, now: i64, filter: &Filter, limit: i64) -> QueryResult<Vec<Row>> {
    let mut query = jobs::table
        .select(Row::as_select())
        .order(jobs::id.desc())
        .limit(limit)
        .into_boxed();
    query = match filter.state {
        None => query,
        Some(State::Ready) => query.filter(jobs::state.eq("scheduled")).filter(jobs::run_at.le(now)),
        Some(State::Scheduled) => query.filter(jobs::state.eq("scheduled")).filter(jobs::run_at.gt(now)),
        Some(state) => query.filter(jobs::state.eq(state.name())),
    };
    if let Some(kind) = filter.kind {
        query = query.filter(jobs::kind.eq(kind.name()));
    }
    if let Some(after) = &filter.after {
        query = query.filter(jobs::id.lt(after.as_str().to_owned()));
    }
    query.load(conn)
}

pub fn by_id(conn: &mut AnyConn, id: &Id) -> QueryResult<Option<Row>> {
    jobs::table
        .filter(jobs::id.eq(id.as_str()))
        .select(Row::as_select())
        .first(conn)
        .optional()
}

/// How many jobs there are of each kind and state.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Each state with its number of jobs, also the ones without any.
    pub states: BTreeMap<String, i64>,
    /// The same for each kind that has jobs.
    pub kinds: BTreeMap<String, BTreeMap<String, i64>>,
    /// When the longest waiting of the ready jobs became due.
    pub oldest_ready_at: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct Group {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    jobs: i64,
    #[diesel(sql_type = BigInt)]
    due: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest: Option<i64>,
}

pub fn summary(conn: &mut AnyConn, now: i64) -> QueryResult<Summary> {
    let groups: Vec<Group> = sql_query(
        "SELECT kind, state, COUNT(*) AS jobs, COUNT(CASE WHEN run_at <= $1 THEN 1 END) AS due, MIN(run_at) AS oldest \
         FROM jobs GROUP BY kind, state",
    )
    .bind::<BigInt, _>(now)
    .load(conn)?;
    let mut summary = Summary {
        states: State::ALL.map(|state| (state.name().to_owned(), 0)).into(),
        ..Summary::default()
    };
    for group in groups {
        let mut add = |state: &str, jobs: i64| {
            if jobs > 0 {
                *summary.states.entry(state.to_owned()).or_default() += jobs;
                *summary
                    .kinds
                    .entry(group.kind.clone())
                    .or_default()
                    .entry(state.to_owned())
                    .or_default() += jobs;
            }
        };
        if group.state == State::Scheduled.name() {
            add(State::Ready.name(), group.due);
            add(State::Scheduled.name(), group.jobs - group.due);
            let oldest = group.oldest.filter(|at| *at <= now).map(Timestamp);
            summary.oldest_ready_at = [summary.oldest_ready_at, oldest].into_iter().flatten().min();
        } else {
            add(&group.state, group.jobs);
        }
    }
    Ok(summary)
}
