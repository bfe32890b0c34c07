//! The loop that delivers an outbox: woken after a commit, and by itself every few seconds, so that nothing depends on
//! being told.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::table::{self, Entry, Outcome};
use crate::db::{Db, DbError};
use crate::drain::Drain;
use crate::operation::{self, OperationId};

/// Longest time until a message is found without being woken.
const POLL: Duration = Duration::from_secs(5);
/// Messages claimed at once, and deliveries under way at once.
const BATCH: i64 = 128;
const IN_FLIGHT: usize = 16;
/// How long a dead relay holds its messages up; a live one renews its claims three times in that.
const CLAIM: Duration = Duration::from_secs(6);
/// First and longest wait before a message is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Done, or made pointless by what happened since: the message is removed.
    Done,
    /// To be tried again; the text is kept with the message.
    Retry(String),
}

/// Wakes the relay of an outbox. Cheap to clone.
#[derive(Clone, Default)]
pub struct Relay(Arc<Notify>);

impl Relay {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Call it after a commit that wrote a message.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Delivers the outbox of `db` until the drain begins.
pub async fn relay<F, Fut>(db: Db, wake: Relay, drain: Drain, deliver: F)
where
    F: Fn(Entry) -> Fut,
    Fut: Future<Output = Delivery>,
{
    while !drain.has_begun() {
        let wait = match pass(&db, &deliver).await {
            // More may be waiting: messages behind the ones just delivered, or beyond the batch.
            Ok(Pass { delivered, .. }) if delivered > 0 => continue,
            Ok(Pass { retry, .. }) => retry.map_or(POLL, |retry| retry.min(POLL)),
            Err(error) => {
                log::warn!("Outbox: {error}");
                POLL
            }
        };
        tokio::select! {
            () = drain.begun() => {}
            () = wake.0.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// What one claim came to.
#[derive(Default)]
struct Pass {
    /// Messages that are gone.
    delivered: usize,
    /// When the first of those that failed is due again.
    retry: Option<Duration>,
}

/// One claim with its deliveries.
async fn pass<F, Fut>(db: &Db, deliver: &F) -> Result<Pass, DbError>
where
    F: Fn(Entry) -> Fut,
    Fut: Future<Output = Delivery>,
{
    let entries = table::claim(db, BATCH, millis(CLAIM)).await?;
    let mut pass = Pass::default();
    if entries.is_empty() {
        return Ok(pass);
    }
    let ended = deliver_all(db, entries, deliver).await?;
    let outcomes = ended.into_iter().map(|(entry, delivery)| {
        let outcome = match delivery {
            Delivery::Done => {
                pass.delivered += 1;
                Outcome::Delivered
            }
            Delivery::Retry(error) => {
                let retry = retry_after(entry.attempts, rand::random());
                pass.retry = Some(pass.retry.map_or(retry, |first| first.min(retry)));
                log::warn!(kind = entry.kind, key = entry.key, attempts = entry.attempts + 1; "Not delivered, next try in {retry:?}: {error}");
                Outcome::Failed { error, retry_ms: millis(retry) }
            }
        };
        (entry, outcome)
    });
    let outcomes = outcomes.collect();
    table::settle(db, outcomes).await?;
    Ok(pass)
}

/// Delivers `entries`, several at a time, and renews the claims of those that are still to come.
async fn deliver_all<F, Fut>(db: &Db, entries: Vec<Entry>, deliver: &F) -> Result<Vec<(Entry, Delivery)>, DbError>
where
    F: Fn(Entry) -> Fut,
    Fut: Future<Output = Delivery>,
{
    let mut left: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
    let deliveries = entries.into_iter().map(|entry| async move {
        let id = OperationId::parse(&entry.operation_id).unwrap_or_else(OperationId::mint);
        let delivery = operation::scope(id, deliver(entry.clone())).await;
        (entry, delivery)
    });
    let mut running = stream::iter(deliveries).buffer_unordered(IN_FLIGHT);
    let mut renew = tokio::time::interval_at(Instant::now() + CLAIM / 3, CLAIM / 3);
    let mut ended = Vec::new();
    loop {
        tokio::select! {
            next = running.next() => match next {
                Some((entry, delivery)) => {
                    left.retain(|id| *id != entry.id);
                    ended.push((entry, delivery));
                }
                None => return Ok(ended),
            },
            _ = renew.tick() => table::renew(db, left.clone(), millis(CLAIM)).await?,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Doubles with every attempt up to the longest wait; between half and whole of it, so that many don't return at once.
/// `dice` is random.
fn retry_after(attempts: i64, dice: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << attempts.clamp(0, 16));
    let whole = doubled.min(LAST_RETRY);
    whole / 2 + (whole / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        let mut last = Duration::ZERO;
        for attempts in 0..40 {
            let (low, high) = (retry_after(attempts, 0), retry_after(attempts, u32::MAX));
            assert!(low >= FIRST_RETRY / 2 && high <= LAST_RETRY && low <= high);
            assert!(low >= last, "attempt {attempts}");
            last = low;
        }
    }
}
