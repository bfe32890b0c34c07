//! Embedded migrations: all that are pending in one transaction, one process at a time (promise 21). A database that knows a
//! migration which this binary doesn't is refused, because an older binary can't know what the newer one changed.

use super::connect::{Role, establish};
use super::transfer::unfinished;
use super::{AnyConn, Backend, DatabaseUrl, DbError, DbOptions};
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use std::time::Duration;

/// The same migrations (same versions) for both backends, each written in its own dialect.
pub struct Migrations {
    pub sqlite: EmbeddedMigrations,
    pub postgres: EmbeddedMigrations,
}

/// Versions that were applied now, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied(pub Vec<String>);

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(
        "the database is newer than this binary: it has the migration {0}, which this binary does not know; use the version that made it or a newer one"
    )]
    Newer(String),
    #[error(
        "an unfinished `sluice move` from {0} is filling this database: run it again to its end, or name another database"
    )]
    Unfinished(String),
    /// The old state is untouched.
    #[error("migration {version} failed and nothing was changed: {cause}")]
    Failed { version: String, cause: String },
    #[error("{0}")]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for MigrateError {
    fn from(error: diesel::result::Error) -> Self {
        MigrateError::Db(error.into())
    }
}

/// How long to wait for another process that migrates. Long enough for an index on a large table.
const LOCK_WAIT: Duration = Duration::from_secs(300);

/// "sluice" in ASCII: the key of PostgreSQL's advisory lock. All services of one database take turns.
const LOCK_KEY: i64 = 0x736c_7569_6365;

/// Applies what is pending. Blocks; call it before [`super::Db::open`]. A database that a move has not filled to the end is
/// refused: no service may work on a half of it.
pub fn migrate(url: &DatabaseUrl, migrations: &Migrations) -> Result<Applied, MigrateError> {
    let applied = apply_all(url, migrations)?;
    match unfinished(&mut establish(url, Role::Reader, &DbOptions::default())?)? {
        Some(from) => Err(MigrateError::Unfinished(from)),
        None => Ok(applied),
    }
}

/// [`migrate`] for the move itself.
pub(super) fn apply_all(url: &DatabaseUrl, migrations: &Migrations) -> Result<Applied, MigrateError> {
    let options = DbOptions {
        statement_timeout: Duration::ZERO,
        lock_timeout: LOCK_WAIT,
        // Another process may be waiting for its turn.
        idle_in_transaction: Duration::from_secs(60),
        ..DbOptions::default()
    };
    match establish(url, Role::Writer, &options)? {
        AnyConn::Sqlite(mut conn) => conn.exclusive_transaction(|conn| apply::<Sqlite, _>(conn, &migrations.sqlite)),
        AnyConn::Postgres(mut conn) => conn.transaction(|conn| {
            conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK_KEY})"))?;
            create_schema(conn)?;
            apply::<Pg, _>(conn, &migrations.postgres)
        }),
    }
}

/// Versions that [`migrate`] would apply, oldest first; changes nothing. A newer database is an error here too.
pub fn pending(url: &DatabaseUrl, migrations: &Migrations) -> Result<Vec<String>, MigrateError> {
    if let DatabaseUrl::Sqlite { path } = url
        && !path.exists()
    {
        return Ok(versions(&known::<Sqlite>(&migrations.sqlite)?));
    }
    pending_on(&mut establish(url, Role::Reader, &DbOptions::default())?, migrations)
}

/// [`pending`] on an open connection.
pub(super) fn pending_on(conn: &mut AnyConn, migrations: &Migrations) -> Result<Vec<String>, MigrateError> {
    let table = match conn.backend() {
        Backend::Sqlite => "SELECT COUNT(*) AS n FROM sqlite_master WHERE name = '__diesel_schema_migrations'",
        // What the search path finds; to_regclass gives NULL when there is none.
        Backend::Postgres => "SELECT COUNT(*) AS n WHERE to_regclass('__diesel_schema_migrations') IS NOT NULL",
    };
    let exists = diesel::sql_query(table).get_result::<Count>(conn)?.n > 0;
    match conn {
        AnyConn::Sqlite(conn) => {
            let applied = if exists {
                conn.applied_migrations().map_err(internal)?
            } else {
                vec![]
            };
            remaining(&known::<Sqlite>(&migrations.sqlite)?, &applied)
        }
        AnyConn::Postgres(conn) => {
            let applied = if exists {
                conn.applied_migrations().map_err(internal)?
            } else {
                vec![]
            };
            remaining(&known::<Pg>(&migrations.postgres)?, &applied)
        }
    }
}

type Known<DB> = Vec<Box<dyn Migration<DB>>>;

fn apply<DB, C>(conn: &mut C, source: &EmbeddedMigrations) -> Result<Applied, MigrateError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
{
    let known = known::<DB>(source)?;
    let applied = conn.applied_migrations().map_err(internal)?;
    let missing = remaining(&known, &applied)?;
    for migration in &known {
        let version = migration.name().version().to_string();
        if missing.contains(&version) {
            conn.run_migration(migration).map_err(|e| MigrateError::Failed {
                version,
                cause: e.to_string(),
            })?;
        }
    }
    Ok(Applied(missing))
}

/// Oldest first.
fn known<DB: diesel::backend::Backend>(source: &EmbeddedMigrations) -> Result<Known<DB>, MigrateError> {
    let mut all = MigrationSource::<DB>::migrations(source).map_err(internal)?;
    all.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    Ok(all)
}

fn versions<DB: diesel::backend::Backend>(all: &Known<DB>) -> Vec<String> {
    all.iter().map(|m| m.name().version().to_string()).collect()
}

fn remaining<DB: diesel::backend::Backend>(
    known: &Known<DB>,
    applied: &[MigrationVersion<'_>],
) -> Result<Vec<String>, MigrateError> {
    let applied: Vec<String> = applied.iter().map(ToString::to_string).collect();
    let known = versions(known);
    if let Some(newer) = applied.iter().find(|version| !known.contains(version)) {
        return Err(MigrateError::Newer(newer.clone()));
    }
    Ok(known.into_iter().filter(|version| !applied.contains(version)).collect())
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Creates the first schema of the search path, however it was given (`?schema=` or `options=-csearch_path%3D…`).
fn create_schema(conn: &mut PgConnection) -> Result<(), MigrateError> {
    let path = diesel::sql_query("SELECT current_setting('search_path') AS name")
        .get_result::<Name>(conn)?
        .name;
    let first = path.split(',').next().unwrap_or_default().trim().trim_matches('"');
    if first.is_empty() || first == "$user" || first == "public" {
        return Ok(());
    }
    let quoted = first.replace('"', "\"\"");
    conn.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS \"{quoted}\""))?;
    Ok(())
}

fn internal(error: Box<dyn std::error::Error + Send + Sync>) -> MigrateError {
    MigrateError::Db(match error.downcast::<diesel::result::Error>() {
        Ok(error) => (*error).into(),
        Err(other) => DbError::Internal(other.to_string()),
    })
}
