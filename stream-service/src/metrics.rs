//! What stream-service counts. No labels but the names of our own limits: users must not be able to make series.

use crate::limit::refusals::Refusals;
use common::metrics::Metrics;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::{ops::Deref, sync::Arc};

/// Clones are one pointer: every stream has one.
#[derive(Clone, Default)]
pub struct StreamMetrics(Arc<Counters>);

impl Deref for StreamMetrics {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0
    }
}

#[derive(Default)]
pub struct Counters {
    pub uploads_stored: Counter,
    pub uploads_failed: Counter,
    pub received_bytes: Counter,
    pub pool_writes: Counter,
    pub sent_bytes: Counter,
    pub relayed_bytes: Counter,
    pub streams: Gauge,
    pub scrubbed_objects: Counter,
    pub scrubbed_bytes: Counter,
    pub damaged_objects: Gauge,
}

impl StreamMetrics {
    pub fn register(&self, metrics: &Metrics, refusals: &Refusals) {
        metrics.register(|registry| {
            let stream = registry.sub_registry_with_prefix("stream");
            stream.register(
                "uploads_stored",
                "Uploads that became live",
                self.uploads_stored.clone(),
            );
            stream.register(
                "uploads_failed",
                "Uploads that left nothing",
                self.uploads_failed.clone(),
            );
            stream.register(
                "received_bytes",
                "Bytes of uploads received",
                self.received_bytes.clone(),
            );
            stream.register(
                "upload_pool_writes",
                "Writes of uploads that left their worker: for a slow disk, or to begin write-back",
                self.pool_writes.clone(),
            );
            stream.register(
                "sent_bytes",
                "Bytes of media given to connections",
                self.sent_bytes.clone(),
            );
            stream.register(
                "relayed_bytes",
                "Of them, bytes that the kernel moved from the store's connection to the viewer's",
                self.relayed_bytes.clone(),
            );
            stream.register(
                "refused",
                "Requests refused, and streams ended, by a limit",
                refusals.counts(),
            );
            stream.register("streams", "Media responses being sent", self.streams.clone());
            stream.register(
                "scrubbed_objects",
                "Stored objects that the scrub has read",
                self.scrubbed_objects.clone(),
            );
            stream.register(
                "scrubbed_bytes",
                "Bytes of stored objects that the scrub has read",
                self.scrubbed_bytes.clone(),
            );
            stream.register(
                "damaged_objects",
                "Stored objects that are known to be changed or unreadable, as of this process's last scrub",
                self.damaged_objects.clone(),
            );
        });
    }
}
