//! How many bytes of media a client may take in a day.
//!
//! - A day is one of UTC, by the database's clock, which all copies of the service share.
//! - Counted is what is really in the socket. A client that has used its budget up gets no new stream; of its streams that
//!   run at that moment one (the first that notices) goes on to its end, the others end at once. So it gets at most one
//!   response more than its budget from each copy of the service, and what the copies have not told each other yet, which is
//!   what they send in [`super::sync::EVERY`].
//! - The counts are kept in the database, written in batches; here are the accounts of the clients who watch just now. Each
//!   writes a row of its own (its `part`), always the whole count: a write that is repeated changes nothing, and the sum of a
//!   client's rows is what it has used.
//! - Without a budget nothing is counted, and nobody's viewing is written down.

mod account;

use super::client::ClientKey;
pub use account::{Account, Row};
use common::time::Timestamp;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

pub const DAY_MS: i64 = 86_400_000;

/// Bytes per day; 0 is no budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    pub user: u64,
    /// Of viewers who are not signed in, together for an address.
    pub address: u64,
}

/// Days since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

impl Day {
    pub fn of(now: Timestamp) -> Self {
        Self(now.millis().div_euclid(DAY_MS))
    }

    pub fn begins(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(DAY_MS))
    }

    pub fn ends(self) -> Timestamp {
        Self(self.0.saturating_add(1)).begins()
    }
}

/// Clones share the accounts.
#[derive(Clone)]
pub struct Egress(Arc<Shared>);

struct Shared {
    user: Arc<AtomicU64>,
    address: Arc<AtomicU64>,
    /// The database's clock less ours, milliseconds.
    clock: AtomicI64,
    accounts: Mutex<Accounts>,
    max_accounts: usize,
}

struct Accounts {
    day: Day,
    known: HashMap<ClientKey, Arc<Account>>,
    /// Where in `known` to look first for what is to be written, so that nobody waits for ever behind others.
    next: usize,
    /// Of days that are over, still to be written.
    closed: Vec<Row>,
    /// Counts that were thrown away because the database was away for long.
    lost: u64,
}

impl Egress {
    /// `max_accounts`: more are remembered only for as long as they are needed.
    pub fn new(budgets: Budgets, max_accounts: usize) -> Self {
        Self(Arc::new(Shared {
            user: Arc::new(budgets.user.into()),
            address: Arc::new(budgets.address.into()),
            clock: AtomicI64::new(0),
            accounts: Mutex::new(Accounts {
                day: Day::of(Timestamp::now()),
                known: HashMap::new(),
                next: 0,
                closed: Vec::new(),
                lost: 0,
            }),
            max_accounts,
        }))
    }

    pub fn budgets(&self) -> Budgets {
        Budgets {
            user: self.0.user.load(Ordering::Relaxed),
            address: self.0.address.load(Ordering::Relaxed),
        }
    }

    /// Counts from now on against other budgets; what was used stays used.
    pub fn set_budgets(&self, budgets: Budgets) {
        if budgets == self.budgets() {
            return;
        }
        self.0.user.store(budgets.user, Ordering::Relaxed);
        self.0.address.store(budgets.address, Ordering::Relaxed);
        // Whoever has budget again may use it up again.
        for account in self.lock().known.values() {
            account.forgive();
        }
    }

    pub fn most(&self, client: ClientKey) -> u64 {
        self.limit_of(client).load(Ordering::Relaxed)
    }

    /// By the database's clock, as it was when it was asked last.
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now().millis();
        Timestamp(now.saturating_add(self.0.clock.load(Ordering::Relaxed)))
    }

    /// The database's clock says `now`.
    pub fn set_clock(&self, now: Timestamp) {
        let ahead = now.millis().saturating_sub(Timestamp::now().millis());
        self.0.clock.store(ahead, Ordering::Relaxed);
    }

    /// The client's account, if it is known here.
    pub fn find(&self, client: ClientKey) -> Option<Arc<Account>> {
        let now = self.now();
        let mut accounts = self.lock();
        accounts.turn(now);
        accounts.known.get(&client).cloned()
    }

    /// Opens an account for a client of whom the database says that it has used so much on `day`; `None` when that could not be
    /// asked. One that was opened meanwhile stays as it is.
    pub fn open(&self, client: ClientKey, used: Option<(Day, u64)>) -> Arc<Account> {
        let now = self.now();
        let mut accounts = self.lock();
        accounts.turn(now);
        if let Some(account) = accounts.known.get(&client) {
            return account.clone();
        }
        accounts.make_room(self.0.max_accounts);
        // What was asked before midnight says nothing of this day.
        let others = used.filter(|(day, _)| *day == accounts.day).map(|(_, bytes)| bytes);
        let account = Arc::new(Account::new(client, others, self.limit_of(client).clone()));
        accounts.known.insert(client, account.clone());
        account
    }

    /// What has to be written by now, and the accounts whose sums are not known, at most so many of each.
    pub fn due(&self, at_most: usize) -> Due {
        let now = self.now();
        let mut accounts = self.lock();
        accounts.turn(now);
        let mut rows: Vec<Row> = accounts.closed.iter().take(at_most).cloned().collect();
        rows.extend(accounts.dirty(at_most.saturating_sub(rows.len())));
        let unasked = accounts.known.values().filter(|account| !account.is_asked());
        let unknown = unasked.map(|account| account.client()).take(at_most).collect();
        let lost = std::mem::take(&mut accounts.lost);
        Due {
            day: accounts.day,
            rows,
            unknown,
            lost,
        }
    }

    /// These rows are in the database.
    pub fn written(&self, rows: &[Row]) {
        let mut accounts = self.lock();
        accounts.closed.retain(|closed| !rows.contains(closed));
        for row in rows.iter().filter(|row| row.day == accounts.day) {
            if let Some(account) = accounts.known.get(&row.client) {
                account.written(row);
            }
        }
    }

    /// The sum of a client's rows of that day, `written` included.
    pub fn told(&self, day: Day, client: ClientKey, sum: u64) {
        let accounts = self.lock();
        if let Some(account) = accounts.known.get(&client)
            && accounts.day == day
        {
            account.told(sum);
        }
    }

    /// Clients remembered now.
    pub fn len(&self) -> usize {
        self.lock().known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn limit_of(&self, client: ClientKey) -> &Arc<AtomicU64> {
        if client.is_user() {
            &self.0.user
        } else {
            &self.0.address
        }
    }

    /// A panic while it was locked leaves plain numbers: still good.
    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be told to the database, and asked of it.
#[derive(Debug)]
pub struct Due {
    pub day: Day,
    pub rows: Vec<Row>,
    pub unknown: Vec<ClientKey>,
    pub lost: u64,
}

impl Accounts {
    /// Begins another day, if it is one by now. (The clock may also go back: then the day before is asked for anew.)
    fn turn(&mut self, now: Timestamp) {
        let day = Day::of(now);
        if day == self.day {
            return;
        }
        let before = std::mem::replace(&mut self.day, day);
        let closed = &mut self.closed;
        self.known.retain(|_, account| {
            closed.extend(account.close(before));
            // Only streams that run still need theirs.
            Arc::strong_count(account) > 1
        });
    }

    /// What of this day is not written, at most so many; the next call goes on behind them.
    fn dirty(&mut self, at_most: usize) -> Vec<Row> {
        let (day, all) = (self.day, self.known.values().enumerate());
        let around = all.clone().skip(self.next).chain(all.take(self.next));
        let dirty = around.filter_map(|(place, account)| Some((place, account.row(day)?)));
        let (places, rows): (Vec<_>, Vec<_>) = dirty.take(at_most).unzip();
        self.next = places.last().map_or(self.next, |place| place + 1);
        rows
    }

    /// Forgets who takes nothing just now, when there are too many: first those whose count is written down.
    fn make_room(&mut self, most: usize) {
        if self.known.len() < most {
            return;
        }
        let day = self.day;
        self.known
            .retain(|_, account| Arc::strong_count(account) > 1 || account.row(day).is_some());
        // The database was not there for long enough that all this is unwritten.
        let mut over = (self.known.len() + 1).saturating_sub(most);
        let lost = &mut self.lost;
        self.known.retain(|_, account| {
            let goes = over > 0 && Arc::strong_count(account) == 1;
            if goes {
                over -= 1;
                *lost += 1;
            }
            !goes
        });
        let over = self.closed.len().saturating_sub(most);
        self.lost += over as u64;
        self.closed.drain(..over);
    }
}

/// Until the day is over: when a client may come back.
pub fn until_tomorrow(now: Timestamp) -> Duration {
    Day::of(now).ends().since(now)
}

#[cfg(test)]
mod tests;
