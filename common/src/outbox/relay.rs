//! The loop that delivers an outbox: woken after a commit, and by itself every few seconds, so that nothing depends on
//! being told.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

use super::table::{self, Entry, Outcome};
use crate::db::Db;
use crate::drain::Drain;
use crate::operation::{self, OperationId};

/// Longest time until a message is found without being woken.
const POLL: Duration = Duration::from_secs(5);
/// Messages claimed at once, and deliveries under way at once.
const BATCH: i64 = 128;
const IN_FLIGHT: usize = 16;
/// Longer than any delivery of a batch may take: 128 calls, 16 at a time, 10 s each.
const CLAIM: Duration = Duration::from_secs(90);
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
        match pass(&db, &deliver).await {
            // More may be waiting: messages behind the ones just delivered, or beyond the batch.
            Ok(delivered) if delivered > 0 => continue,
            Ok(_) => {}
            Err(error) => log::warn!("Outbox: {error}"),
        }
        tokio::select! {
            () = drain.begun() => {}
            () = wake.0.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// One claim with its deliveries; says how many messages are gone.
async fn pass<F, Fut>(db: &Db, deliver: &F) -> Result<usize, crate::db::DbError>
where
    F: Fn(Entry) -> Fut,
    Fut: Future<Output = Delivery>,
{
    let claim_ms = i64::try_from(CLAIM.as_millis()).unwrap_or(i64::MAX);
    let entries = table::claim(db, BATCH, claim_ms).await?;
    if entries.is_empty() {
        return Ok(0);
    }
    let deliveries = entries.into_iter().map(|entry| async move {
        let id = OperationId::parse(&entry.operation_id).unwrap_or_else(OperationId::mint);
        let delivery = operation::scope(id, deliver(entry.clone())).await;
        (entry, delivery)
    });
    let ended: Vec<(Entry, Delivery)> = stream::iter(deliveries).buffer_unordered(IN_FLIGHT).collect().await;
    let delivered = ended.iter().filter(|(_, delivery)| *delivery == Delivery::Done).count();
    let outcomes = ended.into_iter().map(|(entry, delivery)| {
        let outcome = match delivery {
            Delivery::Done => Outcome::Delivered,
            Delivery::Retry(error) => {
                let retry = retry_after(entry.attempts, rand::random());
                log::warn!(kind = entry.kind, key = entry.key, attempts = entry.attempts + 1; "Not delivered, next try in {retry:?}: {error}");
                Outcome::Failed { error, retry_ms: i64::try_from(retry.as_millis()).unwrap_or(i64::MAX) }
            }
        };
        (entry, outcome)
    });
    table::settle(db, outcomes.collect()).await?;
    Ok(delivered)
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
