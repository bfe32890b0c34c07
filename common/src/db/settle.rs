//! Emptying SQLite's write-ahead log. `secure_delete` overwrites what was deleted in the file of the database, but the log
//! holds the pages of before until it is emptied: without this, what somebody deleted could be read there for days.

use super::{AnyConn, DbError};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Integer;

/// Longest wait for reads that still need the log. Writes wait as long, so it is short: who comes too late tries again.
const PATIENCE_MS: u32 = 100;

#[derive(QueryableByName)]
struct Patience {
    #[diesel(sql_type = Integer)]
    timeout: i32,
}

#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = Integer)]
    busy: i32,
}

/// Copies the log into the file and cuts it to nothing; false when somebody was in the way.
pub(super) fn settle(conn: &mut AnyConn) -> Result<bool, DbError> {
    let before = sql_query("PRAGMA busy_timeout").get_result::<Patience>(conn)?.timeout;
    conn.batch_execute(&format!("PRAGMA busy_timeout = {PATIENCE_MS}"))?;
    let outcome = sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result::<Outcome>(conn);
    conn.batch_execute(&format!("PRAGMA busy_timeout = {before}"))?;
    match outcome.map_err(DbError::from) {
        Ok(outcome) => Ok(outcome.busy == 0),
        Err(DbError::Overloaded) => Ok(false),
        Err(error) => Err(error),
    }
}
