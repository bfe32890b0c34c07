//! argon2id off the async threads: a fixed number of hashers at low priority, a bounded queue before them, a deadline. A hash takes 19 MiB
//! and tens of milliseconds of a core, so a flood of sign-ins must wait or be refused without slowing anything else.
//!
//! An account that does not exist is verified against a hash nobody can match, so that it costs the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use common::config::Secret;
use common::error::{ApiError, Code};
use common::low_priority::LowPriority;
use common::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Longest wait for a hasher; a person has given up by then.
const QUEUE_DEADLINE: Duration = Duration::from_secs(10);

/// Those who register get this part of the queue.
const NEWCOMERS: usize = 4;

/// Same cost as every stored hash; the output is all zeros, which no password gives.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hashers of a process. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    threads: LowPriority,
    hashers: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
    /// Those of `waiting` that register.
    newcomers: Arc<AtomicUsize>,
    max_newcomers: usize,
    runs: Counter,
}

impl Passwords {
    /// Errors when the system gives no thread.
    pub fn new(hashers: usize, queue: usize) -> std::io::Result<Self> {
        Ok(Passwords {
            threads: LowPriority::start("password-hasher", hashers)?,
            hashers: Arc::new(Semaphore::new(hashers)),
            waiting: Arc::default(),
            max_waiting: queue,
            newcomers: Arc::default(),
            max_newcomers: (queue / NEWCOMERS).max(1),
            runs: Counter::default(),
        })
    }

    /// Shows how often argon2 has run.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register("api_password_hashes", "Runs of argon2", self.runs.clone());
        });
    }

    /// The PHC string to store. 503 when too many wait.
    pub async fn hash(&self, password: Secret) -> Result<Secret, ApiError> {
        self.run(move || hash(&password)).await
    }

    /// The same for somebody who registers: they have a part of the queue only, so that a flood of new accounts leaves
    /// places for those who have one.
    pub async fn hash_of_newcomer(&self, password: Secret) -> Result<Secret, ApiError> {
        let _newcomer = Waiting::start(&self.newcomers, self.max_newcomers)?;
        self.hash(password).await
    }

    /// Whether `password` belongs to `stored`; without a stored hash it takes as long and is wrong.
    pub async fn verify(&self, password: Secret, stored: Option<Secret>) -> Result<bool, ApiError> {
        self.run(move || verify(&password, stored.as_ref())).await
    }

    async fn run<T, F>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, ApiError> + Send + 'static,
    {
        let permit = self.enter().await?;
        self.runs.inc();
        let hashed = self.threads.run(move || {
            let outcome = work();
            // Here, not in the caller: one that leaves must not let more run than there are hashers.
            drop(permit);
            outcome
        });
        hashed
            .await
            .unwrap_or_else(|| Err(ApiError::internal("a hasher panicked")))
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if let Ok(permit) = self.hashers.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::start(&self.waiting, self.max_waiting)?;
        let turn = tokio::time::timeout(QUEUE_DEADLINE, self.hashers.clone().acquire_owned());
        match turn.await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(closed)) => Err(ApiError::internal(closed)),
            Err(_) => Err(overloaded()),
        }
    }
}

fn overloaded() -> ApiError {
    ApiError::new(Code::Overloaded, "Too many people are signing in just now.").retry_after(Duration::from_secs(2))
}

/// Counts one waiter for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn start(count: &'a AtomicUsize, most: usize) -> Result<Self, ApiError> {
        let waiting = Waiting(count);
        if count.fetch_add(1, Ordering::SeqCst) >= most {
            Err(overloaded())
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

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Blocks for the time of one hash.
pub fn hash(password: &Secret) -> Result<Secret, ApiError> {
    let hash: PasswordHash = argon2()
        .hash_password(password.expose().as_bytes())
        .map_err(ApiError::internal)?;
    Ok(Secret::from(hash.to_string()))
}

fn verify(password: &Secret, stored: Option<&Secret>) -> Result<bool, ApiError> {
    let text = stored.map_or(NOBODY, Secret::expose);
    let hash = PasswordHash::new(text).map_err(|error| ApiError::internal(format!("a stored hash: {error}")))?;
    match argon2().verify_password(password.expose().as_bytes(), &hash) {
        Ok(()) => Ok(stored.is_some()),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(ApiError::internal(format!("a stored hash: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_belongs_to_its_hash_and_nobody_has_one() {
        let password = Secret::from("correct horse");
        let stored = hash(&password).unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&password, Some(&stored)).unwrap());
        assert!(!verify(&Secret::from("wrong horse"), Some(&stored)).unwrap());
        assert!(!verify(&password, None).unwrap());
        assert!(verify(&password, Some(&Secret::from("broken"))).is_err());
        assert_ne!(hash(&password).unwrap(), stored, "every hash has its own salt");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_queue_is_refused_at_once() {
        let passwords = Passwords::new(1, 1).unwrap();
        let busy = passwords.hashers.clone().acquire_owned().await.unwrap();
        let waiting = {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.verify(Secret::from("x"), None).await })
        };
        while passwords.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = passwords.verify(Secret::from("x"), None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Overloaded);
        drop(busy);
        assert!(!waiting.await.unwrap().unwrap());
        assert_eq!(passwords.waiting.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn those_who_register_leave_places_for_those_who_sign_in() {
        let passwords = Passwords::new(1, 8).unwrap();
        let busy = passwords.hashers.clone().acquire_owned().await.unwrap();
        let newcomers: Vec<_> = (0..20)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.hash_of_newcomer(Secret::from("x")).await })
            })
            .collect();
        while passwords.waiting.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        let member = {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.verify(Secret::from("x"), None).await })
        };
        while passwords.waiting.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        drop(busy);
        assert!(!member.await.unwrap().unwrap());
        let mut refused = 0;
        for newcomer in newcomers {
            refused += usize::from(newcomer.await.unwrap().is_err());
        }
        assert_eq!(refused, 18);
        assert_eq!(passwords.newcomers.load(Ordering::SeqCst), 0);
    }
}
