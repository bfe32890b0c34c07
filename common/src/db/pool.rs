//! The database as services use it: closures that read and closures that change, each with its bounds.
//!
//! Every closure that reads takes a permit before it takes a thread or a connection (see `lane`); the permit travels with the
//! closure, so a caller that goes away frees nothing too early. Changes of SQLite go to its one writer (see `writer`).

use super::connect::{Role, establish};
use super::lane::Lane;
use super::settle::settle;
use super::transaction::{panicked, tell, transact};
use super::writer::Writer;
use super::{AnyConn, Backend, DatabaseUrl, DbError};
use diesel::connection::SimpleConnection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
    /// PostgreSQL: for this long after it went away its return is waited for; who comes later is told at once. A restart takes a
    /// second or two, and so costs a wait instead of errors.
    pub returns_within: Duration,
    /// PostgreSQL: longest statement.
    pub statement_timeout: Duration,
    /// Longest wait for a lock: SQLite's busy_timeout, PostgreSQL's lock_timeout.
    pub lock_timeout: Duration,
    /// PostgreSQL: longest pause inside a transaction, after which it is rolled back. Shorter than `lock_timeout`: others who wait
    /// for a lock of a process that hangs (stopped, swapped out, cut off) get it instead of an error.
    pub idle_in_transaction: Duration,
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
            returns_within: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction: Duration::from_secs(3),
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
    writes: Writes,
    #[cfg(feature = "testing")]
    clock_shift: Arc<std::sync::atomic::AtomicI64>,
}

/// How changes are made.
#[derive(Clone)]
enum Writes {
    /// SQLite: one writer, which commits together what waits together.
    Writer(Writer),
    /// PostgreSQL: each in its own transaction, on the connections that read too.
    Lane(Arc<Lane>),
}

impl Db {
    /// Opens the database, after one trial connection whose failure is the error. Blocks; call it before serving.
    pub fn open(url: &DatabaseUrl, options: &DbOptions) -> Result<Db, DbError> {
        drop(establish(url, Role::Writer, options)?);
        let lane = |role, size| Lane::new(url, role, size, options);
        let (reads, writes) = match url.backend() {
            Backend::Sqlite => {
                let writer = Writer::start(lane(Role::Writer, 1), options)?;
                (Arc::new(lane(Role::Reader, options.readers)), Writes::Writer(writer))
            }
            Backend::Postgres => {
                let both = Arc::new(lane(Role::Writer, options.connections));
                (both.clone(), Writes::Lane(both))
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
    /// started it runs to its end, also when the caller is dropped. The answer comes after the commit.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConn) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.write_then(f, |_| {}).await
    }

    /// [`Db::write`] that tells `then` what the closure gave, after the commit and before the answer, also when the caller is
    /// gone by then. On SQLite what is told is in the order of the commits; on PostgreSQL nearly so. Only for telling: others
    /// wait for the connection meanwhile.
    pub async fn write_then<T, E, F, A>(&self, f: F, then: A) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConn) -> Result<T, E> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        match &self.writes {
            Writes::Writer(writer) => {
                #[cfg(feature = "testing")]
                let f = self.at_shifted_time(f);
                writer.write(f, then).await
            }
            Writes::Lane(lane) => {
                self.run(lane, move |lane| {
                    let mut slot = lane.begin()?;
                    let result = transact(&mut slot, f);
                    if let Ok(value) = &result {
                        tell(then, value);
                    }
                    result
                })
                .await
            }
        }
    }

    /// Empties SQLite's write-ahead log, if anything was written since, so that what was deleted lies nowhere any more. It waits
    /// for reads for a moment, and says false when they were in the way. Does nothing on PostgreSQL, which does this by VACUUM.
    pub async fn settle(&self) -> Result<bool, DbError> {
        let Writes::Writer(writer) = &self.writes else {
            return Ok(true);
        };
        let written = writer.written.clone();
        if !written.swap(false, Ordering::AcqRel) {
            return Ok(true);
        }
        let settled = self.read(settle).await;
        if !matches!(settled, Ok(true)) {
            written.store(true, Ordering::Release);
        }
        settled
    }

    /// Does the database answer? For /readyz. What was read a moment ago is answer enough: a process whose connections are
    /// all at work is busy, not away.
    pub async fn ready(&self) -> Result<(), DbError> {
        if matches!(&self.writes, Writes::Writer(writer) if writer.is_dead()) {
            return Err(DbError::Unavailable("the writer has stopped".into()));
        }
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
        let (reads, writer) = (
            Arc::downgrade(&self.reads),
            match &self.writes {
                Writes::Writer(writer) => writer.watch(),
                Writes::Lane(lane) => Arc::downgrade(lane),
            },
        );
        move || reads.strong_count() + writer.strong_count() > 0
    }

    fn at_shifted_time<F, R>(&self, f: F) -> impl FnOnce(&mut AnyConn) -> R + use<F, R>
    where
        F: FnOnce(&mut AnyConn) -> R,
    {
        let shift = self.clock_shift.load(Ordering::SeqCst);
        move |conn| {
            CLOCK_SHIFT.set(shift);
            f(conn)
        }
    }
}
