//! The services behind the edge and their copies; whether they are ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::config::{ConfigError, ProxyConfig};
use common::health::Check;
use common::replicas::Replicas;
use futures_util::FutureExt;

/// The services that the edge passes requests to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Api,
    Stream,
    Scheduler,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Api, Kind::Stream, Kind::Scheduler];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Api => "api",
            Kind::Stream => "stream",
            Kind::Scheduler => "scheduler",
        }
    }

    /// Where the service serves its own OpenAPI document, on its public listener.
    pub fn document(self) -> &'static str {
        match self {
            Kind::Api => "/api/v1/openapi.json",
            Kind::Stream => "/uploads/openapi.json",
            Kind::Scheduler => "/api/v1/jobs/openapi.json",
        }
    }
}

/// All of them.
pub struct Upstreams([Replicas; 3]);

impl Upstreams {
    pub fn new(config: &ProxyConfig) -> Result<Self, ConfigError> {
        Ok(Upstreams([
            needed("proxy.api", &config.api)?,
            needed("proxy.stream", &config.stream)?,
            needed("proxy.scheduler", &config.scheduler)?,
        ]))
    }

    pub fn of(&self, kind: Kind) -> &Replicas {
        &self.0[kind as usize]
    }
}

/// The copies of a service that the edge can't do without.
pub fn needed(key: &str, bases: &[String]) -> Result<Replicas, ConfigError> {
    if bases.is_empty() {
        let problem = "no address is given; the edge needs at least one, like \"http://host:port\"";
        return Err(ConfigError::new(key, problem));
    }
    Replicas::new(key, bases)
}

/// One check for each service: any copy that says it is ready will do, and will have done. All edges lose a service at the same
/// moment: a balancer before them that left all of them alone would make one service's outage everybody's. What can't be
/// served meanwhile is refused by the edge, and `sluice_replica_up` tells who is away.
pub fn checks(upstreams: &Arc<Upstreams>, http: &reqwest::Client) -> Vec<(&'static str, Check)> {
    let check = |kind: Kind| {
        let (upstreams, http) = (upstreams.clone(), http.clone());
        let was_ready = Arc::new(AtomicBool::new(false));
        let check: Check = Arc::new(move || {
            let (upstreams, http, was_ready) = (upstreams.clone(), http.clone(), was_ready.clone());
            async move {
                if !was_ready.load(Ordering::Relaxed) {
                    upstreams.of(kind).any_ready(&http).await?;
                    was_ready.store(true, Ordering::Relaxed);
                }
                Ok(())
            }
            .boxed()
        });
        (kind.name(), check)
    };
    Kind::ALL.map(check).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_needed() {
        let error = needed("proxy.api", &[]).err().unwrap();
        assert!(error.to_string().starts_with("proxy.api: no address"), "{error}");
    }
}
