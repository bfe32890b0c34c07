//! What is counted of the connection to the broker.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::Metrics;

/// Why a message did not go out: `queue` (too many waited), `size` (larger than the broker takes).
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

pub struct BusMetrics {
    pub connected: Gauge,
    pub reconnects: Counter,
    pub subscriptions: Gauge,
    pub published: Counter,
    pub received: Counter,
    lost: Family<Reason, Counter>,
}

impl BusMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let bus = BusMetrics {
            connected: Gauge::default(),
            reconnects: Counter::default(),
            subscriptions: Gauge::default(),
            published: Counter::default(),
            received: Counter::default(),
            lost: Family::default(),
        };
        metrics.register(|registry| {
            registry.register("bus_connected", "1 while the broker is there", bus.connected.clone());
            registry.register(
                "bus_reconnects",
                "Connections to the broker after the first",
                bus.reconnects.clone(),
            );
            registry.register(
                "bus_subscriptions",
                "Subjects that the broker is asked for",
                bus.subscriptions.clone(),
            );
            registry.register("bus_published", "Messages of this process", bus.published.clone());
            registry.register("bus_received", "Messages of other processes", bus.received.clone());
            registry.register(
                "bus_lost",
                "Messages of this process that others did not get",
                bus.lost.clone(),
            );
        });
        bus
    }

    pub fn lost_in_queue(&self, count: u64) {
        self.lost.get_or_create(&Reason { reason: "queue" }).inc_by(count);
    }

    pub fn lost_by_size(&self) {
        self.lost.get_or_create(&Reason { reason: "size" }).inc();
    }
}
