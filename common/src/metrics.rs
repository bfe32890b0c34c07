//! Prometheus metrics of a process. Each module registers its own under its service's prefix; labels come from fixed
//! sets, never from users.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use actix_web::http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The registry of this process and the metrics of every HTTP request. A clone is one pointer: every request has one.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

pub struct Shared {
    registry: Mutex<Registry>,
    pub http: HttpMetrics,
}

impl Deref for Metrics {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Labels of one kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: &'static str,
}

/// Methods with a label of their own; a client may invent others.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const OTHER: &str = "other";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Requests by method and class of status. Every request is counted, so each counter is looked up once.
#[derive(Default)]
struct Requests {
    family: Family<RequestLabels, Counter>,
    counters: [[OnceLock<Counter>; CLASSES.len()]; METHODS.len() + 1],
}

impl Requests {
    fn count(&self, method: &str, status: u16) {
        let row = METHODS
            .iter()
            .position(|known| *known == method)
            .unwrap_or(METHODS.len());
        let column = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let counter = self.counters[row][column].get_or_init(|| {
            let method = METHODS.get(row).unwrap_or(&OTHER);
            let status = CLASSES[column];
            self.family.get_or_create(&RequestLabels { method, status }).clone()
        });
        counter.inc();
    }
}

pub struct HttpMetrics {
    requests: Requests,
    /// Those of them that the framework has not seen (see `serve::fast`).
    pub plain: Counter,
    pub in_flight: Gauge,
    /// Seconds until the response head.
    duration: Histogram,
    /// Must stay 0 (see `slot`).
    pub slot_violations: Counter,
}

impl HttpMetrics {
    /// One request, `within` which its head was ready.
    pub fn answered(&self, method: &Method, status: u16, within: Duration) {
        self.requests.count(method.as_str(), status);
        self.duration.observe(within.as_secs_f64());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Metrics(Arc::new(Shared {
            registry: Mutex::new(Registry::with_prefix("sluice")),
            http: HttpMetrics {
                requests: Requests::default(),
                plain: Counter::default(),
                in_flight: Gauge::default(),
                // 0.5 ms to 8 s.
                duration: Histogram::new(exponential_buckets(0.0005, 2.0, 15)),
                slot_violations: Counter::default(),
            },
        }));
        metrics.register(|registry| {
            registry.register(
                "http_requests",
                "Requests answered",
                metrics.http.requests.family.clone(),
            );
            registry.register(
                "http_plain_requests",
                "Requests answered before the HTTP framework (server.fast_path)",
                metrics.http.plain.clone(),
            );
            registry.register(
                "http_in_flight",
                "Requests whose body is not sent yet",
                metrics.http.in_flight.clone(),
            );
            registry.register(
                "http_duration_seconds",
                "Seconds until the response head",
                metrics.http.duration.clone(),
            );
            registry.register(
                "http_slot_violations",
                "Connections closed because the framework broke what the slot transport relies on",
                metrics.http.slot_violations.clone(),
            );
        });
        metrics
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds metrics to this process.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing into a String can not fail");
        text
    }
}
