//! How many wrong passwords an account and a client address may try in a window. Checked and counted under one lock before
//! anything is hashed, so that many attempts at once get no more tries than one after the other.
//!
//! An account is counted at each address by itself and, more generously, over all: somebody who tries wrong passwords for
//! another's account closes it for himself. Who has a session is counted apart from those who have none.
//!
//! An attempt counts from its beginning and is given back when it succeeds or could not be tried.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::config::ApiConfig;
use common::error::ApiError;
use common::ids::Id;

use crate::windows::{Windows, network, refuse};

/// What a refusal says, whichever counter is full.
const DETAIL: &str = "Too many wrong passwords; wait before the next try.";

/// An account may be tried this many times as often from everywhere as from one address: whoever wants to close it for its
/// owner needs as many addresses.
const EVERYWHERE: u32 = 10;

/// The counters of a process. Cheap to clone.
#[derive(Clone)]
pub struct SignInLimit(Arc<Limits>);

struct Limits {
    account: u32,
    address: u32,
    window: Duration,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    /// An account as it is tried from one address: a stranger's tries elsewhere don't close it for its owner.
    pairs: Windows<(String, IpAddr)>,
    /// An account as it is tried from everywhere.
    accounts: Windows<String>,
    addresses: Windows<IpAddr>,
    /// The password of a live session, asked again: strangers can't touch this counter.
    own: Windows<(Id, IpAddr)>,
}

/// One attempt under way. Unless told otherwise it stays counted.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    whose: Whose,
    address: IpAddr,
}

#[derive(Debug)]
enum Whose {
    /// A name that can't be one: counts for the address only, as no account is in danger.
    Nobody,
    Account(String),
    /// The account of a live session.
    Own(Id),
}

impl SignInLimit {
    pub fn new(config: &ApiConfig) -> Self {
        SignInLimit(Arc::new(Limits {
            account: config.sign_in_attempts,
            address: config.sign_in_attempts_per_address,
            window: config.sign_in_window.0,
            tables: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an attempt on `account` (`None`: no such name can be) from `address`, or refuses it with 429.
    pub fn begin(&self, account: Option<&str>, address: IpAddr, now: Instant) -> Result<Attempt, ApiError> {
        let limits = &self.0;
        let (window, address) = (limits.window, network(address));
        let mut tables = self.lock();
        let pair = account.map(|account| (account.to_owned(), address));
        if let Some(pair) = &pair {
            if let Some(wait) = tables.pairs.wait(pair, limits.account, window, now) {
                return Err(refuse("sign-in-account", limits.account, window, wait, DETAIL));
            }
            let most = limits.account.saturating_mul(EVERYWHERE);
            if let Some(wait) = tables.accounts.wait(&pair.0, most, window, now) {
                return Err(refuse("sign-in-account-everywhere", most, window, wait, DETAIL));
            }
        }
        if let Some(wait) = tables.addresses.wait(&address, limits.address, window, now) {
            return Err(refuse("sign-in-address", limits.address, window, wait, DETAIL));
        }
        tables.addresses.count(address, window, now);
        let whose = match pair {
            Some(pair) => {
                tables.accounts.count(pair.0.clone(), window, now);
                tables.pairs.count(pair.clone(), window, now);
                Whose::Account(pair.0)
            }
            None => Whose::Nobody,
        };
        Ok(Attempt { whose, address })
    }

    /// The same for the password of `user`, who has a session already.
    pub fn begin_own(&self, user: &Id, address: IpAddr, now: Instant) -> Result<Attempt, ApiError> {
        let limits = &self.0;
        let (window, address) = (limits.window, network(address));
        let own = (user.clone(), address);
        let mut tables = self.lock();
        if let Some(wait) = tables.own.wait(&own, limits.account, window, now) {
            return Err(refuse("password-account", limits.account, window, wait, DETAIL));
        }
        tables.own.count(own, window, now);
        let whose = Whose::Own(user.clone());
        Ok(Attempt { whose, address })
    }

    /// The password was right: the account starts afresh at this address, everything else gets this attempt back.
    pub fn succeeded(&self, attempt: Attempt) {
        let Attempt { whose, address } = attempt;
        let mut tables = self.lock();
        match whose {
            Whose::Nobody => tables.addresses.give_back(&address),
            Whose::Account(account) => {
                tables.addresses.give_back(&address);
                tables.accounts.give_back(&account);
                tables.pairs.forget(&(account, address));
            }
            Whose::Own(user) => tables.own.forget(&(user, address)),
        }
    }

    /// Nothing was tried (the hashers were busy, the database away).
    pub fn cancelled(&self, attempt: Attempt) {
        let Attempt { whose, address } = attempt;
        let mut tables = self.lock();
        match whose {
            Whose::Nobody => tables.addresses.give_back(&address),
            Whose::Account(account) => {
                tables.addresses.give_back(&address);
                tables.accounts.give_back(&account);
                tables.pairs.give_back(&(account, address));
            }
            Whose::Own(user) => tables.own.give_back(&(user, address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn limit(account: u32, address: u32) -> SignInLimit {
        SignInLimit::new(&ApiConfig {
            sign_in_attempts: account,
            sign_in_attempts_per_address: address,
            sign_in_window: common::config::Span(WINDOW),
            ..ApiConfig::default()
        })
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_is_closed_to_an_address_until_its_window_ends() {
        let (limit, now) = (limit(2, 100), Instant::now());
        for _ in 0..2 {
            assert!(limit.begin(Some("ann"), at("1.1.1.1"), now).is_ok());
        }
        assert!(limit.begin(Some("ann"), at("1.1.1.1"), now + WINDOW / 2).is_err());
        assert!(limit.begin(Some("ann"), at("2.2.2.2"), now + WINDOW / 2).is_ok());
        assert!(limit.begin(Some("bob"), at("1.1.1.1"), now).is_ok());
        assert!(limit.begin(Some("ann"), at("1.1.1.1"), now + WINDOW).is_ok());
    }

    #[test]
    fn an_account_is_closed_to_everybody_after_ten_times_as_many() {
        let (limit, now) = (limit(2, 100), Instant::now());
        for n in 0..20 {
            assert!(limit.begin(Some("ann"), at(&format!("1.1.1.{n}")), now).is_ok());
        }
        assert!(limit.begin(Some("ann"), at("2.2.2.2"), now).is_err());
        assert!(limit.begin(Some("ann"), at("2.2.2.2"), now + WINDOW).is_ok());
    }

    #[test]
    fn who_has_a_session_is_counted_apart() {
        let (limit, now, ann) = (limit(2, 2), Instant::now(), Id::now());
        for n in 0..20 {
            assert!(limit.begin(Some("ann"), at(&format!("1.1.1.{n}")), now).is_ok());
        }
        assert!(limit.begin(Some("ann"), at("1.1.1.1"), now).is_err());
        for _ in 0..5 {
            let attempt = limit.begin_own(&ann, at("1.1.1.1"), now).unwrap();
            limit.succeeded(attempt);
        }
        let attempt = limit.begin_own(&ann, at("1.1.1.1"), now).unwrap();
        limit.cancelled(attempt);
        for _ in 0..2 {
            assert!(limit.begin_own(&ann, at("1.1.1.1"), now).is_ok());
        }
        assert!(limit.begin_own(&ann, at("1.1.1.1"), now).is_err());
        assert!(limit.begin_own(&ann, at("2.2.2.2"), now).is_ok());
    }

    #[test]
    fn names_that_can_t_be_count_for_the_address_only() {
        let (limit, now) = (limit(1, 3), Instant::now());
        for _ in 0..3 {
            assert!(limit.begin(None, at("1.1.1.1"), now).is_ok());
        }
        assert!(limit.begin(None, at("1.1.1.1"), now).is_err());
        assert!(limit.begin(None, at("2.2.2.2"), now).is_ok());
    }

    #[test]
    fn success_resets_the_account_and_returns_the_address_one_attempt() {
        let (limit, now) = (limit(2, 2), Instant::now());
        for _ in 0..30 {
            let attempt = limit.begin(Some("ann"), at("1.1.1.1"), now).unwrap();
            limit.succeeded(attempt);
        }
        let attempt = limit.begin(Some("ann"), at("1.1.1.1"), now).unwrap();
        limit.cancelled(attempt);
        assert!(limit.begin(Some("a"), at("1.1.1.1"), now).is_ok());
        assert!(limit.begin(Some("b"), at("1.1.1.1"), now).is_ok());
        assert!(limit.begin(Some("c"), at("1.1.1.1"), now).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let (limit, now) = (limit(9, 1), Instant::now());
        assert!(limit.begin(Some("a"), at("2001:db8::1"), now).is_ok());
        assert!(limit.begin(Some("b"), at("2001:db8::ffff:2"), now).is_err());
        assert!(limit.begin(Some("b"), at("2001:db8:0:1::1"), now).is_ok());
    }
}
