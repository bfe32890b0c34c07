//! Test support for all crates: a private PostgreSQL, a private NATS, and a body that runs on each backend. Only behind feature `testing`, which
//! no product build turns on.

mod broker;
#[cfg(feature = "db")]
mod databases;
#[cfg(feature = "db")]
mod postgres;
pub mod random;
pub mod ranges;
pub mod raw;
mod service;

pub use self::broker::{Broker, free_port};
#[cfg(feature = "db")]
pub use self::databases::{TestDatabase, on_each_backend, on_each_backend_with};
#[cfg(feature = "db")]
pub use self::postgres::{Postgres, postgres_execute, postgres_url, postgres_user_with_password};
pub use self::service::{INTERNAL_TOKEN, Running, spawn, spawn_with_headers, test_config};

use std::future::Future;
use std::time::{Duration, Instant};

/// Asks until `condition` gives Some, at most `for_at_most`; the only way a test waits. Panics with `what` when time is over.
pub async fn eventually<T, F, Fut>(what: &str, for_at_most: Duration, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            started.elapsed() < for_at_most,
            "after {for_at_most:?} still not: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
