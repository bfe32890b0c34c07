//! One connection type over SQLite and PostgreSQL, its pools and migrations. A service says what it reads or writes in a
//! closure on [`AnyConn`]; where it runs, how many at once, how long it may wait and what an error means is decided here.
//!
//! **The variant is picked by the URL's scheme** ([`DatabaseUrl`]), never by trying: diesel's own
//! `MultiConnection::establish` would turn a mistyped URL into a new SQLite file.
//!
//! **Isolation.** SQLite serialises writers (`BEGIN IMMEDIATE`). PostgreSQL runs READ COMMITTED, which is enough because every
//! rule of Sluice is held by something stronger than a snapshot: a unique constraint, a compare-and-set
//! (`UPDATE … WHERE state = … AND fence = …`, look at the number of rows), or a row locked by `FOR UPDATE`. Read-then-write
//! without one of them is a bug on both. A deadlock is reported ([`DbError::Overloaded`], nothing was done) and never
//! silently repeated: the closure may have had effects outside of the database.
//!
//! **Statements written once.** What works through `AnyConn` on both backends (held by `tests/it/db/statements.rs`):
//! - the query language: `load`, `first`, `count`, `filter`, `order`, `limit`, joins, `update().set()`, `delete()`,
//!   `insert_into().values()` of one row, `returning`, `#[derive(Queryable, Selectable, Insertable, AsChangeset)]`, boxed queries;
//! - `sql_query("… $1 … $2 …").bind::<Type, _>(v)` with `execute`, `load` and `get_result` into `#[derive(QueryableByName)]`:
//!   `$1` is a named parameter to SQLite, numbered by **first occurrence**, so the numbers must first appear in ascending
//!   order; a number may appear again. `RETURNING`, `ON CONFLICT … DO NOTHING`, `ON CONFLICT … DO UPDATE SET x = excluded.x`,
//!   row values, `WITH`, window functions and `VALUES` lists mean the same on both;
//! - types: `BigInt`, `Integer`, `Text`, `Binary`, `Bool`, `Double` and `Nullable` of them. Times are BIGINT Unix milliseconds.
//!
//! `sql_query` and `update` are prepared each time they run: what runs often should be a [`statement`].
//!
//! What does not compile through it: `on_conflict()` of the query language, batch inserts of several rows, `skip_locked`,
//! `eq_any`/`= ANY`: write them with `sql_query`. Where the text must differ, match on [`AnyConn::backend`] and let both forms
//! stand side by side. The type in `bind` is
//! told to PostgreSQL, so a parameter needs no cast.

mod connect;
mod error;
mod examine;
mod lane;
mod migrate;
mod pool;
mod settle;
mod sqlite_library;
mod statement;
mod transaction;
pub mod transfer;
mod url;
mod writer;

pub use self::connect::{read_file, snapshot};
pub use self::error::DbError;
pub use self::examine::examine;
pub use self::migrate::{Applied, MigrateError, Migrations, migrate, pending};
pub use self::pool::{Db, DbOptions};
pub use self::statement::{Bound, Statement, statement};
pub use self::url::{DatabaseUrl, UrlError};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

/// A connection to either database.
#[derive(diesel::MultiConnection)]
pub enum AnyConn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl AnyConn {
    /// For the few statements whose text differs.
    pub fn backend(&self) -> Backend {
        match self {
            AnyConn::Sqlite(_) => Backend::Sqlite,
            AnyConn::Postgres(_) => Backend::Postgres,
        }
    }
}

#[derive(QueryableByName)]
struct Now {
    #[diesel(sql_type = BigInt)]
    now_ms: i64,
}

/// Unix milliseconds by the database's clock, the only clock that due times and expiries are compared with. It moves on
/// inside a transaction (`clock_timestamp()`, not `now()`).
pub fn now_ms(conn: &mut AnyConn) -> QueryResult<i64> {
    let text = match conn.backend() {
        // Rounded, because 1700000000.123 * 1000 is 1700000000122.9999 in binary.
        Backend::Sqlite => "SELECT CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER) AS now_ms",
        Backend::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms",
    };
    let now = statement(text).get_result::<Now>(conn)?.now_ms;
    #[cfg(feature = "testing")]
    let now = now + pool::clock_shift();
    Ok(now)
}
