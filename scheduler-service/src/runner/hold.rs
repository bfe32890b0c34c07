//! A running job's right to act. It ends when the lease was taken by another worker, and by itself when the lease can't have
//! been renewed in time: a worker that was paused asks before each call to the outside and finds that it may do no more.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::drain::Drain;

/// Why a job stops without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Another worker has the job, or may have.
    Lost,
    /// The process drains and the job takes long: it goes back as it is.
    Draining,
}

/// Shared by the job and the loop that renews its lease; both live on one thread.
#[derive(Clone)]
pub struct Hold(Rc<Inner>);

struct Inner {
    /// By the monotonic clock, counted from before the statement that took or renewed the lease.
    valid_until: Cell<Instant>,
    lost: Cell<bool>,
    drain: Drain,
}

impl Hold {
    #[must_use]
    pub fn new(asked: Instant, lease: Duration, drain: Drain) -> Self {
        Hold(Rc::new(Inner {
            valid_until: Cell::new(asked + lease),
            lost: Cell::new(false),
            drain,
        }))
    }

    /// To be asked before each call to the outside.
    pub fn check(&self) -> Result<(), Stop> {
        if self.0.lost.get() || Instant::now() >= self.0.valid_until.get() {
            return Err(Stop::Lost);
        }
        Ok(())
    }

    /// To be asked by long jobs between their steps.
    pub fn check_long(&self) -> Result<(), Stop> {
        self.check()?;
        if self.0.drain.has_begun() {
            Err(Stop::Draining)
        } else {
            Ok(())
        }
    }

    pub(super) fn renew(&self, asked: Instant, lease: Duration) {
        self.0.valid_until.set(asked + lease);
    }

    pub(super) fn lose(&self) {
        self.0.lost.set(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_with_its_lease_and_never_comes_back_once_lost() {
        let (now, drain) = (Instant::now(), Drain::new());
        let hold = Hold::new(now, Duration::from_secs(60), drain.clone());
        assert_eq!(hold.check(), Ok(()));
        hold.renew(
            now.checked_sub(Duration::from_secs(120)).unwrap(),
            Duration::from_secs(60),
        );
        assert_eq!(hold.check(), Err(Stop::Lost));
        hold.renew(now, Duration::from_secs(60));
        assert_eq!(hold.check_long(), Ok(()));
        drain.begin();
        assert_eq!((hold.check(), hold.check_long()), (Ok(()), Err(Stop::Draining)));
        hold.lose();
        hold.renew(now, Duration::from_secs(60));
        assert_eq!(hold.check(), Err(Stop::Lost));
    }
}
