//! Counters that start afresh when their window ends: one for each key, bounded in number. What is refused is told with
//! 429 and the fields of draft-ietf-httpapi-ratelimit-headers.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderName, HeaderValue};
use common::error::{ApiError, Code};

/// Keys remembered in each table; a table is some 5 MB when full. Beyond it the oldest windows are forgotten.
const MAX_TRACKED: usize = 50_000;

/// The counters of one kind of key.
#[derive(Debug)]
pub struct Windows<K>(HashMap<K, Counter>);

impl<K> Default for Windows<K> {
    fn default() -> Self {
        Windows(HashMap::new())
    }
}

#[derive(Debug)]
struct Counter {
    since: Instant,
    count: u32,
}

impl<K: Hash + Eq + Clone> Windows<K> {
    /// How long `key` has to wait; `None` when it has attempts left.
    pub fn wait(&self, key: &K, most: u32, window: Duration, now: Instant) -> Option<Duration> {
        let counter = self.0.get(key)?;
        let age = now.saturating_duration_since(counter.since);
        (counter.count >= most && age < window).then(|| window - age)
    }

    pub fn count(&mut self, key: K, window: Duration, now: Instant) {
        if self.0.len() >= MAX_TRACKED && !self.0.contains_key(&key) {
            self.make_room(window, now);
        }
        let counter = self.0.entry(key).or_insert(Counter { since: now, count: 0 });
        if now.saturating_duration_since(counter.since) >= window {
            *counter = Counter { since: now, count: 0 };
        }
        counter.count += 1;
    }

    pub fn give_back(&mut self, key: &K) {
        if let Some(counter) = self.0.get_mut(key) {
            counter.count = counter.count.saturating_sub(1);
            if counter.count == 0 {
                self.0.remove(key);
            }
        }
    }

    /// The key starts afresh.
    pub fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }

    /// Forgets windows that are over; when that is not enough, the oldest eighth.
    fn make_room(&mut self, window: Duration, now: Instant) {
        self.0
            .retain(|_, counter| now.saturating_duration_since(counter.since) < window);
        if self.0.len() < MAX_TRACKED {
            return;
        }
        let mut ages: Vec<(Instant, K)> = self
            .0
            .iter()
            .map(|(key, counter)| (counter.since, key.clone()))
            .collect();
        let eighth = ages.len() / 8;
        ages.select_nth_unstable_by_key(eighth, |(since, _)| *since);
        for (_, key) in &ages[..=eighth] {
            self.0.remove(key);
        }
    }
}

/// An IPv6 customer has a /64 at least: single addresses of it are free to change.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// 429: `quota` of `policy` are used up for another `wait`.
pub fn refuse(policy: &'static str, quota: u32, window: Duration, wait: Duration, detail: &str) -> ApiError {
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
    ApiError::new(Code::TooManyRequests, detail)
        .retry_after(wait)
        .header(policy_name, policy_value)
        .header(name, value)
}

/// How many accounts an address may register in a window: counted before anything is hashed. Cheap to clone.
#[derive(Clone)]
pub struct RegistrationLimit(Arc<Registrations>);

struct Registrations {
    most: u32,
    window: Duration,
    addresses: Mutex<Windows<IpAddr>>,
}

impl RegistrationLimit {
    pub fn new(most: u32, window: Duration) -> Self {
        RegistrationLimit(Arc::new(Registrations {
            most,
            window,
            addresses: Mutex::default(),
        }))
    }

    /// Counts a registration from `address`, or refuses it with 429.
    pub fn begin(&self, address: IpAddr, now: Instant) -> Result<(), ApiError> {
        let Registrations { most, window, .. } = *self.0;
        let address = network(address);
        let mut addresses = self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = addresses.wait(&address, most, window, now) {
            let detail = "Too many accounts were registered from this address; wait before the next one.";
            return Err(refuse("registration-address", most, window, wait, detail));
        }
        addresses.count(address, window, now);
        Ok(())
    }

    /// It cost nothing: the name is taken, or the hashers were busy.
    pub fn cancelled(&self, address: IpAddr) {
        let mut addresses = self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.give_back(&network(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn the_table_is_bounded_and_keeps_the_newest() {
        let mut table = Windows::default();
        let now = Instant::now();
        for n in 0..MAX_TRACKED * 2 {
            let moment = now + Duration::from_micros(n as u64);
            table.count(n, WINDOW, moment);
            assert!(table.0.len() <= MAX_TRACKED);
        }
        assert!(table.0.contains_key(&(MAX_TRACKED * 2 - 1)));
    }

    #[test]
    fn an_address_registers_so_many_accounts_in_a_window() {
        let (limit, now) = (RegistrationLimit::new(2, WINDOW), Instant::now());
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(limit.begin(at("2001:db8::1"), now).is_ok());
        assert!(limit.begin(at("2001:db8::2"), now).is_ok());
        assert!(limit.begin(at("2001:db8::3"), now).is_err(), "one network");
        assert!(limit.begin(at("2001:db8:0:1::1"), now).is_ok());
        limit.cancelled(at("2001:db8::1"));
        assert!(limit.begin(at("2001:db8::3"), now).is_ok());
        assert!(limit.begin(at("2001:db8::3"), now + WINDOW).is_ok());
    }
}
