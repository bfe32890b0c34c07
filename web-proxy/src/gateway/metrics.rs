//! What the gateway counts.

use common::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::frame::CloseCode;

/// RFC 6455 section 7.4.1: the connection ended without a close frame of ours.
const ABNORMAL: u16 = 1006;

/// Why sockets ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClosedLabels {
    pub code: u16,
}

#[derive(Clone, Default)]
pub struct GatewayMetrics {
    pub connections: Gauge,
    pub rooms: Gauge,
    /// Entries of rooms × members they were sent to.
    pub deliveries: Counter,
    pub calls: Counter,
    /// Sockets that ended, by the code that we said; 1006 without one.
    pub closed: Family<ClosedLabels, Counter>,
}

impl GatewayMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let own = GatewayMetrics::default();
        metrics.register(|registry| {
            registry.register("gateway_connections", "Open sockets", own.connections.clone());
            registry.register(
                "gateway_rooms",
                "Open rooms, counted once per thread",
                own.rooms.clone(),
            );
            registry.register(
                "gateway_deliveries",
                "Room entries sent, per member",
                own.deliveries.clone(),
            );
            registry.register("gateway_calls", "Functions run", own.calls.clone());
            registry.register(
                "gateway_closed",
                "Sockets that ended, by close code",
                own.closed.clone(),
            );
        });
        own
    }

    /// A socket has ended.
    pub fn closed(&self, code: Option<CloseCode>) {
        let code = code.map_or(ABNORMAL, u16::from);
        self.closed.get_or_create(&ClosedLabels { code }).inc();
    }
}
