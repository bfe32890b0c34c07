//! The reverse proxy of scaled mode: routes by path, re-serialises both messages (promise 10), streams both bodies with
//! bounded buffers, and gives every phase a deadline (promise 6).
//!
//! A client that leaves ends the call behind it; an upstream that dies in the middle of a body cuts the client's
//! connection, so that half an answer never looks like a whole one.

mod body;
mod client;
mod connect;
mod exchange;
mod headers;
mod metrics;
mod relay;
mod upstreams;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use common::config::{Config, ConfigError};
use common::error::{ApiError, Code};
use common::health::Check;
use common::metrics::Metrics;
use common::net::TrustedProxies;

pub use upstreams::{Kind, Replica, Replicas, Upstreams};

use crate::openapi::Fetched;
use crate::path;
use client::Client;
use exchange::Exchange;
use metrics::Calls;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Service(Kind),
    Page,
}

/// What the workers share.
#[derive(Clone)]
pub struct Proxy {
    upstreams: Arc<Upstreams>,
    settings: Settings,
    calls: Calls,
    probes: reqwest::Client,
    documents: Fetched,
}

/// The configuration of one worker's proxy.
#[derive(Clone)]
struct Settings {
    trusted: TrustedProxies,
    /// The site is reached by HTTPS, whatever the listener speaks.
    https: bool,
    connect: Duration,
    wait: Duration,
}

impl Proxy {
    pub fn new(config: &Config, metrics: &Metrics) -> Result<Self, ConfigError> {
        let upstreams = Arc::new(Upstreams::new(&config.proxy)?);
        let probes = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.proxy.connect_timeout.0)
            // Probes are rare, and asked from any worker: no connection is kept.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| ConfigError::new("proxy", error))?;
        let trusted = TrustedProxies::parse(&config.server.trusted_proxies)
            .map_err(|error| ConfigError::new("server.trusted_proxies", error))?;
        let documents = Fetched::new(probes.clone(), upstreams.clone(), config.server.public_url.clone());
        Ok(Proxy {
            upstreams,
            settings: Settings {
                trusted,
                https: config.server.public_url.starts_with("https://"),
                connect: config.proxy.connect_timeout.0,
                wait: config.proxy.response_timeout.0,
            },
            calls: Calls::new(metrics),
            probes,
            documents,
        })
    }

    /// Ready when at least one replica of each kind is.
    pub fn checks(&self) -> Vec<(&'static str, Check)> {
        upstreams::checks(&self.upstreams, &self.probes)
    }

    pub fn documents(&self) -> Fetched {
        self.documents.clone()
    }

    /// The proxy of one worker thread.
    pub fn worker(&self) -> Worker {
        Worker {
            client: Client::new(self.settings.connect),
            upstreams: self.upstreams.clone(),
            settings: self.settings.clone(),
            calls: self.calls.clone(),
        }
    }
}

pub struct Worker {
    client: Client,
    upstreams: Arc<Upstreams>,
    settings: Settings,
    calls: Calls,
}

impl Worker {
    /// Where `request` goes, or why nowhere.
    pub fn route(&self, request: &HttpRequest) -> Result<Target, ApiError> {
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            let refused = ApiError::new(Code::MethodNotAllowed, "The edge is no tunnel and no mirror.");
            let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            return Err(refused.header(header::ALLOW, allow));
        }
        path::check_query(request.uri().query())?;
        Ok(target(&path::segments(request.uri().path())?))
    }

    /// Passes `request` on to a service of `kind` and its answer back.
    pub async fn forward(
        &self,
        kind: Kind,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<HttpResponse, ApiError> {
        let exchange = Exchange {
            kind,
            calls: &self.calls,
            client: &self.client,
            upstreams: self.upstreams.of(kind),
            wait: self.settings.wait,
        };
        let head = headers::outgoing(request, &self.settings.trusted, self.settings.https)?;
        exchange.run(head, payload).await
    }
}

/// The service that owns a path, by its decoded segments. `/internal` is owned by none: it is not reachable from here.
fn target(segments: &[Vec<u8>]) -> Target {
    let names: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
    match names.as_slice() {
        [b"api", b"v1", b"jobs", ..] => Target::Service(Kind::Scheduler),
        [b"api", b"v1", ..] => Target::Service(Kind::Api),
        [b"uploads" | b"media", ..] => Target::Service(Kind::Stream),
        _ => Target::Page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_service() {
        let check =
            |path: &str, expected: Target| assert_eq!(target(&path::segments(path).unwrap()), expected, "{path}");
        let service = Target::Service;
        check("/", Target::Page);
        check("/api/v1/videos", service(Kind::Api));
        check("/api/v1", service(Kind::Api));
        check("/api/v1/jobs", service(Kind::Scheduler));
        check("/api/v1/jobs/summary", service(Kind::Scheduler));
        check("/api/v1/j%6fbs", service(Kind::Scheduler));
        check("/api/v1/jobsx", service(Kind::Api));
        check("/api/v2/videos", Target::Page);
        check("/uploads", service(Kind::Stream));
        check("/uploads/", service(Kind::Stream));
        check("/uploadsx", Target::Page);
        check("/media/g/v/file", service(Kind::Stream));
        check("/internal/tokens/parse", Target::Page);
        check("/%69nternal/tokens/parse", Target::Page);
        check("/API/v1/videos", Target::Page);
        check("/ws", Target::Page);
    }
}
