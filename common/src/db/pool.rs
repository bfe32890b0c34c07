//! The pools and the counted door to the blocking threads.
//!
//! Every closure takes a permit before it takes a thread or a connection, and there are as many permits as connections: nobody
//! waits for a connection on a blocking thread, and a flood of requests waits (bounded in number and time) instead of
//! filling the thread pool. The permit travels with the closure, so a caller that goes away frees nothing too early.

use super::connect::{Manager, Role, establish};
use super::transaction::{begin, checked, panicked, transact};
use super::{AnyConn, Backend, DatabaseUrl, DbError};
use diesel::connection::SimpleConnection;
use diesel::r2d2::{HandleError, Pool, PooledConnection};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest wait of [`Db::ready`]: a probe wants an answer, also while requests may wait longer.
const READY_WITHIN: Duration = Duration::from_secs(2);

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
    opened: Instant,
    /// Milliseconds from `opened` to the end of the last closure that went well, plus one; 0 before the first.
    answered_at: AtomicU64,
}

impl Db {
    /// Opens the database, after one trial connection whose failure is the error. Blocks; call it before serving.
    pub fn open(url: &DatabaseUrl, options: &DbOptions) -> Result<Db, DbError> {
        drop(establish(url, Role::Writer, options)?);
        let lane = |role, size| Arc::new(Lane::new(url, role, size, options));
        let (reads, writes) = match url.backend() {
            Backend::Sqlite => (lane(Role::Reader, options.readers), lane(Role::Writer, 1)),
            Backend::Postgres => {
                let both = lane(Role::Writer, options.connections);
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
        self.run(&self.reads, move |lane| {
            let mut slot = lane.take()?;
            match catch_unwind(AssertUnwindSafe(|| f(&mut slot.conn))) {
                Ok(result) => {
                    slot.suspect |= result.is_err();
                    result
                }
                Err(panic) => Err(panicked(&mut slot, panic.as_ref()).into()),
            }
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
        self.run(&self.writes, move |lane| {
            let mut slot = lane.begin()?;
            transact(&mut slot, f)
        })
        .await
    }

    /// Does the database answer? For /readyz. What was read a moment ago is answer enough: a process whose connections are
    /// all at work is busy, not away.
    pub async fn ready(&self) -> Result<(), DbError> {
        if self.reads.answered_within(READY_WITHIN) {
            return Ok(());
        }
        let asked = self.read(|conn| conn.batch_execute("SELECT 1").map_err(DbError::from));
        match tokio::time::timeout(READY_WITHIN, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(DbError::Unavailable(format!("no answer within {READY_WITHIN:?}"))),
        }
    }

    async fn run<T, E, F>(&self, lane: &Arc<Lane>, f: F) -> Result<T, E>
    where
        F: FnOnce(&Lane) -> Result<T, E> + Send + 'static,
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
            let result = f(&lane);
            if result.is_ok() {
                lane.answered();
            }
            // Last: `f` has put its connection back, so that whoever gets the permit finds it.
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
    fn new(url: &DatabaseUrl, role: Role, size: u32, options: &DbOptions) -> Lane {
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
            .build_unchecked(Manager {
                url: url.clone(),
                role,
                options: options.clone(),
                cuts: Arc::default(),
            });
        Lane {
            pool,
            door: Arc::new(Semaphore::new(size as usize)),
            waiting: AtomicUsize::new(0),
            max_waiting: options.max_waiting,
            wait: options.wait,
            opened: Instant::now(),
            answered_at: AtomicU64::new(0),
        }
    }

    fn answered(&self) {
        self.answered_at.store(self.age_ms() + 1, Ordering::Relaxed);
    }

    fn answered_within(&self, time: Duration) -> bool {
        let at = self.answered_at.load(Ordering::Relaxed);
        at > 0 && u128::from(self.age_ms() + 1 - at) < time.as_millis()
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
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

    /// A connection with an open transaction. A first one that turns out dead is replaced: nothing has been done on it yet.
    fn begin(&self) -> Result<PooledConnection<Manager>, DbError> {
        let mut slot = self.take()?;
        match checked(&mut slot, begin) {
            Err(DbError::Unavailable(_)) => {
                drop(slot);
                slot = self.take()?;
                checked(&mut slot, begin)?;
            }
            other => other?,
        }
        Ok(slot)
    }
}

/// Counts one waiter for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn start(count: &'a AtomicUsize, max: usize) -> Result<Self, DbError> {
        let waiting = Waiting(count);
        if count.fetch_add(1, Ordering::SeqCst) >= max {
            Err(DbError::Overloaded)
        } else {
            Ok(waiting)
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
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
