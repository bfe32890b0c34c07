//! What a failure of the database is to a client.

use std::time::Duration;

use super::{ApiError, Code};
use crate::db::DbError;

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        let (code, detail) = match &error {
            DbError::Conflict { .. } => (Code::Conflict, "Another request was faster."),
            DbError::NotFound => (Code::NotFound, "There is no such thing."),
            DbError::Overloaded => (Code::Overloaded, "The database has too much to do."),
            DbError::Unavailable(_) => (Code::UpstreamUnavailable, "The database can't be reached just now."),
            DbError::Full => (Code::StorageFull, "The disk of the database is full."),
            DbError::Internal(_) => return ApiError::internal(error),
        };
        let answer = ApiError::new(code, detail).because(&error);
        match code {
            Code::Overloaded | Code::UpstreamUnavailable => answer.retry_after(Duration::from_secs(1)),
            _ => answer,
        }
    }
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        DbError::from(error).into()
    }
}
