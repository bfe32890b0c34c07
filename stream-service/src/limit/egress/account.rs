//! What one client takes in a day, as this process knows it.

use super::{super::meter::Spent, Day};
use crate::limit::client::ClientKey;
use common::ids::Id;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What is written of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub day: Day,
    pub client: ClientKey,
    pub part: Id,
    pub bytes: u64,
}

/// What one client took today.
pub struct Account {
    client: ClientKey,
    part: Mutex<Id>,
    /// Counted here, under this part.
    own: AtomicU64,
    /// Of `own`, what the database has.
    written: AtomicU64,
    /// The rest of the sum in the database: other copies, and what this process wrote under another part.
    others: AtomicU64,
    /// Whether `others` is known.
    asked: AtomicBool,
    /// The stream that goes on to its end when the budget is used up; 0 is none so far.
    last: AtomicU64,
    most: Arc<AtomicU64>,
}

impl Account {
    /// `others`: what the database says that the client has used, if it could be asked; `most`: its budget, as it changes.
    pub(super) fn new(client: ClientKey, others: Option<u64>, most: Arc<AtomicU64>) -> Self {
        Account {
            client,
            part: Mutex::new(Id::now()),
            own: AtomicU64::new(0),
            written: AtomicU64::new(0),
            others: AtomicU64::new(others.unwrap_or(0)),
            asked: AtomicBool::new(others.is_some()),
            last: AtomicU64::new(0),
            most,
        }
    }

    pub fn client(&self) -> ClientKey {
        self.client
    }

    /// Bytes of this day, as far as they are known here.
    pub fn used(&self) -> u64 {
        self.own
            .load(Ordering::Relaxed)
            .saturating_add(self.others.load(Ordering::Relaxed))
    }

    /// The budget; 0 when there is none by now.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// What may still be sent, or how much was.
    pub fn left(&self) -> Result<u64, u64> {
        let (used, most) = (self.used(), self.most());
        match most {
            0 => Ok(u64::MAX),
            most if used < most => Ok(most - used),
            _ => Err(used),
        }
    }

    pub fn sent(&self, bytes: u64) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether the stream `number`, which has more to send, may do so.
    pub fn go_on(&self, number: u64) -> Result<(), Spent> {
        if self.left().is_ok() {
            return Ok(());
        }
        match self
            .last
            .compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            Err(last) if last == number => Ok(()),
            Err(_) => Err(Spent),
        }
    }

    /// Another budget: no stream was the last so far.
    pub(super) fn forgive(&self) {
        self.last.store(0, Ordering::Relaxed);
    }

    /// Whether the database has said what others counted.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The sum of the client's rows of this day, `written` included.
    pub(super) fn told(&self, sum: u64) {
        let others = sum.saturating_sub(self.written.load(Ordering::Relaxed));
        self.others.store(others, Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
    }

    /// What the database does not have yet.
    pub(super) fn row(&self, day: Day) -> Option<Row> {
        let bytes = self.own.load(Ordering::Relaxed);
        (bytes != self.written.load(Ordering::Relaxed)).then(|| Row {
            day,
            client: self.client,
            part: self.part().clone(),
            bytes,
        })
    }

    /// The database has `row`, if it is still of this account.
    pub(super) fn written(&self, row: &Row) {
        if *self.part() == row.part {
            self.written.store(row.bytes, Ordering::Relaxed);
        }
    }

    /// Begins anew for another day.
    pub(super) fn close(&self, before: Day) -> Option<Row> {
        let mut part = self.part();
        let row = Row {
            day: before,
            client: self.client,
            part: std::mem::replace(&mut *part, Id::now()),
            bytes: self.own.swap(0, Ordering::Relaxed),
        };
        let written = self.written.swap(0, Ordering::Relaxed);
        self.others.store(0, Ordering::Relaxed);
        self.asked.store(false, Ordering::Relaxed);
        self.last.store(0, Ordering::Relaxed);
        (row.bytes != written).then_some(row)
    }

    fn part(&self) -> MutexGuard<'_, Id> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
