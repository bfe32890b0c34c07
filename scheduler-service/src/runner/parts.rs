//! What the runner is made of, and how it runs.

use std::sync::Arc;
use std::time::Duration;

use common::bus::Bus;
use common::clients::Clients;
use common::config::SchedulerConfig;
use common::db::Db;
use common::drain::Drain;
use tokio::sync::Notify;

use crate::jobs::{PurgeCalls, scrub};
use crate::metrics::JobMetrics;
use crate::schedule::Schedule;

/// Wakes the runner of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Call it after a commit that made a job due soon.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.0.notified().await;
    }
}

/// What the runner is made of.
#[derive(Clone)]
pub struct Parts {
    pub db: Db,
    pub clients: Clients,
    pub purges: PurgeCalls,
    pub bus: Bus,
    pub drain: Drain,
    pub wake: Wake,
    pub metrics: JobMetrics,
}

/// How it runs.
#[derive(Debug, Clone)]
pub struct Limits {
    pub workers: usize,
    /// From lease to expiry; renewed three times in that.
    pub lease: Duration,
    pub poll: Duration,
    pub max_attempts: i64,
    pub orphan_grace: Duration,
    /// What one run of the scrub gets.
    pub scrub_run: Duration,
    pub schedule: Schedule,
    /// What running jobs get to end after the drain has begun.
    pub drain: Duration,
}

impl Limits {
    /// `drain` is what the process has for all of it.
    #[must_use]
    pub fn new(config: &SchedulerConfig, drain: Duration) -> Self {
        Limits {
            workers: config.workers,
            // A tenth less: the replacement of a dead worker has begun when the configured time is over.
            lease: config.lease.0.mul_f64(0.9),
            poll: config.poll.0,
            max_attempts: i64::from(config.attempts),
            orphan_grace: config.orphan_grace.0,
            scrub_run: scrub::RUN,
            schedule: Schedule::from(config),
            // The rest is for giving back.
            drain: drain.mul_f64(0.8),
        }
    }
}
