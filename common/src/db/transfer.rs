//! Copying a service's tables from one database into an empty one, of either kind: `sluice move`.
//!
//! Rows travel as JSON arrays that the databases themselves write and read, so that nothing here knows a column. The target keeps
//! a record of the move in a table of its own, in the transaction of each page: whoever is interrupted goes on where he was, and no
//! service starts on a database that is half filled (see [`super::migrate`]). The source is only read. At the end both sides are
//! read again and compared, by count and by hash of every table.

mod record;
mod sum;
mod table;

pub use record::OUTLIVES;
pub use sum::Sum;

use super::connect::{Others, Role, establish, read_only};
use super::migrate::{apply_all, pending_on};
use super::{AnyConn, Backend, DatabaseUrl, DbError, DbOptions, MigrateError, Migrations};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use record::Record;
use std::time::Duration;
use table::TableShape;

pub(super) use record::unfinished;

/// Rows of one page: read, written and noted together. The largest rows (a video's description) have about 20 KB.
const PAGE: i64 = 500;

/// Why a move does not go on.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Nothing was changed; the text says which side and what to do.
    #[error("{0}")]
    Refused(String),
    /// Source and target differ, after everything was copied.
    #[error("{0}")]
    Differs(String),
    #[error("{0}")]
    Migrate(#[from] MigrateError),
    #[error("{0}")]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for TransferError {
    fn from(error: diesel::result::Error) -> Self {
        TransferError::Db(error.into())
    }
}

/// The tables of one service between two databases.
pub struct Transfer {
    tables: &'static [&'static str],
    from: AnyConn,
    to: AnyConn,
    record: Record,
}

/// How far it was when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    Fresh,
    /// An earlier run was interrupted; this one goes on.
    Continued,
    /// An earlier run came to its end: there is nothing to do.
    Finished,
}

impl Transfer {
    /// Opens both sides and checks that they can be what they are to be. `tables` in an order in which their rows can be inserted;
    /// with `start_over` what an interrupted move has copied is removed first. The caller holds the lock of a source that is a
    /// SQLite file. Blocks.
    pub fn begin(
        from: &DatabaseUrl,
        to: &DatabaseUrl,
        migrations: &Migrations,
        tables: &'static [&'static str],
        start_over: bool,
    ) -> Result<(Transfer, Begun), TransferError> {
        if from.to_string() == to.to_string() && same_schema(from, to) {
            return Err(TransferError::Refused("source and target are the same".into()));
        }
        let mut source = open_source(from, migrations)?;
        apply_all(to, migrations)?;
        let mut target = establish(to, Role::Writer, &options())?;
        refuse_in_use(&mut source, "the source")?;
        refuse_in_use(&mut target, "the target")?;
        let origin = match from {
            DatabaseUrl::Sqlite { path } => std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string(),
            DatabaseUrl::Postgres { .. } => from.to_string(),
        };
        let (record, begun) = Record::open(&mut target, &origin, tables, start_over)?;
        let transfer = Transfer {
            tables,
            from: source,
            to: target,
            record,
        };
        Ok((transfer, begun))
    }

    /// Copies what is not copied yet; tells `progress` the table and how many rows of it were copied now.
    pub fn copy(&mut self, progress: &mut dyn FnMut(&str, u64)) -> Result<(), TransferError> {
        for table in self.tables {
            let shape = TableShape::of_both(&mut self.from, &mut self.to, table)?;
            let mut rows = 0;
            while let Some(after) = self.record.place(&mut self.to, table)? {
                let page = shape.page(&mut self.from, &after, PAGE)?;
                let place = shape.place_after(&page, PAGE);
                rows += page.len() as u64;
                let (record, shape) = (&self.record, &shape);
                self.to.transaction(|conn| {
                    shape.insert(conn, &page)?;
                    record.set_place(conn, table, &place)
                })?;
                progress(table, rows);
            }
            let next = shape.sequence(&mut self.from)?;
            shape.set_sequence(&mut self.to, next)?;
        }
        Ok(())
    }

    /// Reads both sides again: the rows and hash of each table, or which one differs.
    pub fn verify(&mut self) -> Result<Vec<(&'static str, Sum)>, TransferError> {
        let mut sums = Vec::new();
        for table in self.tables {
            let shape = TableShape::of_both(&mut self.from, &mut self.to, table)?;
            let (here, there) = (shape.sum(&mut self.from, PAGE)?, shape.sum(&mut self.to, PAGE)?);
            if here != there {
                return Err(TransferError::Differs(format!(
                    "table {table}: the source has {here}, the target {there}: one of them was changed since the move began; \
                     stop what writes to it and run again with --start-over"
                )));
            }
            sums.push((*table, here));
        }
        Ok(sums)
    }

    /// The source, for reading what belongs to the tables (the media).
    pub fn source(&mut self) -> &mut AnyConn {
        &mut self.from
    }

    /// A place that whoever moves more than tables has come to; `None` at the begin.
    pub fn noted(&mut self, name: &str) -> Result<Option<String>, TransferError> {
        Ok(self.record.get(&mut self.to, name)?)
    }

    pub fn note(&mut self, name: &str, value: &str) -> Result<(), TransferError> {
        let record = &self.record;
        Ok(self.to.transaction(|conn| record.set(conn, name, value))?)
    }

    /// The end: from now on services start on the target. `settle` makes the last changes there, in the same transaction.
    pub fn finish<T>(&mut self, settle: impl FnOnce(&mut AnyConn) -> QueryResult<T>) -> Result<T, TransferError> {
        let record = &self.record;
        Ok(self.to.transaction(|conn| {
            let settled = settle(conn)?;
            record.finish(conn)?;
            Ok::<_, diesel::result::Error>(settled)
        })?)
    }
}

fn options() -> DbOptions {
    DbOptions {
        // Reading a page of a large table again may take long; nobody waits for it.
        statement_timeout: Duration::ZERO,
        lock_timeout: Duration::from_secs(30),
        // One database may be waited for inside a transaction on the other.
        idle_in_transaction: Duration::from_secs(60),
        application_name: "sluice-move".into(),
        ..DbOptions::default()
    }
}

fn same_schema(a: &DatabaseUrl, b: &DatabaseUrl) -> bool {
    match (a, b) {
        (DatabaseUrl::Postgres { schema: a, .. }, DatabaseUrl::Postgres { schema: b, .. }) => a == b,
        _ => true,
    }
}

fn open_source(url: &DatabaseUrl, migrations: &Migrations) -> Result<AnyConn, TransferError> {
    if let DatabaseUrl::Sqlite { path } = url
        && !path.exists()
    {
        return Err(TransferError::Refused(format!("{} is not there", path.display())));
    }
    let mut conn = match url {
        DatabaseUrl::Sqlite { path } => AnyConn::Sqlite(read_only(path, &options(), Others::AreLockedOut)?),
        DatabaseUrl::Postgres { .. } => establish(url, Role::Reader, &options())?,
    };
    let missing = pending_on(&mut conn, migrations)?;
    if missing.is_empty() {
        return Ok(conn);
    }
    Err(TransferError::Refused(format!(
        "the source is older than this binary ({} to apply): start it once with this version, or run `sluice migrate` on it",
        missing.join(", ")
    )))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

/// Services on PostgreSQL show themselves in its list of connections; those on SQLite hold a lock, which the caller takes.
fn refuse_in_use(conn: &mut AnyConn, side: &str) -> Result<(), TransferError> {
    if conn.backend() == Backend::Sqlite {
        return Ok(());
    }
    let others = diesel::sql_query(
        "SELECT COALESCE(string_agg(DISTINCT application_name, ', '), '') AS value FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND application_name IN ('sluice-api', 'sluice-stream', 'sluice-scheduler')",
    )
    .get_result::<Value>(conn)?
    .value;
    if others.is_empty() {
        return Ok(());
    }
    Err(TransferError::Refused(format!(
        "{side} is in use by {others}: stop them"
    )))
}

fn run(conn: &mut AnyConn, text: &str) -> QueryResult<()> {
    conn.batch_execute(text)
}
