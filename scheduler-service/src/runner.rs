//! The loop that runs jobs: settle what ended, renew what runs, lease what is due, all in one transaction; then wait for the
//! first thing that changes anything. Nothing depends on being woken: it looks every few seconds, and exactly when the next
//! job is due or the next lease ends.
//!
//! The loop, the jobs and their [`Hold`]s live on one thread. If that thread is paused, everything is, and each job finds
//! before its next call to the outside that its lease is over.

mod cycle;
mod hold;
mod parts;
mod task;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::bus::{Subject, Subscription};
use common::db::{DbError, now_ms};
use common::ids::Id;
use tokio::sync::mpsc;

pub use hold::{Hold, Stop};
pub use parts::{Limits, Parts, Wake};

use crate::ops::{self, Outcome, Settled, Terms};
use cycle::{Answer, Ask};
use task::{Ended, Running};

/// A look that found nothing although something is due (another worker was faster, or a job waits to run alone) is repeated
/// after this.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// After a failure of the database.
const RETRY: Duration = Duration::from_secs(1);

/// Runs jobs until the drain is over: then nothing is leased any more by this process.
pub async fn run(parts: Parts, limits: Limits) {
    let subscription = parts.bus.subscribe(&Subject::JobsReady);
    let (ended, endings) = mpsc::unbounded_channel();
    let terms = Terms {
        owner: format!("{}-{}", std::process::id(), Id::now()),
        lease_ms: i64::try_from(limits.lease.as_millis()).unwrap_or(i64::MAX),
        max_attempts: limits.max_attempts,
    };
    let now = Instant::now();
    let mut runner = Runner {
        parts,
        limits,
        terms,
        running: HashMap::new(),
        settled: Vec::new(),
        ended,
        look_at: now,
        renewed_at: now,
        drain_until: None,
    };
    runner.run(subscription, endings).await;
}

struct Runner {
    parts: Parts,
    limits: Limits,
    terms: Terms,
    running: HashMap<Id, Running>,
    /// Ended, not yet in the database. As many as workers at the most.
    settled: Vec<Settled>,
    ended: mpsc::UnboundedSender<Ended>,
    /// When to look for due jobs.
    look_at: Instant,
    renewed_at: Instant,
    drain_until: Option<Instant>,
}

impl Runner {
    async fn run(&mut self, mut subscription: Subscription, mut endings: mpsc::UnboundedReceiver<Ended>) {
        loop {
            while let Ok(ended) = endings.try_recv() {
                self.take_ending(ended);
            }
            if self.parts.drain.has_begun() && self.drained() {
                return self.finish().await;
            }
            if let Err(error) = self.step().await {
                log::warn!("The jobs can't be read or settled, next try in {RETRY:?}: {error}");
                // Not cut short by anything: what fails now fails again at once.
                tokio::time::sleep(RETRY).await;
                continue;
            }
            tokio::select! {
                ended = endings.recv() => self.take_ending(ended.expect("the runner holds a sender")),
                () = self.parts.wake.woken() => self.look_at = Instant::now(),
                message = subscription.next() => match message {
                    Some(_) => self.look_at = Instant::now(),
                    None => subscription = self.parts.bus.subscribe(&Subject::JobsReady),
                },
                () = tokio::time::sleep_until(self.next_turn().into()) => {}
                () = self.parts.drain.begun(), if self.drain_until.is_none() => {
                    self.drain_until = Some(Instant::now() + self.limits.drain);
                }
            }
        }
    }

    /// One transaction, when there is a reason for one.
    async fn step(&mut self) -> Result<(), DbError> {
        let now = Instant::now();
        let renew = !self.running.is_empty() && now >= self.renewed_at + self.limits.lease / 3;
        let room = self.room();
        let look = room > 0 && now >= self.look_at;
        if self.settled.is_empty() && !renew {
            if !look {
                return Ok(());
            }
            // Reading first keeps an idle scheduler from taking the write lock every few seconds.
            match self.due_in().await? {
                Some(0) => {}
                other => {
                    self.look_again_in(other);
                    return Ok(());
                }
            }
        }
        let settled = std::mem::take(&mut self.settled);
        let held = self
            .running
            .values()
            .map(|running| (running.id().clone(), running.fence()))
            .collect();
        let ask = Ask {
            settled,
            held: if renew { held } else { vec![] },
            free: room,
            idle: self.running.is_empty(),
            terms: self.terms.clone(),
        };
        let asked = Instant::now();
        match cycle::run(&self.parts.db, ask).await {
            Ok(answer) => self.take_answer(answer, asked, renew, room),
            Err((error, settled)) => {
                self.settled = settled;
                return Err(error);
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, answer: Answer, asked: Instant, renewed: bool, room: usize) {
        for settled in answer.refused {
            self.parts.metrics.lost.inc();
            log::warn!(job = settled.job.id; "Job {} {} went to another worker before it was settled here",
                settled.job.kind, settled.job.key);
        }
        if renewed {
            self.renewed_at = asked;
            self.running.retain(|id, running| {
                let kept = answer.kept.contains(id);
                if kept {
                    running.hold.renew(asked, self.limits.lease);
                } else {
                    running.lose(&self.parts.metrics);
                }
                kept
            });
        }
        if self.running.is_empty() {
            self.renewed_at = asked;
        }
        let full = answer.leased.len() == room;
        let some = !answer.leased.is_empty();
        for leased in answer.leased {
            let hold = Hold::new(asked, self.limits.lease, self.parts.drain.clone());
            let running = task::start(&self.parts, &self.limits, leased, hold, self.ended.clone());
            self.running.insert(running.id().clone(), running);
        }
        if full && some {
            self.look_at = Instant::now();
        } else {
            self.look_again_in(answer.due_in);
        }
    }

    async fn due_in(&self) -> Result<Option<i64>, DbError> {
        let terms = self.terms.clone();
        self.parts
            .db
            .read(move |conn| {
                let now = now_ms(conn)?;
                Ok(ops::due_in(conn, now, &terms)?)
            })
            .await
    }

    /// Never later than the poll, so that a clock that was set or a PUT nobody told of costs seconds.
    fn look_again_in(&mut self, due_in: Option<i64>) {
        let wait = due_in.map_or(self.limits.poll, |ms| Duration::from_millis(ms.unsigned_abs()));
        self.look_at = Instant::now() + wait.clamp(MIN_PAUSE.min(self.limits.poll), self.limits.poll);
    }

    /// Jobs that may be leased now.
    fn room(&self) -> usize {
        let alone = self.running.values().any(|running| running.leased.alone);
        if self.parts.drain.has_begun() || alone {
            return 0;
        }
        self.limits.workers.saturating_sub(self.running.len())
    }

    fn next_turn(&self) -> Instant {
        let look = (self.room() > 0).then_some(self.look_at);
        let renew = (!self.running.is_empty()).then(|| self.renewed_at + self.limits.lease / 3);
        let settle = (!self.settled.is_empty()).then(Instant::now);
        let poll = Instant::now() + self.limits.poll;
        [look, renew, settle, self.drain_until]
            .into_iter()
            .flatten()
            .fold(poll, Instant::min)
    }

    fn take_ending(&mut self, ended: Ended) {
        // An older run of the same job may end after its lease was lost and taken again.
        let ours = self
            .running
            .get(&ended.id)
            .is_some_and(|running| running.fence() == ended.fence);
        if !ours {
            return;
        }
        if let Some(running) = self.running.remove(&ended.id)
            && let Some(outcome) = running.outcome(ended.end, &self.parts.metrics)
        {
            self.settle(running, outcome);
        }
    }

    fn settle(&mut self, running: Running, outcome: Outcome) {
        let every_ms = self.limits.schedule.every_ms(running.leased.kind);
        self.settled.push(Settled {
            job: running.leased.job,
            outcome,
            max_attempts: self.limits.max_attempts,
            every_ms,
        });
    }

    /// Nothing runs any more, or what runs had its time.
    fn drained(&self) -> bool {
        self.running.is_empty() || self.drain_until.is_some_and(|until| Instant::now() >= until)
    }

    /// Gives back what still runs and settles the rest.
    async fn finish(&mut self) {
        let rest = std::mem::take(&mut self.running);
        let given_back = rest.len();
        for running in rest.into_values() {
            running.stop();
            self.settle(running, Outcome::GivenBack);
        }
        while !self.settled.is_empty() {
            match self.step().await {
                Ok(()) => break,
                // Whatever is left is found by its lease.
                Err(error) if self.drain_until.is_some_and(|until| Instant::now() > until + RETRY * 3) => {
                    return log::error!("{} jobs were not settled: {error}", self.settled.len());
                }
                Err(error) => log::warn!("Settling the last jobs failed, next try in {RETRY:?}: {error}"),
            }
            tokio::time::sleep(RETRY).await;
        }
        log::info!("The job runner has stopped; {given_back} jobs were given back");
    }
}
