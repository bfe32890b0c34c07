//! What became of the calls to each service, for the operator's graphs.

use common::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::upstreams::Kind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    service: &'static str,
    outcome: &'static str,
}

/// Counters of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Calls(Family<Labels, Counter>);

impl Calls {
    /// Counters that `/metrics` shows.
    pub fn new(metrics: &Metrics) -> Self {
        let calls = Calls::default();
        metrics.register(|registry| {
            registry.register(
                "proxy_calls",
                "Calls to services: answered, repeated, unreachable, lost, unusable, late or ended by the client",
                calls.0.clone(),
            );
        });
        calls
    }

    pub fn count(&self, kind: Kind, outcome: &'static str) {
        let labels = Labels {
            service: kind.name(),
            outcome,
        };
        self.0.get_or_create(&labels).inc();
    }
}
