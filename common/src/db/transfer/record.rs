//! The record of a move, in the target: whose it is, how far each table is, whether it is finished.

use super::{Count, TransferError, Value, run};
use crate::db::{AnyConn, Backend, now_ms};
use diesel::prelude::*;
use diesel::sql_types::Text;

/// A note that stays when a move starts over: what was found before its first step.
pub const OUTLIVES: &str = "the store was empty";

const ORIGIN: &str = "origin";
const FINISHED: &str = "finished";
/// The place of a table of which everything is copied.
const DONE: &str = "done";

/// A record that is open in the target.
pub(super) struct Record;

impl Record {
    /// Finds the record of this move, or begins one in a database whose tables are empty.
    pub fn open(
        conn: &mut AnyConn,
        origin: &str,
        tables: &[&str],
        start_over: bool,
    ) -> Result<(Record, super::Begun), TransferError> {
        let record = Record;
        let mut outlives = None;
        if exists(conn)? {
            if record.get(conn, FINISHED)?.is_some() {
                return Ok((record, super::Begun::Finished));
            }
            let theirs = record.get(conn, ORIGIN)?.unwrap_or_default();
            if theirs != origin {
                return Err(TransferError::Refused(format!(
                    "the target holds an unfinished move from {theirs}: run that to its end, or name another target"
                )));
            }
            if !start_over {
                return Ok((record, super::Begun::Continued));
            }
            outlives = record.get(conn, OUTLIVES)?;
            conn.transaction(|conn| {
                for table in tables.iter().rev() {
                    run(conn, &format!("DELETE FROM \"{table}\""))?;
                }
                run(conn, "DROP TABLE sluice_move")
            })?;
        }
        for table in tables {
            let rows = diesel::sql_query(format!("SELECT COUNT(*) AS n FROM \"{table}\""))
                .get_result::<Count>(conn)?
                .n;
            if rows > 0 {
                return Err(TransferError::Refused(format!(
                    "the target isn't empty: table {table} has {rows} rows; name an empty database or schema"
                )));
            }
        }
        conn.transaction(|conn| {
            run(
                conn,
                "CREATE TABLE sluice_move (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
            )?;
            if let Some(outlives) = &outlives {
                record.set(conn, OUTLIVES, outlives)?;
            }
            record.set(conn, ORIGIN, origin)
        })?;
        Ok((record, super::Begun::Fresh))
    }

    pub fn get(&self, conn: &mut AnyConn, name: &str) -> QueryResult<Option<String>> {
        diesel::sql_query("SELECT value FROM sluice_move WHERE name = $1")
            .bind::<Text, _>(name)
            .get_result::<Value>(conn)
            .optional()
            .map(|row| row.map(|row| row.value))
    }

    pub fn set(&self, conn: &mut AnyConn, name: &str, value: &str) -> QueryResult<()> {
        diesel::sql_query(
            "INSERT INTO sluice_move (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind::<Text, _>(name)
        .bind::<Text, _>(value)
        .execute(conn)
        .map(drop)
    }

    /// The key (a JSON list, empty at the begin) after which a table is still to be copied; `None` when all of it is.
    pub fn place(&self, conn: &mut AnyConn, table: &str) -> QueryResult<Option<String>> {
        let place = self.get(conn, &name_of(table))?;
        Ok(match place.as_deref() {
            None => Some("[]".to_owned()),
            Some(DONE) => None,
            Some(key) => Some(key.to_owned()),
        })
    }

    pub fn set_place(&self, conn: &mut AnyConn, table: &str, place: &Option<String>) -> QueryResult<()> {
        self.set(conn, &name_of(table), place.as_deref().unwrap_or(DONE))
    }

    pub fn finish(&self, conn: &mut AnyConn) -> QueryResult<()> {
        let now = now_ms(conn)?;
        self.set(conn, FINISHED, &now.to_string())
    }
}

fn name_of(table: &str) -> String {
    format!("table {table}")
}

fn exists(conn: &mut AnyConn) -> QueryResult<bool> {
    let text = match conn.backend() {
        Backend::Sqlite => "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = 'sluice_move'",
        Backend::Postgres => "SELECT COUNT(*) AS n WHERE to_regclass('sluice_move') IS NOT NULL",
    };
    Ok(diesel::sql_query(text).get_result::<Count>(conn)?.n > 0)
}

/// Where an unfinished move into this database comes from.
pub fn unfinished(conn: &mut AnyConn) -> QueryResult<Option<String>> {
    if !exists(conn)? || Record.get(conn, FINISHED)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Record.get(conn, ORIGIN)?.unwrap_or_default()))
}
