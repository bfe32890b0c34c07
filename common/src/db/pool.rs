//! The pools and the counted door to the blocking threads.
//!
//! Every closure takes a permit before it takes a thread or a connection, and there are as many permits as connections: nobody
//! waits for a connection on a blocking thread, and a flood of requests waits (bounded in number and time) instead of
//! filling the thread pool. The permit travels with the closure, so a caller that goes away frees nothing too early.

use super::connect::{Manager, Role, Slot, establish};
use super::{AnyConn, Backend, DatabaseUrl, DbError};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{HandleError, Pool, PooledConnection};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sizes and deadlines of the pools.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// SQLite: connections that read at the same time (there is always one writer).
    pub readers: u32,
    /// PostgreSQL: connections of this process. Replicas times this must stay under the server's max_connections (100).
    pub connections: u32,
    /// Closures that may wait for a connection, for reads and writes each. One is about 1 KB.
    pub max_waiting: usize,
    /// Longest wait for a connection.
    pub wait: Duration,
    /// PostgreSQL: longest statement.
    pub statement_timeout: Duration,
    /// Longest wait for a lock: SQLite's busy_timeout, PostgreSQL's lock_timeout.
    pub lock_timeout: Duration,
    /// PostgreSQL: longest wait for a new connection; whole seconds, at least 2.
    pub connect_timeout: Duration,
    /// Shown in pg_stat_activity; letters, digits and `-`.
    pub application_name: String,
}

impl Default for DbOptions {
    fn default() -> Self {
        DbOptions {
            readers: 4,
            connections: 10,
            max_waiting: 1024,
            wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            application_name: "sluice".to_owned(),
        }
    }
}

/// A database: cheap to clone, closes when the last clone is gone.
#[derive(Clone)]
pub struct Db {
    backend: Backend,
    reads: Arc<Lane>,
    writes: Arc<Lane>,
    #[cfg(feature = "testing")]
    clock_shift: Arc<std::sync::atomic::AtomicI64>,
}

/// A pool and the door before it.
struct Lane {
    pool: Pool<Manager>,
    door: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    wait: Duration,
}

impl Db {
    /// Opens the database, after one trial connection whose failure is the error. Blocks; call it before serving.
    pub fn open(url: &DatabaseUrl, options: &DbOptions) -> Result<Db, DbError> {
        drop(establish(url, Role::Writer, options)?);
        let lane = |role, size| Lane::new(url, role, size, options).map(Arc::new);
        let (reads, writes) = match url.backend() {
            Backend::Sqlite => (lane(Role::Reader, options.readers)?, lane(Role::Writer, 1)?),
            Backend::Postgres => {
                let both = lane(Role::Writer, options.connections)?;
                (both.clone(), both)
            }
        };
        Ok(Db {
            backend: url.backend(),
            reads,
            writes,
            #[cfg(feature = "testing")]
            clock_shift: Arc::default(),
        })
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Runs a closure that only reads. No transaction: each statement sees the newest committed state; where two statements
    /// must agree, open one inside (`conn.transaction(…)`). SQLite refuses changes here.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConn) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.run(&self.reads, move |slot| match catch_unwind(AssertUnwindSafe(|| f(&mut slot.conn))) {
            Ok(result) => {
                slot.suspect |= result.is_err();
                result
            }
            Err(panic) => Err(panicked(slot, panic.as_ref()).into()),
        })
        .await
    }

    /// Runs a closure inside one transaction: committed when it returns Ok, rolled back when it returns Err or panics. Once
    /// started it runs to its end, also when the caller is dropped.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConn) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.run(&self.writes, move |slot| transact(slot, f)).await
    }

    /// Does the database answer? For /readyz.
    pub async fn ready(&self) -> Result<(), DbError> {
        self.read(|conn| conn.batch_execute("SELECT 1").map_err(DbError::from)).await
    }

    async fn run<T, E, F>(&self, lane: &Arc<Lane>, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut Slot) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let permit = lane.enter().await?;
        let lane = lane.clone();
        #[cfg(feature = "testing")]
        let shift = self.clock_shift.load(Ordering::SeqCst);
        let task = tokio::task::spawn_blocking(move || {
            #[cfg(feature = "testing")]
            CLOCK_SHIFT.set(shift);
            let mut slot = lane.take()?;
            let result = f(&mut slot);
            // The connection is back before the permit is, so that the next one finds it.
            drop(slot);
            drop(permit);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(_) => Err(DbError::Unavailable("the process is stopping".into()).into()),
        }
    }
}

impl Lane {
    fn new(url: &DatabaseUrl, role: Role, size: u32, options: &DbOptions) -> Result<Lane, DbError> {
        let postgres = url.backend() == Backend::Postgres;
        let size = size.max(1);
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .test_on_check_out(true)
            .connection_timeout(options.wait)
            // SQLite connections don't age; PostgreSQL's are renewed so that a server keeps no grown session for ever.
            .idle_timeout(postgres.then_some(Duration::from_secs(600)))
            .max_lifetime(postgres.then_some(Duration::from_secs(1800)))
            .error_handler(Box::new(Quiet))
            .build_unchecked(Manager { url: url.clone(), role, options: options.clone() });
        Ok(Lane {
            pool,
            door: Arc::new(Semaphore::new(size as usize)),
            waiting: AtomicUsize::new(0),
            max_waiting: options.max_waiting,
            wait: options.wait,
        })
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, DbError> {
        if let Ok(permit) = self.door.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::start(&self.waiting, self.max_waiting)?;
        match tokio::time::timeout(self.wait, self.door.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(DbError::Overloaded),
        }
    }

    fn take(&self) -> Result<PooledConnection<Manager>, DbError> {
        self.pool.get().map_err(|e| DbError::Unavailable(e.to_string()))
    }
}

/// Counts one waiter for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn start(count: &'a AtomicUsize, max: usize) -> Result<Self, DbError> {
        let waiting = Waiting(count);
        if count.fetch_add(1, Ordering::SeqCst) >= max { Err(DbError::Overloaded) } else { Ok(waiting) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn transact<T, E, F>(slot: &mut Slot, f: F) -> Result<T, E>
where
    F: FnOnce(&mut AnyConn) -> Result<T, E>,
    E: From<DbError>,
{
    checked(slot, begin)?;
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

fn checked(slot: &mut Slot, step: fn(&mut AnyConn) -> diesel::QueryResult<()>) -> Result<(), DbError> {
    step(&mut slot.conn).map_err(|e| {
        let error = DbError::from(e);
        slot.broken |= error.breaks_connection();
        slot.suspect = true;
        error
    })
}

fn begin(conn: &mut AnyConn) -> diesel::QueryResult<()> {
    match conn {
        // IMMEDIATE takes the write lock at once: a transaction that began by reading can't fail later when it writes.
        AnyConn::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        AnyConn::Postgres(conn) => AnsiTransactionManager::begin_transaction(conn),
    }
}

fn commit(conn: &mut AnyConn) -> diesel::QueryResult<()> {
    match conn {
        AnyConn::Sqlite(conn) => AnsiTransactionManager::commit_transaction(conn),
        // PostgreSQL answers COMMIT of a failed transaction with a silent ROLLBACK. A closure that swallowed an error must not
        // be told that its change was kept: the SELECT fails in that state, in the same round trip.
        AnyConn::Postgres(conn) => conn.batch_execute("SELECT 1; COMMIT"),
    }
}

/// A panic may have left statements or savepoints open: the connection goes, which rolls everything back.
fn panicked(slot: &mut Slot, panic: &(dyn std::any::Any + Send)) -> DbError {
    slot.broken = true;
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    DbError::Internal(format!("panic while using the database: {text}"))
}

/// r2d2 would log every failed try; the caller gets the last error with its timeout and logs that once.
#[derive(Debug)]
struct Quiet;

impl HandleError<DbError> for Quiet {
    fn handle_error(&self, error: DbError) {
        log::debug!("A database connection failed: {error}");
    }
}

#[cfg(feature = "testing")]
thread_local! {
    static CLOCK_SHIFT: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

#[cfg(feature = "testing")]
pub(super) fn clock_shift() -> i64 {
    CLOCK_SHIFT.get()
}

#[cfg(feature = "testing")]
impl Db {
    /// Tests tell the time: [`super::now_ms`] inside closures of this `Db` (and its clones) is this many ms ahead.
    pub fn shift_clock(&self, ms: i64) {
        self.clock_shift.store(ms, Ordering::SeqCst);
    }

    /// Tells whether any clone is still alive.
    pub(crate) fn watch(&self) -> impl Fn() -> bool + use<> {
        let lanes = [Arc::downgrade(&self.reads), Arc::downgrade(&self.writes)];
        move || lanes.iter().any(|lane| lane.strong_count() > 0)
    }
}
