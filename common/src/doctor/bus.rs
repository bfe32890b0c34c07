//! The bus: something that is published comes back.

use std::time::{Duration, Instant};

use super::Finding;
use crate::bus::{Bus, Subject};
use crate::config::{Config, ConfigError};
use crate::ids::Id;
use crate::metrics::Metrics;

const KEY: &str = "bus.url";

const TEXT: &str = "sluice doctor";

/// Longest wait for what was published.
const WITHIN: Duration = Duration::from_secs(5);

/// Everything about `bus.*`. What is published concerns a user that does not exist.
pub async fn bus(config: &Config) -> Vec<Finding> {
    let failed = |ConfigError { key, problem }: ConfigError| {
        let instead = "start the server, write its address and credentials (nats://USER:PASSWORD@HOST:4222), or do as the message says";
        vec![Finding::fail(key, "reached", problem, instead)]
    };
    let ours = match open(config).await {
        Ok(bus) => bus,
        Err(error) => return failed(error),
    };
    // Within one connection a message would go from hand to hand: one listens, another one speaks.
    let theirs = match ours.is_shared() {
        false => ours.clone(),
        true => match open(config).await {
            Ok(bus) => bus,
            Err(error) => return failed(error),
        },
    };
    let mut findings = vec![round_trip(&ours, &theirs).await];
    if super::secrets::apart(config) && !ours.is_shared() {
        findings.push(Finding::warn(
            KEY,
            "between processes",
            "is in each process alone: services that run apart hear of each other by polling, up to 5 s late",
            "write nats://HOST:4222",
        ));
    }
    findings
}

async fn open(config: &Config) -> Result<Bus, ConfigError> {
    Bus::open(&config.bus, &Metrics::new()).await
}

async fn round_trip(ours: &Bus, theirs: &Bus) -> Finding {
    const CHECK: &str = "publish and receive";
    let subject = Subject::User(Id::now());
    let mut subscription = ours.subscribe(&subject);
    subscription.established().await;
    let began = Instant::now();
    let heard = tokio::time::timeout(WITHIN, async {
        theirs.publish(&subject, &TEXT);
        while let Some(message) = subscription.next().await {
            if message.decode::<String>().as_deref() == Some(TEXT) {
                return true;
            }
        }
        false
    });
    if heard.await == Ok(true) {
        let took = began.elapsed().as_millis();
        return Finding::ok(KEY, CHECK, format!("came back in {took} ms"));
    }
    Finding::fail(
        KEY,
        CHECK,
        format!("nothing came back within {WITHIN:?}"),
        "let this user publish and subscribe to everything below bus.prefix; the server's log names what it refuses",
    )
}
