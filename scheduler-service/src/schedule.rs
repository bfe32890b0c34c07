//! The jobs that come again by themselves: one row of each kind, armed when the service starts and again by every settle.

use std::time::Duration;

use common::config::SchedulerConfig;
use common::db::{AnyConn, Db, DbError, now_ms};
use common::operation::OperationId;

use crate::job::Kind;
use crate::ops;

/// How often each kind comes.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    expire_sessions: Duration,
    expire_uploads: Duration,
    reconcile: Duration,
    scrub: Duration,
}

impl From<&SchedulerConfig> for Schedule {
    fn from(config: &SchedulerConfig) -> Self {
        Schedule {
            expire_sessions: config.expire_sessions_every.0,
            expire_uploads: config.expire_uploads_every.0,
            reconcile: config.reconcile_every.0,
            scrub: config.scrub_every.0,
        }
    }
}

impl Schedule {
    /// Milliseconds between two runs; `None` for what others ask for.
    #[must_use]
    pub fn every_ms(&self, kind: Kind) -> Option<i64> {
        let every = match kind {
            Kind::Purge => return None,
            Kind::ExpireSessions => self.expire_sessions,
            Kind::ExpireUploads => self.expire_uploads,
            Kind::Reconcile => self.reconcile,
            Kind::Scrub => self.scrub,
        };
        Some(i64::try_from(every.as_millis()).unwrap_or(i64::MAX))
    }

    /// Makes sure that every periodic job exists.
    pub async fn ensure(self, db: &Db) -> Result<(), DbError> {
        let operation = OperationId::mint();
        db.write(move |conn: &mut AnyConn| {
            let now = now_ms(conn)?;
            for kind in Kind::ALL {
                if let Some(every) = self.every_ms(kind) {
                    ops::ensure_periodic(conn, now, kind, every, operation.as_str())?;
                }
            }
            Ok(())
        })
        .await
    }
}
