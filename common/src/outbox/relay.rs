//! The loop that delivers an outbox: woken after a commit, and by itself every few seconds, so that nothing depends on
//! being told.
//!
//! Deliveries start as slots become free and are settled as they end; nothing waits for the slowest of a batch. All
//! writing is done in turns, one at a time: a turn settles what ended while the last one was written, renews, and claims
//! what there is room for, so that a backlog costs a fraction of a disk sync for each message.

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::slots::{AWAY_AFTER, Slots};
use super::table::{self, Claim, Entry, Outcome, Taken, Turn};
use crate::clients::ClientError;
use crate::db::{Db, DbError};
use crate::drain::Drain;
use crate::ids::Id;
use crate::operation::{self, OperationId};

/// Longest time until a message is found without being woken.
const POLL: Duration = Duration::from_secs(5);
/// Messages claimed at once.
const BATCH: i64 = 128;
/// How long a dead relay holds its messages up; a live one renews its claims three times in that.
const CLAIM: Duration = Duration::from_secs(6);
/// First and longest wait before a message is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// The longest wait while the service is away: when it returns, everything is on its way within 5 seconds.
const LAST_RETRY_AWAY: Duration = Duration::from_secs(4);
/// After a failure of the database.
const DATABASE_RETRY: Duration = Duration::from_secs(1);
/// What deliveries under way get to end after the drain has begun.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Done, or made pointless by what happened since: the message is removed.
    Done,
    /// To be tried again; the text is kept with the message.
    Retry(String),
    /// Nobody answered, which says nothing about this message: tried again every few seconds, and at once when another
    /// message of its kind gets through.
    Away(String),
}

/// A call that failed and means nothing else to the caller.
impl From<ClientError> for Delivery {
    fn from(error: ClientError) -> Self {
        if error.is_outage() {
            Delivery::Away(error.to_string())
        } else {
            Delivery::Retry(error.to_string())
        }
    }
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
    let mut state = State::new();
    let mut running = FuturesUnordered::new();
    let mut turn: Option<LocalBoxFuture<'_, TurnEnd>> = None;
    while !drain.has_begun() {
        while let Some(entry) = state.slots.start(Instant::now()) {
            running.push(run(&deliver, entry));
        }
        if turn.is_none() {
            turn = state.next_turn(Instant::now()).map(|ask| write(&db, ask).boxed_local());
        }
        let rest = state.rest(turn.is_some());
        tokio::select! {
            () = drain.begun() => {}
            Some((entry, delivery)) = running.next() => state.take_end(entry, delivery),
            end = pending(&mut turn) => {
                turn = None;
                state.take_turn(end);
            }
            () = wake.0.notified() => state.look_at = Instant::now(),
            () = tokio::time::sleep_until(rest) => {}
        }
    }
    if let Some(turn) = turn {
        state.take_turn(turn.await);
    }
    let end = Instant::now() + LAST_WORDS;
    while let Ok(Some((entry, delivery))) = tokio::time::timeout_at(end, running.next()).await {
        state.take_end(entry, delivery);
    }
    drop(running);
    // Whoever doesn't hear of it waits for the claim to end.
    if let Err((error, _)) = table::turn(&db, state.last_turn()).await {
        log::warn!("Outbox: the last deliveries were not settled: {error}");
    }
}

type TurnEnd = (Turn, Instant, Result<Taken, (DbError, Turn)>);

/// One delivery, as part of the operation that caused it. A panic is a failure of this message, not of the loop.
async fn run<F, Fut>(deliver: &F, entry: Entry) -> (Entry, Delivery)
where
    F: Fn(Entry) -> Fut,
    Fut: Future<Output = Delivery>,
{
    let id = OperationId::parse(&entry.operation_id).unwrap_or_else(OperationId::mint);
    let message = entry.clone();
    let delivery = operation::scope(id, async move { deliver(message).await });
    let delivery = AssertUnwindSafe(delivery).catch_unwind().await;
    let delivery = delivery.unwrap_or_else(|_| Delivery::Retry("the delivery panicked".into()));
    (entry, delivery)
}

async fn write(db: &Db, ask: Turn) -> TurnEnd {
    let asked = Instant::now();
    // Without the settles, which are told by the result.
    let wish = Turn {
        settled: vec![],
        ..ask.clone()
    };
    (wish, asked, table::turn(db, ask).await)
}

/// Never when there is none.
async fn pending<T>(future: &mut Option<LocalBoxFuture<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// What a relay knows between two turns.
struct State {
    slots: Slots,
    ended: Vec<(Entry, Outcome)>,
    /// Kinds that were answered again.
    back: BTreeSet<String>,
    look_at: Instant,
    /// Look with the next turn: the last claim was not the end of it, or what ended may have been the last of its kind here
    /// or the one before another of its key.
    more: bool,
    renewed_at: Instant,
    /// Not before: the database failed.
    wait_until: Instant,
    name: Id,
    claims: u64,
}

impl State {
    fn new() -> Self {
        let now = Instant::now();
        State {
            slots: Slots::default(),
            ended: Vec::new(),
            back: BTreeSet::new(),
            look_at: now,
            more: false,
            renewed_at: now,
            wait_until: now,
            name: Id::now(),
            claims: 0,
        }
    }

    /// What there is to write now, if anything.
    fn next_turn(&mut self, now: Instant) -> Option<Turn> {
        let held = self.slots.held();
        let renew = !held.is_empty() && now >= self.renewed_at + CLAIM / 3;
        let look = self.more || self.look_at <= now;
        if now < self.wait_until || !(renew || look || !self.ended.is_empty()) {
            return None;
        }
        self.claims += 1;
        let claim = look.then(|| Claim {
            limit: BATCH,
            except_kinds: self.slots.full_kinds(),
            mark: format!("{}-{}", self.name, self.claims),
        });
        if look {
            self.look_at = now + POLL;
            self.more = false;
        }
        Some(Turn {
            settled: std::mem::take(&mut self.ended),
            back: std::mem::take(&mut self.back).into_iter().collect(),
            held,
            renew,
            claim,
            ..self.terms()
        })
    }

    fn terms(&self) -> Turn {
        Turn {
            claim_ms: millis(CLAIM),
            away_ms: millis(LAST_RETRY_AWAY),
            ..Turn::default()
        }
    }

    fn take_turn(&mut self, (wish, asked, result): TurnEnd) {
        match result {
            Ok(taken) => {
                if wish.renew {
                    self.renewed_at = asked;
                    self.slots.renewed(&wish.held, &taken.kept, asked + CLAIM);
                } else if wish.held.is_empty() {
                    self.renewed_at = asked;
                }
                self.more |= i64::try_from(taken.claimed.len()).is_ok_and(|len| len == BATCH);
                self.slots.add(taken.claimed, asked + CLAIM);
            }
            Err((error, turn)) => {
                log::warn!("Outbox, next try in {DATABASE_RETRY:?}: {error}");
                self.ended.extend(turn.settled);
                self.back.extend(turn.back);
                self.wait_until = Instant::now() + DATABASE_RETRY;
                self.look_at = self.wait_until;
            }
        }
    }

    fn take_end(&mut self, entry: Entry, delivery: Delivery) {
        if !matches!(delivery, Delivery::Away(_)) && self.slots.answered(&entry) {
            log::info!(kind = entry.kind; "Messages of this kind are answered again");
            self.back.insert(entry.kind.clone());
        }
        self.more |= self.slots.is_low(&entry.kind);
        let outcome = match delivery {
            Delivery::Done => Outcome::Delivered,
            Delivery::Retry(error) => {
                self.again(&entry, error, retry_after(entry.attempts, LAST_RETRY, rand::random()))
            }
            Delivery::Away(error) => {
                let retry = retry_after(entry.attempts, LAST_RETRY_AWAY, rand::random());
                let times = i64::from(self.slots.times_away(&entry.kind)) - i64::from(AWAY_AFTER);
                let pause = retry_after(times + 1, LAST_RETRY_AWAY, rand::random());
                self.slots.away(&entry, pause);
                self.again(&entry, error, retry)
            }
        };
        self.ended.push((entry, outcome));
    }

    fn again(&mut self, entry: &Entry, error: String, retry: Duration) -> Outcome {
        log::warn!(kind = entry.kind, key = entry.key, attempts = entry.attempts + 1; "Not delivered, next try in {retry:?}: {error}");
        // A little later than it will be written.
        self.look_at = self.look_at.min(Instant::now() + retry + FIRST_RETRY / 10);
        Outcome::Failed {
            error,
            retry_ms: millis(retry),
        }
    }

    /// Until when nothing happens by itself.
    fn rest(&self, writing: bool) -> Instant {
        let mut rest = if writing { Instant::now() + POLL } else { self.look_at };
        if !writing && !self.slots.is_empty() {
            rest = rest.min(self.renewed_at + CLAIM / 3);
        }
        let rest = rest.max(self.wait_until);
        self.slots.next_try().map_or(rest, |next| rest.min(next))
    }

    /// Settles what ended and gives the rest back.
    fn last_turn(&mut self) -> Turn {
        let mut settled = std::mem::take(&mut self.ended);
        let waiting = self.slots.take_waiting();
        settled.extend(waiting.into_iter().map(|entry| (entry, Outcome::Released)));
        Turn {
            settled,
            ..self.terms()
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Doubles with every attempt up to the longest wait; between half and whole of it, so that many don't return at once.
/// `dice` is random.
fn retry_after(attempts: i64, longest: Duration, dice: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << attempts.clamp(0, 16));
    let whole = doubled.min(longest);
    whole / 2 + (whole / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        for longest in [LAST_RETRY, LAST_RETRY_AWAY] {
            let mut last = Duration::ZERO;
            for attempts in 0..40 {
                let (low, high) = (
                    retry_after(attempts, longest, 0),
                    retry_after(attempts, longest, u32::MAX),
                );
                assert!(low >= FIRST_RETRY / 2 && high <= longest && low <= high);
                assert!(low >= last, "attempt {attempts}");
                last = low;
            }
        }
    }
}
