//! What the gateway counts.

use common::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Clone, Default)]
pub struct GatewayMetrics {
    pub connections: Gauge,
    pub rooms: Gauge,
    /// Entries of rooms × members they were sent to.
    pub deliveries: Counter,
    pub calls: Counter,
    pub too_slow: Counter,
    pub kicked: Counter,
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
            registry.register("gateway_too_slow", "Sockets closed with 4408", own.too_slow.clone());
            registry.register("gateway_kicked", "Sockets closed with 4401", own.kicked.clone());
        });
        own
    }
}
