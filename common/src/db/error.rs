//! What can go wrong with the database, named by what the caller can do about it. diesel hides PostgreSQL's SQLSTATE and
//! SQLite's result code, so that some of it is read from the message; each such text stands here once.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};

#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// A unique or foreign key constraint refused the row. SQLite names `table.column` (several joined by `, `), PostgreSQL the
    /// constraint, `table_column_key` by default: ask [`DbError::conflicts_on`].
    #[error("refused by constraint {constraint}")]
    Conflict { constraint: String },
    /// One row was asked for and there is none.
    #[error("no such row")]
    NotFound,
    /// Too many wait, or the wait (for the door, a lock, a statement) took too long. Nothing was changed; may be repeated.
    #[error("the database is busy")]
    Overloaded,
    /// The database can't be reached, or the connection was cut. After a cut during COMMIT the change may have happened.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The disk of the database is full. Reads go on.
    #[error("the disk of the database is full")]
    Full,
    /// A bug or a broken file: the text is for the log only.
    #[error("database error: {0}")]
    Internal(String),
}

impl DbError {
    /// True for a conflict on a constraint that covers this column (`users.username`, `users_username_key`).
    pub fn conflicts_on(&self, column: &str) -> bool {
        let DbError::Conflict { constraint } = self else {
            return false;
        };
        constraint.match_indices(column).any(|(at, _)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
            edge(constraint[..at].chars().next_back()) && edge(constraint[at + column.len()..].chars().next())
        })
    }

    /// True when the connection it came from must not be trusted any more.
    pub(super) fn breaks_connection(&self) -> bool {
        matches!(self, DbError::Unavailable(_))
    }
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => DbError::NotFound,
            Error::DatabaseError(kind, info) => from_database(kind, info.as_ref()),
            Error::RollbackErrorOnCommit { commit_error, .. } => (*commit_error).into(),
            Error::BrokenTransactionManager => DbError::Unavailable("the connection is broken".into()),
            other => DbError::Internal(other.to_string()),
        }
    }
}

fn from_database(kind: DatabaseErrorKind, info: &(dyn DatabaseErrorInformation + Send + Sync)) -> DbError {
    let message = info.message();
    match kind {
        DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ForeignKeyViolation => DbError::Conflict {
            constraint: constraint(info),
        },
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
            DbError::Unavailable(message.trim().to_owned())
        }
        DatabaseErrorKind::SerializationFailure => DbError::Overloaded,
        _ if any(message, &FULL) => DbError::Full,
        _ if any(message, &BUSY) => DbError::Overloaded,
        _ if any(message, &GONE) => DbError::Unavailable(message.trim().to_owned()),
        kind => DbError::Internal(format!("{kind:?}: {message}")),
    }
}

fn constraint(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> String {
    if let Some(name) = info.constraint_name() {
        return name.to_owned();
    }
    let message = info.message();
    match message.split_once("constraint failed: ") {
        Some((_, columns)) => columns.to_owned(),
        None => message.to_owned(),
    }
}

fn any(message: &str, texts: &[&str]) -> bool {
    texts.iter().any(|text| message.contains(text))
}

/// SQLITE_FULL; ENOSPC as PostgreSQL (53100) reports it in the C locale that Sluice's deployments use; a quota.
const FULL: [&str; 4] = [
    "database or disk is full",
    "No space left on device",
    "could not extend file",
    "Disk quota exceeded",
];

/// SQLITE_BUSY, SQLITE_LOCKED; statement_timeout, lock_timeout, deadlock (40P01), too many connections (53300).
const BUSY: [&str; 7] = [
    "database is locked",
    "database table is locked",
    "due to statement timeout",
    "due to lock timeout",
    "deadlock detected",
    "too many clients already",
    "remaining connection slots are reserved",
];

/// An administrator's or a crash's end of the session (57P01–57P03), a network that went away, SQLite's file taken away.
const GONE: [&str; 10] = [
    "terminating connection",
    "server closed the connection",
    "the database system is",
    "connection to server",
    "no connection to the server",
    "could not receive data from server",
    "could not send data to server",
    "SSL connection has been closed",
    "unable to open database file",
    "disk I/O error",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(message: &str) -> DbError {
        Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned())).into()
    }

    #[test]
    fn messages_are_named() {
        assert!(matches!(unknown("database or disk is full"), DbError::Full));
        assert!(matches!(
            unknown("could not extend file \"base/5/16397\": No space left on device"),
            DbError::Full
        ));
        assert!(matches!(unknown("database is locked"), DbError::Overloaded));
        assert!(matches!(
            unknown("canceling statement due to statement timeout"),
            DbError::Overloaded
        ));
        assert!(matches!(
            unknown("terminating connection due to administrator command"),
            DbError::Unavailable(_)
        ));
        assert!(matches!(unknown("no such table: x"), DbError::Internal(_)));
        assert!(matches!(DbError::from(Error::NotFound), DbError::NotFound));
    }

    #[test]
    fn conflicts_are_matched_by_whole_column_names() {
        let on = |constraint: &str, column| {
            DbError::Conflict {
                constraint: constraint.into(),
            }
            .conflicts_on(column)
        };
        assert!(on("users.username", "username"));
        assert!(on("users_username_key", "username"));
        assert!(on("jobs.kind, jobs.key", "kind"));
        assert!(!on("users.username", "name"));
        assert!(!on("users.name", "username"));
    }
}
