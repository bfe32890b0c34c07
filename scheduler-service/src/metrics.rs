//! How many jobs ended how, and how long they took.

use std::time::Duration;

use common::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::job::Kind;
use crate::ops::Outcome;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndLabels {
    kind: &'static str,
    /// `done`, `cancelled`, `failed` (one attempt), `away`, `given_back` or `postponed`.
    outcome: &'static str,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct JobMetrics {
    ended: Family<EndLabels, Counter>,
    /// Leases that went to another worker while the job ran here.
    pub lost: Counter,
    pub running: Gauge,
    duration: Histogram,
}

impl JobMetrics {
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let jobs = JobMetrics {
            ended: Family::default(),
            lost: Counter::default(),
            running: Gauge::default(),
            // 1 ms to 33 min.
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 22)),
        };
        metrics.register(|registry| {
            registry.register("jobs_ended", "Attempts that ended", jobs.ended.clone());
            registry.register(
                "jobs_lost",
                "Leases that were lost while the job ran",
                jobs.lost.clone(),
            );
            registry.register("jobs_running", "Jobs that run now", jobs.running.clone());
            registry.register(
                "jobs_duration_seconds",
                "Seconds from lease to end",
                jobs.duration.clone(),
            );
        });
        jobs
    }

    pub(crate) fn ended(&self, kind: Kind, outcome: &Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Done(_) => "done",
            Outcome::Cancelled(_) => "cancelled",
            Outcome::Failed { .. } => "failed",
            Outcome::Away { .. } => "away",
            Outcome::GivenBack => "given_back",
            Outcome::Postponed(_) => "postponed",
        };
        self.ended
            .get_or_create(&EndLabels {
                kind: kind.name(),
                outcome,
            })
            .inc();
        self.duration.observe(took.as_secs_f64());
        self.running.dec();
    }
}
