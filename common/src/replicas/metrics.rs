//! The copies on `/metrics`. They are told as they are when it is asked: a copy that is gone leaves nothing behind.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;

use super::{Replica, Replicas};
use crate::metrics::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// The key of the configuration.
    service: String,
    address: String,
}

/// All lists of copies of a process: each name of a metric stands once in an exposition.
#[derive(Debug, Clone)]
pub(crate) struct Shown(std::sync::Arc<std::sync::Mutex<Vec<Replicas>>>);

impl Shown {
    pub fn register(metrics: &Metrics) -> Self {
        let shown = Shown(std::sync::Arc::default());
        metrics.register(|registry| registry.register_collector(Box::new(shown.clone())));
        shown
    }

    pub fn add(&self, replicas: &Replicas) {
        self.lists().push(replicas.clone());
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, Vec<Replicas>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A copy, as a number.
type Value = fn(&Replica) -> i64;

const GAUGES: [(&str, &str, Value); 2] = [
    (
        "replica_up",
        "Whether a copy of a service is asked like the others (1) or left alone (0)",
        |replica| i64::from(replica.left_alone().is_none()),
    ),
    (
        "replica_requests",
        "Requests that a copy of a service is answering to this process now",
        |replica| i64::try_from(replica.asked()).unwrap_or(i64::MAX),
    ),
];

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let lists = self.lists();
        if lists.is_empty() {
            return Ok(());
        }
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for replicas in lists.iter() {
                for replica in replicas.all().iter() {
                    let labels = Labels {
                        service: replicas.0.key.clone(),
                        address: replica.authority.to_string(),
                    };
                    family.encode_family(&labels)?.encode_gauge(&value(replica))?;
                }
            }
        }
        Ok(())
    }
}
