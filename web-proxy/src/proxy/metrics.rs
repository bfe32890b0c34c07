//! What became of the calls to each service, for the operator's graphs.

use common::metrics::Metrics;
use common::relay::Line;
use common::replicas::Turn;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;

use super::upstreams::Kind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    service: &'static str,
    outcome: &'static str,
}

/// Counters of this process. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    all: Family<Labels, Counter>,
    /// Of them those of calls that were answered, which nearly all are, by [`Kind`].
    answered: [Counter; Kind::ALL.len()],
}

impl Default for Calls {
    fn default() -> Self {
        let all = Family::default();
        let answered = Kind::ALL.map(|kind| counter(&all, kind, "answered"));
        Calls { all, answered }
    }
}

fn counter(all: &Family<Labels, Counter>, kind: Kind, outcome: &'static str) -> Counter {
    let service = kind.name();
    all.get_or_create(&Labels { service, outcome }).clone()
}

impl Calls {
    /// Counters that `/metrics` shows.
    pub fn new(metrics: &Metrics) -> Self {
        let calls = Calls::default();
        metrics.register(|registry| {
            registry.register(
                "proxy_calls",
                "Calls to services: answered, repeated, unreachable, lost, unusable, late or ended by the client",
                calls.all.clone(),
            );
        });
        calls
    }

    pub fn answered(&self, kind: Kind) {
        self.answered[kind as usize].inc();
    }

    /// What else became of one.
    pub fn count(&self, kind: Kind, outcome: &'static str) {
        counter(&self.all, kind, outcome).inc();
    }
}

/// The way to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    Tcp,
    /// A socket of the same machine.
    Unix,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WayLabel {
    way: &'static str,
}

/// Connections that were opened for what is only read and for long uploads. Cheap to clone.
#[derive(Clone, Default)]
pub struct Opened(Family<WayLabel, Counter>);

impl Opened {
    /// A counter that `/metrics` shows.
    pub fn new(metrics: &Metrics) -> Self {
        let opened = Opened::default();
        metrics.register(|registry| {
            registry.register(
                "proxy_connections",
                "Connections opened to services for GET and long uploads: by TCP, or by a Unix socket of the same machine",
                opened.0.clone(),
            );
        });
        opened
    }

    /// One that was just opened.
    pub fn count(&self, way: Way, io: TcpStream) -> Line {
        let way = match way {
            Way::Tcp => "tcp",
            Way::Unix => "unix",
        };
        self.0.get_or_create(&WayLabel { way }).inc();
        Line::new(io)
    }
}

/// Bodies that the kernel moves. Cheap to clone.
#[derive(Clone, Default)]
pub struct Relays {
    running: Gauge,
    bytes: Counter,
    uploaded: Counter,
}

/// An answer whose body it moves; over when it is dropped.
pub struct Running {
    relays: Relays,
    /// The copy is busy with it.
    _turn: Turn,
}

impl Relays {
    /// Counters that `/metrics` shows.
    pub fn new(metrics: &Metrics) -> Self {
        let relays = Relays::default();
        metrics.register(|registry| {
            registry.register(
                "proxy_relays",
                "Answers that are relayed from socket to socket now",
                relays.running.clone(),
            );
            registry.register(
                "proxy_spliced_bytes",
                "Bytes taken from services without copying them",
                relays.bytes.clone(),
            );
            registry.register(
                "proxy_spliced_upload_bytes",
                "Bytes of uploads that the kernel moves to services, with what came together with their heads",
                relays.uploaded.clone(),
            );
        });
        relays
    }

    /// Bytes of an upload.
    pub fn took(&self, bytes: u64) {
        self.uploaded.inc_by(bytes);
    }

    pub fn begin(&self, turn: Turn) -> Running {
        self.running.inc();
        Running {
            relays: self.clone(),
            _turn: turn,
        }
    }
}

impl Running {
    pub fn moved(&self, bytes: u64) {
        self.relays.bytes.inc_by(bytes);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.relays.running.dec();
    }
}
