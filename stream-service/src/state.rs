//! What the handlers and loops of a stream-service share.

use crate::{
    announce::Announcements,
    entries::Entries,
    limit::{
        bucket::Quota,
        client::ClientKey,
        conn::{ConnLimiter, ConnLimits},
        rate::RateLimiter,
    },
    media::registry::Streams,
    metrics::StreamMetrics,
    store::Store,
    upload::registry::Registry,
};
use actix_web::dev::RequestHead;
use common::{
    config::{ConfigError, StreamConfig},
    db::Db,
    error::{ApiError, Code},
    grant::{Grant, GrantError},
    ids::Id,
    net::TrustedProxies,
    outbox::Relay,
    service::Platform,
    time::Timestamp,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

/// Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub platform: Platform,
    pub db: Db,
    pub store: Store,
    pub relay: Relay,
    pub announced: Announcements,
    pub entries: Entries,
    pub uploads: Registry,
    pub streams: Streams,
    pub limits: Limits,
    pub metrics: StreamMetrics,
    /// This process among those that share a ledger.
    pub instance: Id,
    pub proxies: Arc<TrustedProxies>,
    pub max_upload: u64,
    /// Room that uploads leave on the file system of the store.
    pub min_free: u64,
    pub stall_timeout: Duration,
    /// Milliseconds after which a write is one that the disk held up: the upload leaves the worker for the blocking pool.
    pub disk_patience: Arc<AtomicU64>,
    /// Nothing younger is an orphan.
    pub orphan_grace: Duration,
}

/// The limits in force. Each can be set anew while the service runs. Clones share them.
#[derive(Clone)]
pub struct Limits {
    pub rate: Arc<RateLimiter<ClientKey>>,
    pub streams: ConnLimiter,
    pub uploads: ConnLimiter,
    /// Bytes per second of one stream; 0 is as fast as it goes.
    pub pace: Arc<AtomicU64>,
}

impl Limits {
    pub fn new(config: &StreamConfig) -> Self {
        let streams = ConnLimits {
            total: config.max_streams,
            per_client: config.max_streams_per_client,
        };
        let uploads = ConnLimits {
            total: config.max_uploads,
            per_client: config.max_uploads_per_user,
        };
        Self {
            rate: Arc::new(RateLimiter::new(
                Quota::new(config.rate, config.burst),
                config.max_clients,
            )),
            streams: ConnLimiter::new(streams),
            uploads: ConnLimiter::new(uploads),
            pace: Arc::new(AtomicU64::new(config.pace.0)),
        }
    }
}

impl State {
    /// The client's address, through trusted proxies only.
    pub fn address(&self, request: &RequestHead) -> IpAddr {
        let peer = request
            .peer_addr
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        self.proxies.client(peer, &request.headers)
    }

    /// Verifies a grant, and says whom the limits count: its user, else the address.
    pub fn identify(&self, request: &RequestHead, grant: Option<&str>) -> (Result<Grant, ApiError>, ClientKey) {
        let grant = match grant {
            Some(text) => self
                .platform
                .grants
                .verify(text, Timestamp::now())
                .map_err(refused_grant),
            None => Err(ApiError::new(
                Code::Unauthenticated,
                "A grant is needed, as `Authorization: Bearer <grant>`.",
            )),
        };
        let user = grant.as_ref().ok().and_then(|grant| grant.user.as_ref());
        let client = ClientKey::of(user, self.address(request));
        (grant, client)
    }
}

pub fn trusted_proxies(texts: &[String]) -> Result<TrustedProxies, ConfigError> {
    TrustedProxies::parse(texts).map_err(|error| ConfigError::new("server.trusted_proxies", error))
}

fn refused_grant(error: GrantError) -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        match error {
            GrantError::Invalid => "This grant is not one of ours.",
            GrantError::Expired => "This grant has expired; ask for a new one.",
        },
    )
}
