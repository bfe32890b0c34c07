//! The reverse proxy of scaled mode: routes by path, re-serialises both messages (promise 10), streams both bodies with
//! bounded buffers, and gives every phase a deadline (promise 6).
//!
//! A client that leaves ends the call behind it; an upstream that dies in the middle of a body cuts the client's
//! connection, so that half an answer never looks like a whole one.

mod body;
mod client;
mod direct;
mod exchange;
mod headers;
mod metrics;
mod relay;
mod spliced;
mod streamed;
mod upstreams;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::http::{ConnectionType, Method, Version, header};
use actix_web::{HttpRequest, HttpResponse, web};
use common::config::{Config, ConfigError};
use common::error::{ApiError, Code};
use common::health::Check;
use common::net::TrustedProxies;
use common::plain::{Answer, Body, PlainRequest};
use common::replicas::Replicas;
use common::serve::Connection;
use common::service::Platform;
use common::slot::SlotHandle;

pub use direct::{DirectReads, serve_here};
pub use upstreams::{Kind, Upstreams, needed};

use crate::openapi::Fetched;
use crate::path;
use client::Client;
use exchange::Exchange;
use headers::Length;
use metrics::{Calls, Opened, Relays};
use spliced::{Inflow, Neighbours, Spliced};

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Service(Kind),
    /// stream-service's media.
    Media,
    Page,
}

impl Target {
    /// As at stream-service itself: a player that has said all it wants to say gets its bytes.
    fn outlasts_half_close(self) -> bool {
        self == Target::Media
    }
}

/// What the workers share.
#[derive(Clone)]
pub struct Proxy {
    upstreams: Arc<Upstreams>,
    settings: Settings,
    calls: Calls,
    relays: Relays,
    opened: Opened,
    neighbours: Neighbours,
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
    /// For the next byte of a client's body.
    stall: Duration,
}

impl Proxy {
    pub fn new(config: &Config, platform: &Platform) -> Result<Self, ConfigError> {
        let upstreams = Arc::new(Upstreams::new(&config.proxy)?);
        for kind in Kind::ALL {
            platform.watch(upstreams.of(kind));
        }
        let probes = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.proxy.connect_timeout.0)
            // Probes are rare, and asked from any worker: no connection is kept.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| ConfigError::new("proxy", error))?;
        let trusted = TrustedProxies::parse(&config.server.trusted_proxies)?;
        let documents = Fetched::new(probes.clone(), upstreams.clone(), config.server.public_url.clone());
        Ok(Proxy {
            upstreams,
            settings: Settings {
                trusted,
                https: config.server.public_url.starts_with("https://"),
                connect: config.proxy.connect_timeout.0,
                wait: config.proxy.response_timeout.0,
                stall: config.server.stall_timeout.0,
            },
            calls: Calls::new(&platform.metrics),
            relays: Relays::new(&platform.metrics),
            opened: Opened::new(&platform.metrics),
            neighbours: Neighbours::new(&config.server.socket_dir, probes.clone()),
            probes,
            documents,
        })
    }

    /// Ready when at least one replica of each kind is.
    pub fn checks(&self) -> Vec<(&'static str, Check)> {
        upstreams::checks(&self.upstreams, &self.probes)
    }

    /// The copies of api-service, whose contract the gateway's functions call too.
    pub fn api(&self) -> Replicas {
        self.upstreams.of(Kind::Api).clone()
    }

    pub fn documents(&self) -> Fetched {
        self.documents.clone()
    }

    /// The proxy of one worker thread.
    pub fn worker(&self) -> Worker {
        let connector = client::connector(self.settings.connect);
        Worker {
            client: Client::new(connector.clone()),
            spliced: Spliced::new(
                connector,
                self.neighbours.clone(),
                self.opened.clone(),
                self.relays.clone(),
            ),
            upstreams: self.upstreams.clone(),
            settings: self.settings.clone(),
            calls: self.calls.clone(),
        }
    }
}

/// What follows the head of a request.
enum Incoming {
    /// Through the framework; what it did not see has nothing.
    Payload(Option<web::Payload>),
    /// Still in the socket.
    Held(Inflow),
}

pub struct Worker {
    client: Client,
    spliced: Spliced,
    upstreams: Arc<Upstreams>,
    settings: Settings,
    calls: Calls,
}

impl Worker {
    /// Passes `request` on to the service that owns its path, and its answer back; `None` when that is a page.
    pub async fn serve(&self, request: &HttpRequest, payload: web::Payload) -> Result<Option<HttpResponse>, ApiError> {
        let plain = PlainRequest::from(request.head());
        let target = route(&plain)?;
        if target == Target::Page {
            return Ok(None);
        }
        let (connection, slot) = (request.conn_data::<Connection>(), request.conn_data::<SlotHandle>());
        let length = headers::length(plain.fields)?;
        if let Some(connection) = connection
            && target.outlasts_half_close()
            && length == Length::None
        {
            connection.outlast_half_close();
        }
        // Its answer may be moved, too.
        let held = slot.and_then(|_| self.spliced.hold(request, length, self.settings.stall));
        let body = held.map_or(Incoming::Payload(Some(payload)), Incoming::Held);
        let answer = self.pass_on(target, &plain, slot.is_some(), body).await?;
        Ok(answer.map(|answer| {
            let unknown = matches!(answer.body, Body::Copied { length: None, .. });
            let mut response = answer.into_response(slot);
            if unknown && plain.version < Version::HTTP_11 {
                // HTTP/1.0 has no chunks: the end of the connection ends the body.
                response.head_mut().no_chunking(true);
                response.head_mut().set_connection_type(ConnectionType::Close);
            }
            response
        }))
    }

    /// What is only read goes without copying, if the client's connection `moves` bodies, and so does a body that it holds.
    async fn pass_on(
        &self,
        target: Target,
        request: &PlainRequest<'_>,
        moves: bool,
        body: Incoming,
    ) -> Result<Option<Answer>, ApiError> {
        let kind = match target {
            Target::Page => return Ok(None),
            Target::Service(kind) => kind,
            Target::Media => Kind::Stream,
        };
        let head = headers::outgoing(request, &self.settings.trusted, self.settings.https)?;
        let exchange = Exchange {
            kind,
            upstreams: self.upstreams.of(kind),
            calls: &self.calls,
            wait: self.settings.wait,
        };
        let answer = match body {
            Incoming::Held(body) => self.spliced.run(&exchange, &head, Some(body)).await,
            _ if moves && Spliced::carries(&head) => self.spliced.run(&exchange, &head, None).await,
            Incoming::Payload(payload) => streamed::run(&exchange, &self.client, &head, payload).await,
        };
        answer.map(Some)
    }
}

/// Where `request` goes, or why nowhere.
fn route(request: &PlainRequest<'_>) -> Result<Target, ApiError> {
    if matches!(*request.method, Method::CONNECT | Method::TRACE) {
        let refused = ApiError::new(Code::MethodNotAllowed, "The edge is no tunnel and no mirror.");
        let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        return Err(refused.header(header::ALLOW, allow));
    }
    path::check_query(request.query)?;
    Ok(target(&path::segments(request.path)?))
}

/// The service that owns a path, by its decoded segments. `/internal` is owned by none: it is not reachable from here.
fn target(segments: &[Cow<'_, [u8]>]) -> Target {
    // No service asks for more of them.
    let mut names: [&[u8]; 3] = [&[]; 3];
    for (name, segment) in names.iter_mut().zip(segments) {
        *name = segment;
    }
    match &names[..segments.len().min(3)] {
        [b"api", b"v1", b"jobs", ..] => Target::Service(Kind::Scheduler),
        [b"api", b"v1", b"limits", ..] => Target::Service(Kind::Stream),
        [b"api", b"v1", ..] => Target::Service(Kind::Api),
        [b"uploads", ..] => Target::Service(Kind::Stream),
        [b"media", ..] => Target::Media,
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
        check("/api/v1/limits", service(Kind::Stream));
        check("/api/v1/limitsx", service(Kind::Api));
        check("/api/v2/videos", Target::Page);
        check("/uploads", service(Kind::Stream));
        check("/uploads/", service(Kind::Stream));
        check("/uploadsx", Target::Page);
        check("/media/g/v/file", Target::Media);
        check("/m%65dia/g/v/file", Target::Media);
        check("/internal/tokens/parse", Target::Page);
        check("/%69nternal/tokens/parse", Target::Page);
        check("/API/v1/videos", Target::Page);
        check("/ws", Target::Page);
    }
}
