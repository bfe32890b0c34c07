//! The one transaction of a turn: settle, renew, lease. One for all of it makes a batch out of whatever ended while the last
//! one was written, so that a backlog of small jobs costs a fraction of a disk sync each.

use std::sync::Arc;

use common::db::{AnyConn, Db, DbError, now_ms};
use common::ids::Id;
use diesel::QueryResult;

use crate::ops::{self, Leased, Settled, Terms};

pub(super) struct Ask {
    pub settled: Vec<Settled>,
    /// Leases to renew: ids and fences.
    pub held: Vec<(Id, i64)>,
    /// How many jobs to lease.
    pub free: usize,
    /// Nothing runs here: a job may be taken that must run alone.
    pub idle: bool,
    pub terms: Terms,
}

pub(super) struct Answer {
    /// Settles of leases that were no longer ours.
    pub refused: Vec<Settled>,
    /// Renewed leases that are still ours.
    pub kept: Vec<Id>,
    pub leased: Vec<Leased>,
    /// Milliseconds until there is something to lease.
    pub due_in: Option<i64>,
}

/// On failure the settles come back: they are to be tried again.
pub(super) async fn run(db: &Db, mut ask: Ask) -> Result<Answer, (DbError, Vec<Settled>)> {
    // Rows are locked in one order by everyone who locks several.
    ask.settled.sort_by(|a, b| a.id().cmp(b.id()));
    let ask = Arc::new(ask);
    let asking = ask.clone();
    let answer = db
        .write(move |conn| -> Result<Answer, DbError> { Ok(cycle(conn, &asking)?) })
        .await;
    answer.map_err(|error| {
        (
            error,
            Arc::try_unwrap(ask).map_or_else(|shared| shared.settled.clone(), |ask| ask.settled),
        )
    })
}

fn cycle(conn: &mut AnyConn, ask: &Ask) -> QueryResult<Answer> {
    let now = now_ms(conn)?;
    let mut refused = Vec::new();
    for settled in &ask.settled {
        if !ops::settle(conn, now, settled)? {
            refused.push(settled.clone());
        }
    }
    let kept = ops::extend(conn, now, &ask.terms, &ask.held)?;
    let leased = if ask.free > 0 {
        ops::lease(conn, now, &ask.terms, ask.free, ask.idle)?
    } else {
        vec![]
    };
    let due_in = ops::due_in(conn, now, &ask.terms)?;
    Ok(Answer {
        refused,
        kept,
        leased,
        due_in,
    })
}
