//! A pool and the counted door before it: as many permits as connections, so that nobody waits for a connection on a blocking
//! thread, and a flood of requests waits in the door, bounded in number and time.
//!
//! A database that is away is a case of its own: for a moment its return is waited for, because a server that is restarted is
//! back soon; after that everybody is told at once, while the pool goes on trying.

use super::connect::{Manager, Reach, Role};
use super::transaction::{begin, checked};
use super::{Backend, DatabaseUrl, DbError, DbOptions};
use diesel::r2d2::{HandleError, Pool, PooledConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pool tries again after half of this at most, while the database is away.
const RETRY: Duration = Duration::from_millis(300);

/// How often who waits for a connection looks whether there can be one.
const LOOK: Duration = Duration::from_millis(50);

/// A pool and the door before it.
pub(super) struct Lane {
    pool: Pool<Manager>,
    reach: Arc<Reach>,
    /// How long a database that went away is waited for.
    patience: Duration,
    door: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    wait: Duration,
    opened: Instant,
    /// Milliseconds from `opened` to the end of the last closure that went well, plus one; 0 before the first.
    answered_at: AtomicU64,
}

impl Lane {
    pub(super) fn new(url: &DatabaseUrl, role: Role, size: u32, options: &DbOptions) -> Lane {
        let postgres = url.backend() == Backend::Postgres;
        let size = size.max(1);
        let reach = Arc::<Reach>::default();
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .test_on_check_out(true)
            .connection_timeout(RETRY)
            // SQLite connections don't age; PostgreSQL's are renewed so that a server keeps no grown session for ever.
            .idle_timeout(postgres.then_some(Duration::from_secs(600)))
            .max_lifetime(postgres.then_some(Duration::from_secs(1800)))
            .error_handler(Box::new(Quiet))
            .build_unchecked(Manager {
                url: url.clone(),
                role,
                options: options.clone(),
                cuts: Arc::default(),
                reach: reach.clone(),
            });
        Lane {
            pool,
            reach,
            patience: if postgres {
                options.returns_within
            } else {
                Duration::ZERO
            },
            door: Arc::new(Semaphore::new(size as usize)),
            waiting: AtomicUsize::new(0),
            max_waiting: options.max_waiting,
            wait: options.wait,
            opened: Instant::now(),
            answered_at: AtomicU64::new(0),
        }
    }

    pub(super) fn answered(&self) {
        self.answered_at.store(self.age_ms() + 1, Ordering::Relaxed);
    }

    pub(super) fn answered_within(&self, time: Duration) -> bool {
        let at = self.answered_at.load(Ordering::Relaxed);
        at > 0 && u128::from(self.age_ms() + 1 - at) < time.as_millis()
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, DbError> {
        if let Ok(permit) = self.door.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::start(&self.waiting, self.max_waiting)?;
        match tokio::time::timeout(self.wait, self.door.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(DbError::Overloaded),
        }
    }

    /// A good connection. Only for who has a permit.
    pub(super) fn take(&self) -> Result<PooledConnection<Manager>, DbError> {
        let began = Instant::now();
        // Also has the pool begin with a new one, if there is none.
        if let Some(slot) = self.pool.try_get() {
            return Ok(slot);
        }
        loop {
            match self.reach.away() {
                Some((time, reason)) if time >= self.patience => return Err(DbError::Unavailable(reason)),
                _ => {}
            }
            match self.pool.get_timeout(LOOK) {
                Ok(slot) => return Ok(slot),
                Err(error) if began.elapsed() >= self.wait => return Err(DbError::Unavailable(error.to_string())),
                Err(_) => {}
            }
        }
    }

    /// A connection with an open transaction. A first one that turns out dead is replaced: nothing has been done on it yet.
    pub(super) fn begin(&self) -> Result<PooledConnection<Manager>, DbError> {
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
