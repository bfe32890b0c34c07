//! Opening one connection and telling whether an old one is still good.

use super::{AnyConn, DatabaseUrl, DbError, DbOptions};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ManageConnection, R2D2Connection};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a connection is for. PostgreSQL makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// May write. SQLite has one.
    Writer,
    /// SQLite refuses every change on it (`query_only`).
    Reader,
}

/// A PostgreSQL connection unused for longer is asked before it is given out. Shorter means a round trip before every
/// statement, longer means more requests that meet a dead connection after the server was restarted.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Tries while other processes switch the file to WAL: SQLite does not wait for that lock by itself.
const WAL_TRIES: u32 = 100;
const WAL_PAUSE: Duration = Duration::from_millis(50);

/// The largest WAL file kept after a checkpoint, bytes. A burst may grow it; the disk gets the rest back.
const WAL_KEPT_BYTES: u64 = 64 << 20;

/// What the pool holds: a connection and what is known about it.
pub(super) struct Slot {
    pub conn: AnyConn,
    /// Must be thrown away (a panic, or no rollback).
    pub broken: bool,
    /// Must be asked before it is used again (a closure failed, for whatever reason).
    pub suspect: bool,
    last_used: Instant,
    /// `cuts` when it last answered.
    seen_cuts: u64,
    /// How often a connection of this pool was found dead. A server that restarts kills all of them: after one is found,
    /// every other is asked before it is given out.
    cuts: Arc<AtomicU64>,
}

impl Slot {
    /// The server has ended this connection.
    pub(super) fn cut(&mut self) {
        self.broken = true;
        self.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) struct Manager {
    pub url: DatabaseUrl,
    pub role: Role,
    pub options: DbOptions,
    /// See [`Slot::cuts`].
    pub cuts: Arc<AtomicU64>,
    pub reach: Arc<Reach>,
}

impl ManageConnection for Manager {
    type Connection = Slot;
    type Error = DbError;

    fn connect(&self) -> Result<Slot, DbError> {
        let conn = establish(&self.url, self.role, &self.options).inspect_err(|error| self.reach.failed(error))?;
        self.reach.reached();
        Ok(Slot {
            conn,
            broken: false,
            suspect: false,
            last_used: Instant::now(),
            seen_cuts: self.cuts.load(Ordering::SeqCst),
            cuts: self.cuts.clone(),
        })
    }

    /// Asked where it is in doubt.
    fn is_valid(&self, slot: &mut Slot) -> Result<(), DbError> {
        let cuts = self.cuts.load(Ordering::SeqCst);
        let doubtful = slot.suspect || slot.seen_cuts != cuts || slot.last_used.elapsed() > TRUSTED_IDLE;
        if doubtful && matches!(slot.conn, AnyConn::Postgres(_)) {
            slot.conn.batch_execute("SELECT 1").inspect_err(|_| slot.cut())?;
        }
        slot.suspect = false;
        slot.seen_cuts = cuts;
        Ok(())
    }

    fn has_broken(&self, slot: &mut Slot) -> bool {
        slot.last_used = Instant::now();
        if slot.conn.is_broken() && !slot.broken {
            slot.cut();
        }
        slot.broken || std::thread::panicking()
    }
}

/// Whether the database can be reached, by the last connection that was tried.
#[derive(Default)]
pub(super) struct Reach(Mutex<Option<Away>>);

struct Away {
    since: Instant,
    reason: String,
}

impl Reach {
    /// Since when it can't be reached, and why; `None` when it could be.
    pub(super) fn away(&self) -> Option<(Duration, String)> {
        let away = self.lock();
        away.as_ref().map(|away| (away.since.elapsed(), away.reason.clone()))
    }

    fn reached(&self) {
        if let Some(away) = self.lock().take() {
            log::info!("The database is back after {:.1} s", away.since.elapsed().as_secs_f64());
        }
    }

    fn failed(&self, error: &DbError) {
        let mut away = self.lock();
        if away.is_none() {
            log::warn!("The database went away: {error}");
        }
        *away = Some(Away {
            since: away.as_ref().map_or_else(Instant::now, |away| away.since),
            reason: match error {
                DbError::Unavailable(reason) => reason.clone(),
                other => other.to_string(),
            },
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Away>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn establish(url: &DatabaseUrl, role: Role, options: &DbOptions) -> Result<AnyConn, DbError> {
    match url {
        DatabaseUrl::Sqlite { path } => sqlite(path, role, options).map(AnyConn::Sqlite),
        DatabaseUrl::Postgres { url: target, schema } => postgres(url, target, schema.as_deref(), options)
            .map(AnyConn::Postgres)
            .map_err(|text| DbError::Unavailable(url.redact(&text))),
    }
}

fn sqlite(path: &Path, role: Role, options: &DbOptions) -> Result<SqliteConnection, DbError> {
    let unavailable = |e: &dyn std::fmt::Display| DbError::Unavailable(format!("{}: {e}", path.display()));
    if role == Role::Writer {
        // Ours alone: the file holds password hashes. SQLite gives -wal and -shm the same mode.
        let mut open = OpenOptions::new();
        open.create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| unavailable(&e))?;
    }
    // A leading "./" or "/" keeps SQLite from reading a name like file:x as a URI.
    let name = std::path::absolute(path).map_err(|e| unavailable(&e))?;
    let name = name.to_str().ok_or_else(|| unavailable(&"the path is not UTF-8"))?;
    super::sqlite_library::configure();
    let mut conn = SqliteConnection::establish(name).map_err(|e| unavailable(&e))?;
    let busy_ms = options.lock_timeout.as_millis();
    conn.batch_execute(&format!("PRAGMA busy_timeout = {busy_ms}"))?;
    if role == Role::Writer {
        write_ahead_log(&mut conn)?;
        conn.batch_execute(&format!("PRAGMA journal_size_limit = {WAL_KEPT_BYTES}"))?;
        // What people delete is overwritten in the file, not left in its free pages.
        conn.batch_execute("PRAGMA secure_delete = ON")?;
    }
    // FULL: a commit is on the disk when it returns (promise 1). NORMAL may lose the last ones in a power cut.
    conn.batch_execute("PRAGMA synchronous = FULL")?;
    conn.batch_execute("PRAGMA foreign_keys = ON")?;
    if role == Role::Reader {
        conn.batch_execute("PRAGMA query_only = ON")?;
    }
    Ok(conn)
}

/// A connection that leaves the file as it is, byte for byte: also what lies in its write-ahead log is read and stays there.
pub(super) fn read_only(path: &Path, options: &DbOptions, others: Others) -> Result<SqliteConnection, DbError> {
    let mut conn = open_read_only(path, options, others)?;
    conn.batch_execute("PRAGMA query_only = ON")?;
    Ok(conn)
}

/// Whether other processes may write to a file that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    MayWrite,
    /// The caller holds the lock of its service. SQLite is told so, and doesn't put its own files beside it.
    AreLockedOut,
}

fn open_read_only(path: &Path, options: &DbOptions, others: Others) -> Result<SqliteConnection, DbError> {
    let unavailable = |e: &dyn std::fmt::Display| DbError::Unavailable(format!("{}: {e}", path.display()));
    let name = std::path::absolute(path).map_err(|e| unavailable(&e))?;
    let name = name.to_str().ok_or_else(|| unavailable(&"the path is not UTF-8"))?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // What lies in the log is only read the usual way.
    let unlogged = std::fs::metadata(log).map_or(true, |meta| meta.len() == 0);
    let mode = if others == Others::AreLockedOut && unlogged {
        "immutable=1"
    } else {
        "mode=ro"
    };
    // The characters that mean something in a URI (https://www.sqlite.org/uri.html).
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    super::sqlite_library::configure();
    let mut conn = SqliteConnection::establish(&format!("file:{name}?{mode}")).map_err(|e| unavailable(&e))?;
    let busy_ms = options.lock_timeout.as_millis();
    conn.batch_execute(&format!("PRAGMA busy_timeout = {busy_ms}"))?;
    Ok(conn)
}

/// A SQLite file for reading, which stays as it is.
pub fn read_file(path: &Path) -> Result<AnyConn, DbError> {
    read_only(path, &DbOptions::default(), Others::MayWrite).map(AnyConn::Sqlite)
}

/// A consistent copy of a SQLite file in the new file `to`, also while others write to it. What was deleted is not in it.
/// Blocks; not synced.
pub fn snapshot(from: &Path, to: &Path) -> Result<(), DbError> {
    let name = to
        .to_str()
        .ok_or_else(|| DbError::Internal(format!("{} is not UTF-8", to.display())))?;
    let name = name.replace('\'', "''");
    // query_only would refuse to write the copy too.
    let mut conn = open_read_only(from, &DbOptions::default(), Others::MayWrite)?;
    Ok(conn.batch_execute(&format!("VACUUM INTO '{name}'"))?)
}

fn write_ahead_log(conn: &mut SqliteConnection) -> Result<(), DbError> {
    for _ in 0..WAL_TRIES {
        match conn.batch_execute("PRAGMA journal_mode = WAL").map_err(DbError::from) {
            Err(DbError::Overloaded) => std::thread::sleep(WAL_PAUSE),
            other => return other,
        }
    }
    Err(DbError::Overloaded)
}

/// The error is libpq's text, still with whatever it quotes.
fn postgres(
    url: &DatabaseUrl,
    target: &str,
    schema: Option<&str>,
    options: &DbOptions,
) -> Result<PgConnection, String> {
    let mut target = target.to_owned();
    let connect_seconds = options.connect_timeout.as_secs().max(2).to_string();
    // keepalives and tcp_user_timeout find a server that vanished without a word within about a minute.
    let ours = [
        ("connect_timeout", connect_seconds.as_str()),
        ("application_name", options.application_name.as_str()),
        ("keepalives_idle", "30"),
        ("keepalives_interval", "10"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "30000"),
    ];
    for (name, value) in ours {
        if !target.contains(&format!("?{name}=")) && !target.contains(&format!("&{name}=")) {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&format!("{name}={value}"));
        }
    }
    let mut conn = PgConnection::establish(&target).map_err(|e| e.to_string().replace(&target, &url.to_string()))?;
    let mut setup = format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET default_transaction_isolation = 'read committed'; SET synchronous_commit = on;",
        options.statement_timeout.as_millis(),
        options.lock_timeout.as_millis(),
        options.idle_in_transaction.as_millis(),
    );
    if let Some(schema) = schema {
        setup.push_str(&format!("SET search_path TO \"{schema}\";"));
    }
    conn.batch_execute(&setup).map_err(|e| e.to_string())?;
    Ok(conn)
}
