//! Connections and the counted door before them: as many permits as connections, so that nobody waits for a connection on a
//! blocking thread, and a flood of requests waits in the door, bounded in number and time.
//!
//! Because the door counts, the connections are a stack: who has a permit takes one or opens one. When the database is away, one
//! thread at a time tries to open; the others are told at once. Only at the beginning they wait, because a server that is
//! restarted is back after a moment.

use super::connect::{Manager, Role, Slot};
use super::transaction::{begin, checked};
use super::{AnyConn, Backend, DatabaseUrl, DbError, DbOptions};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Between two tries to reach a server that is away.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Connections and the door before them.
pub(super) struct Lane {
    manager: Manager,
    /// The one used last on top.
    idle: Mutex<Vec<Slot>>,
    away: Mutex<Option<Away>>,
    patience: Duration,
    door: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    wait: Duration,
    opened: Instant,
    /// Milliseconds from `opened` to the end of the last closure that went well, plus one; 0 before the first.
    answered_at: AtomicU64,
}

/// The database can't be reached.
struct Away {
    since: Instant,
    tried: Instant,
    /// Somebody is at it.
    trying: bool,
    reason: String,
}

/// A connection in use; back in its lane, or closed when it is broken, when dropped.
pub(super) struct Lent<'a> {
    lane: &'a Lane,
    /// Always there until it is dropped.
    slot: Option<Slot>,
}

impl Lane {
    pub(super) fn new(url: &DatabaseUrl, role: Role, size: u32, options: &DbOptions) -> Lane {
        Lane {
            manager: Manager {
                url: url.clone(),
                role,
                options: options.clone(),
                cuts: Arc::default(),
            },
            idle: Mutex::default(),
            away: Mutex::default(),
            patience: match url.backend() {
                Backend::Sqlite => Duration::ZERO,
                Backend::Postgres => options.returns_within.min(options.wait),
            },
            door: Arc::new(Semaphore::new(size.max(1) as usize)),
            waiting: AtomicUsize::new(0),
            max_waiting: options.max_waiting,
            wait: options.wait,
            opened: Instant::now(),
            answered_at: AtomicU64::new(0),
        }
    }

    /// Adds a connection that is open already.
    pub(super) fn with(self, conn: AnyConn) -> Lane {
        self.idle().push(self.manager.slot(conn));
        self
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
    pub(super) fn take(&self) -> Result<Lent<'_>, DbError> {
        loop {
            let Some(mut slot) = self.idle().pop() else { break };
            if !slot.is_old() && self.manager.is_good(&mut slot) {
                return Ok(self.lend(slot));
            }
        }
        loop {
            match self.open() {
                Ok(slot) => return Ok(self.lend(slot)),
                Err((DbError::Unavailable(_), away)) if away < self.patience => std::thread::sleep(TRY_EVERY),
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn lend(&self, slot: Slot) -> Lent<'_> {
        Lent {
            lane: self,
            slot: Some(slot),
        }
    }

    /// A new connection, or why not and for how long that has been so.
    fn open(&self) -> Result<Slot, (DbError, Duration)> {
        if let Some(away) = &mut *self.away() {
            if away.trying || away.tried.elapsed() < TRY_EVERY {
                return Err((DbError::Unavailable(away.reason.clone()), away.since.elapsed()));
            }
            away.trying = true;
        }
        // A panic in here would leave nobody trying; libpq is C and does not.
        let opened = self.manager.connect();
        let mut away = self.away();
        match opened {
            Ok(slot) => {
                if let Some(away) = away.take() {
                    log::info!("The database is back after {:.1} s", away.since.elapsed().as_secs_f64());
                }
                Ok(slot)
            }
            Err(error) => {
                let since = away.as_ref().map_or_else(Instant::now, |away| away.since);
                if away.is_none() {
                    log::warn!("The database went away: {error}");
                }
                *away = Some(Away {
                    since,
                    tried: Instant::now(),
                    trying: false,
                    reason: match &error {
                        DbError::Unavailable(reason) => reason.clone(),
                        other => other.to_string(),
                    },
                });
                Err((error, since.elapsed()))
            }
        }
    }

    fn give_back(&self, mut slot: Slot) {
        if !self.manager.keeps(&mut slot) {
            return;
        }
        let mut idle = self.idle();
        idle.push(slot);
        // At the bottom lies what was not used for longest.
        let old = idle.first().is_some_and(Slot::is_old).then(|| idle.remove(0));
        drop(idle);
        drop(old);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection with an open transaction. A first one that turns out dead is replaced: nothing has been done on it yet.
    pub(super) fn begin(&self) -> Result<Lent<'_>, DbError> {
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

impl Deref for Lent<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        self.slot.as_ref().expect("lent until it is dropped")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Slot {
        self.slot.as_mut().expect("lent until it is dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.lane.give_back(slot);
        }
    }
}
