//! One closure in one transaction: begun, committed or rolled back; what a panic leaves is thrown away.

use super::connect::Slot;
use super::{AnyConn, DbError};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the closure in the transaction that [`Lane::begin`] opened, and ends it.
pub(super) fn transact<T, E, F>(slot: &mut Slot, f: F) -> Result<T, E>
where
    F: FnOnce(&mut AnyConn) -> Result<T, E>,
    E: From<DbError>,
{
    match catch_unwind(AssertUnwindSafe(|| f(&mut slot.conn))) {
        Ok(Ok(value)) => checked(slot, commit).map(|()| value).map_err(E::from),
        Ok(Err(error)) => {
            slot.suspect = true;
            // What the closure says matters; a connection that can't roll back is thrown away.
            if AnyConn::rollback_transaction(&mut slot.conn).is_err() {
                slot.broken = true;
            }
            Err(error)
        }
        Err(panic) => Err(panicked(slot, panic.as_ref()).into()),
    }
}

pub(super) fn checked(slot: &mut Slot, step: fn(&mut AnyConn) -> diesel::QueryResult<()>) -> Result<(), DbError> {
    step(&mut slot.conn).map_err(|e| {
        let error = DbError::from(e);
        slot.suspect = true;
        if error.breaks_connection() {
            slot.cut();
        }
        error
    })
}

pub(super) fn begin(conn: &mut AnyConn) -> diesel::QueryResult<()> {
    match conn {
        // IMMEDIATE takes the write lock at once: a transaction that began by reading can't fail later when it writes.
        AnyConn::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        AnyConn::Postgres(conn) => AnsiTransactionManager::begin_transaction(conn),
    }
}

pub(super) fn commit(conn: &mut AnyConn) -> diesel::QueryResult<()> {
    match conn {
        AnyConn::Sqlite(conn) => AnsiTransactionManager::commit_transaction(conn),
        // PostgreSQL answers COMMIT of a failed transaction with a silent ROLLBACK. A closure that swallowed an error must not
        // be told that its change was kept: the SELECT fails in that state, in the same round trip.
        AnyConn::Postgres(conn) => conn.batch_execute("SELECT 1; COMMIT"),
    }
}

/// Undoes everything but the outermost transaction: a panic inside of `conn.transaction(…)` leaves its savepoints open.
pub(super) fn undo_nested(conn: &mut AnyConn) -> diesel::QueryResult<()> {
    loop {
        let status = match conn {
            AnyConn::Sqlite(conn) => AnsiTransactionManager::transaction_manager_status_mut(conn),
            AnyConn::Postgres(conn) => AnsiTransactionManager::transaction_manager_status_mut(conn),
        };
        match status.transaction_depth()?.map(std::num::NonZeroU32::get) {
            Some(1) => return Ok(()),
            Some(_) => AnyConn::rollback_transaction(conn)?,
            None => return Err(diesel::result::Error::NotInTransaction),
        }
    }
}

/// Says what a commit made true. A panic of it changes nothing about the commit.
pub(super) fn tell<T>(then: impl FnOnce(&T), value: &T) {
    if catch_unwind(AssertUnwindSafe(|| then(value))).is_err() {
        log::error!("What follows a commit of the database panicked");
    }
}

/// A panic may have left statements or savepoints open: the connection goes, which rolls everything back.
pub(super) fn panicked(slot: &mut Slot, panic: &(dyn std::any::Any + Send)) -> DbError {
    slot.broken = true;
    let text = panic.downcast_ref::<&str>().copied();
    let text = text
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    DbError::Internal(format!("panic while using the database: {text}"))
}
