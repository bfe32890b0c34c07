//! How many wrong passwords an account and a client address may try in a window. Checked and counted under one lock before
//! anything is hashed, so that many attempts at once get no more tries than one after the other.
//!
//! An attempt counts from its beginning and is given back when it succeeds or could not be tried.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderName, HeaderValue};
use common::config::ApiConfig;
use common::error::{ApiError, Code};

/// Accounts and addresses remembered, each; about 10 MB when both are full. Beyond it the oldest windows are forgotten.
const MAX_TRACKED: usize = 50_000;

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
    accounts: Table<String>,
    addresses: Table<IpAddr>,
}

type Table<K> = HashMap<K, Counter>;

struct Counter {
    since: Instant,
    count: u32,
}

/// One attempt under way. Unless told otherwise it stays counted.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    account: String,
    address: IpAddr,
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

    /// Counts an attempt on `account` from `address`, or refuses it with 429.
    pub fn begin(&self, account: &str, address: IpAddr, now: Instant) -> Result<Attempt, ApiError> {
        let limits = &self.0;
        let (account, address) = (account.to_owned(), network(address));
        let mut tables = limits.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = left(&tables.accounts, &account, limits.account, limits.window, now);
        if let Some(wait) = wait {
            return Err(refuse("sign-in-account", limits.account, limits.window, wait));
        }
        let wait = left(&tables.addresses, &address, limits.address, limits.window, now);
        if let Some(wait) = wait {
            return Err(refuse("sign-in-address", limits.address, limits.window, wait));
        }
        count(&mut tables.accounts, account.clone(), limits.window, now);
        count(&mut tables.addresses, address, limits.window, now);
        Ok(Attempt { account, address })
    }

    /// The password was right: the account starts afresh, the address gets this attempt back.
    pub fn succeeded(&self, attempt: &Attempt) {
        let mut tables = self.0.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.accounts.remove(&attempt.account);
        give_back(&mut tables.addresses, &attempt.address);
    }

    /// Nothing was tried (the hashers were busy, the database away).
    pub fn cancelled(&self, attempt: &Attempt) {
        let mut tables = self.0.tables.lock().unwrap_or_else(PoisonError::into_inner);
        give_back(&mut tables.accounts, &attempt.account);
        give_back(&mut tables.addresses, &attempt.address);
    }
}

/// An IPv6 customer has a /64 at least: single addresses of it are free to change.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// How long `key` has to wait; `None` when it has attempts left.
fn left<K: Hash + Eq>(table: &Table<K>, key: &K, most: u32, window: Duration, now: Instant) -> Option<Duration> {
    let counter = table.get(key)?;
    let age = now.saturating_duration_since(counter.since);
    (counter.count >= most && age < window).then(|| window - age)
}

fn count<K: Hash + Eq + Clone>(table: &mut Table<K>, key: K, window: Duration, now: Instant) {
    if table.len() >= MAX_TRACKED && !table.contains_key(&key) {
        make_room(table, window, now);
    }
    let counter = table.entry(key).or_insert(Counter { since: now, count: 0 });
    if now.saturating_duration_since(counter.since) >= window {
        *counter = Counter { since: now, count: 0 };
    }
    counter.count += 1;
}

/// Forgets windows that are over; when that is not enough, the oldest eighth.
fn make_room<K: Hash + Eq + Clone>(table: &mut Table<K>, window: Duration, now: Instant) {
    table.retain(|_, counter| now.saturating_duration_since(counter.since) < window);
    if table.len() < MAX_TRACKED {
        return;
    }
    let mut ages: Vec<(Instant, K)> = table
        .iter()
        .map(|(key, counter)| (counter.since, key.clone()))
        .collect();
    let eighth = ages.len() / 8;
    ages.select_nth_unstable_by_key(eighth, |(since, _)| *since);
    for (_, key) in &ages[..=eighth] {
        table.remove(key);
    }
}

fn give_back<K: Hash + Eq>(table: &mut Table<K>, key: &K) {
    if let Some(counter) = table.get_mut(key) {
        counter.count = counter.count.saturating_sub(1);
        if counter.count == 0 {
            table.remove(key);
        }
    }
}

/// 429 with the fields of draft-ietf-httpapi-ratelimit-headers.
fn refuse(policy: &'static str, quota: u32, window: Duration, wait: Duration) -> ApiError {
    let header = |name: &'static str, value: String| {
        let value = HeaderValue::from_str(&value).expect("digits and a fixed name are a header value");
        (HeaderName::from_static(name), value)
    };
    let wait_s = wait.as_millis().div_ceil(1000).max(1);
    let (policy_name, policy_value) = header(
        "ratelimit-policy",
        format!("\"{policy}\";q={quota};w={}", window.as_secs()),
    );
    let (name, value) = header("ratelimit", format!("\"{policy}\";r=0;t={wait_s}"));
    ApiError::new(
        Code::TooManyRequests,
        "Too many wrong passwords; wait before the next try.",
    )
    .retry_after(wait)
    .header(policy_name, policy_value)
    .header(name, value)
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
    fn an_account_is_closed_until_its_window_ends() {
        let (limit, now) = (limit(2, 100), Instant::now());
        for _ in 0..2 {
            assert!(limit.begin("ann", at("1.1.1.1"), now).is_ok());
        }
        assert!(limit.begin("ann", at("2.2.2.2"), now + WINDOW / 2).is_err());
        assert!(limit.begin("bob", at("1.1.1.1"), now).is_ok());
        assert!(limit.begin("ann", at("1.1.1.1"), now + WINDOW).is_ok());
    }

    #[test]
    fn success_resets_the_account_and_returns_the_address_one_attempt() {
        let (limit, now) = (limit(2, 2), Instant::now());
        for _ in 0..10 {
            let attempt = limit.begin("ann", at("1.1.1.1"), now).unwrap();
            limit.succeeded(&attempt);
        }
        let attempt = limit.begin("ann", at("1.1.1.1"), now).unwrap();
        limit.cancelled(&attempt);
        assert!(limit.begin("a", at("1.1.1.1"), now).is_ok());
        assert!(limit.begin("b", at("1.1.1.1"), now).is_ok());
        assert!(limit.begin("c", at("1.1.1.1"), now).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let (limit, now) = (limit(9, 1), Instant::now());
        assert!(limit.begin("a", at("2001:db8::1"), now).is_ok());
        assert!(limit.begin("b", at("2001:db8::ffff:2"), now).is_err());
        assert!(limit.begin("b", at("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_newest() {
        let mut table = Table::new();
        let now = Instant::now();
        for n in 0..MAX_TRACKED * 2 {
            let moment = now + Duration::from_micros(n as u64);
            count(&mut table, n, WINDOW, moment);
            assert!(table.len() <= MAX_TRACKED);
        }
        assert!(table.contains_key(&(MAX_TRACKED * 2 - 1)));
    }
}
