//! The bus: one suite over the local one and over NATS, and what only a broker can do.

mod outages;
mod refusals;
mod suite;

use std::time::Duration;

use common::bus::{Bus, Message, Subject, Subscription};
use common::config::BusConfig;
use common::metrics::Metrics;
use common::testing::Broker;

/// Longest wait of a test for something that is to come.
const SOON: Duration = Duration::from_secs(30);

/// A process' bus, and what it counts.
struct Node {
    bus: Bus,
    metrics: Metrics,
}

impl Node {
    /// Connected to `broker`; it must let us in.
    async fn on(broker: &Broker) -> Node {
        Node::with(&settings(&broker.url())).await
    }

    async fn with(settings: &BusConfig) -> Node {
        let metrics = Metrics::new();
        let bus = Bus::open(settings, &metrics).await.unwrap();
        Node { bus, metrics }
    }

    /// A listener that hears everybody.
    async fn listen(&self, subject: &Subject) -> Subscription {
        let mut listener = self.bus.subscribe(subject);
        listener.established().await;
        listener
    }

    /// The metric of this name; 0 while there is none.
    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.map_or(0, |value| value.parse().unwrap())
    }

    async fn is_back(&self) {
        common::testing::eventually("the broker is back", SOON, || async {
            matches!(self.bus.state(), Some(Ok(()))).then_some(())
        })
        .await;
    }

    async fn is_away(&self) {
        common::testing::eventually("the broker is away", SOON, || async {
            matches!(self.bus.state(), Some(Err(_))).then_some(())
        })
        .await;
    }
}

fn settings(url: &str) -> BusConfig {
    BusConfig {
        url: url.into(),
        ..BusConfig::default()
    }
}

/// The next message, which is to come.
async fn next(listener: &mut Subscription) -> Message {
    let next = tokio::time::timeout(SOON, listener.next()).await;
    next.expect("a message comes").expect("the bus is there")
}

/// The next number that comes; what was missed is left out.
async fn number(listener: &mut Subscription) -> u64 {
    loop {
        match next(listener).await {
            Message::Missed(_) => {}
            message => return message.decode().expect("a number"),
        }
    }
}
