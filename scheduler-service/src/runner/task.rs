//! One running job: its task, its hold, and what its end means.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use common::ids::Id;
use common::operation::{self, OperationId};
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Hold, Limits, Parts, Stop};
use crate::backoff;
use crate::jobs::{self, Context, Finished, Trouble};
use crate::metrics::JobMetrics;
use crate::ops::{Leased, Outcome};

pub(super) struct Running {
    pub leased: Leased,
    pub hold: Hold,
    task: JoinHandle<()>,
    started: Instant,
}

/// What a task says when it ends.
pub(super) struct Ended {
    pub id: Id,
    pub fence: i64,
    pub end: Result<Finished, Trouble>,
}

/// Starts the job on this thread, as part of the operation that caused it.
pub(super) fn start(
    parts: &Parts,
    limits: &Limits,
    leased: Leased,
    hold: Hold,
    ended: mpsc::UnboundedSender<Ended>,
) -> Running {
    let context = Context {
        db: parts.db.clone(),
        clients: parts.clients.clone(),
        purges: parts.purges.clone(),
        leased: leased.clone(),
        hold: hold.clone(),
        orphan_grace: limits.orphan_grace,
        scrub_run: limits.scrub_run,
    };
    let operation = OperationId::parse(&leased.job.operation_id).unwrap_or_else(OperationId::mint);
    let (id, fence) = (leased.job.id.clone(), leased.job.fence);
    let work = async move {
        let end = AssertUnwindSafe(jobs::run(&context)).catch_unwind().await;
        let end =
            end.unwrap_or_else(|panic| Err(Trouble::Failed(format!("The job panicked: {}", panic_text(&*panic)))));
        // The runner is gone only when the process stops; then the lease says the rest.
        drop(ended.send(Ended { id, fence, end }));
    };
    parts.metrics.running.inc();
    let task = tokio::task::spawn_local(operation::scope(operation, work));
    Running {
        leased,
        hold,
        task,
        started: Instant::now(),
    }
}

impl Running {
    pub(super) fn id(&self) -> &Id {
        &self.leased.job.id
    }

    pub(super) fn fence(&self) -> i64 {
        self.leased.job.fence
    }

    /// What to settle; nothing when the lease was lost.
    pub(super) fn outcome(&self, end: Result<Finished, Trouble>, metrics: &JobMetrics) -> Option<Outcome> {
        let job = &self.leased.job;
        let outcome = match end {
            Ok(Finished::Done(result)) => Outcome::Done(result),
            Ok(Finished::Cancelled(reason)) => {
                log::info!(job = job.id; "Job {} {} ended early: {reason}", job.kind, job.key);
                Outcome::Cancelled(reason)
            }
            Ok(Finished::Postponed(until)) => Outcome::Postponed(until),
            Err(Trouble::Stopped(Stop::Draining)) => Outcome::GivenBack,
            Err(Trouble::Stopped(Stop::Lost)) => {
                log::warn!(job = job.id; "Job {} {} stopped: its lease is over", job.kind, job.key);
                metrics.lost.inc();
                metrics.running.dec();
                return None;
            }
            Err(Trouble::Failed(error)) => {
                let wait = backoff::after(job.attempts, rand::random());
                log::warn!(job = job.id, attempts = job.attempts;
                    "Job {} {} failed (attempt {}): {error}", job.kind, job.key, job.attempts);
                Outcome::Failed {
                    error,
                    wait_ms: millis(wait),
                }
            }
            Err(Trouble::Away(error)) => {
                let overdue = job
                    .started_at
                    .map_or(0, |started| started.saturating_sub(job.wanted_at));
                let wait = backoff::while_away(overdue, rand::random());
                log::warn!(job = job.id; "Job {} {} waits {wait:?} for a service: {error}", job.kind, job.key);
                Outcome::Away {
                    error,
                    wait_ms: millis(wait),
                }
            }
        };
        metrics.ended(self.leased.kind, &outcome, self.started.elapsed());
        Some(outcome)
    }

    /// The lease is another worker's: this one must not take another step.
    pub(super) fn lose(&self, metrics: &JobMetrics) {
        self.hold.lose();
        self.task.abort();
        metrics.lost.inc();
        metrics.running.dec();
        log::warn!(job = self.leased.job.id; "Job {} {} was taken by another worker", self.leased.job.kind, self.leased.job.key);
    }

    pub(super) fn stop(&self) {
        self.hold.lose();
        self.task.abort();
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
