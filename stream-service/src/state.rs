//! What the handlers and loops of a stream-service share.

use crate::{
    announce::Announcements,
    entries::Entries,
    grants::Grants,
    limit::{
        bucket::Quota,
        client::ClientKey,
        conn::{ConnLimiter, ConnLimits},
        egress::{Budgets, Egress},
        rate::RateLimiter,
        refusals::Refusals,
        settings::{Change, InForce, Overrides, Setting, Settings, Values},
        told::Policies,
    },
    media::registry::Streams,
    metrics::StreamMetrics,
    store::Store,
    upload::{registry::Registry, writer::Disk},
};
use actix_web::http::header::HeaderValue;
use common::{
    config::StreamConfig,
    db::Db,
    error::{ApiError, Code},
    grant::{Grant, GrantError},
    http::CookieName,
    ids::Id,
    net::TrustedProxies,
    outbox::Relay,
    plain::PlainRequest,
    service::Platform,
    time::Timestamp,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;

/// Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub platform: Platform,
    pub db: Db,
    pub store: Store,
    pub relay: Relay,
    pub announced: Announcements,
    pub entries: Entries,
    pub grants: Grants,
    pub uploads: Registry,
    pub streams: Streams,
    pub limits: Limits,
    pub metrics: StreamMetrics,
    /// This process among those that share a ledger, and when it began.
    pub instance: Id,
    pub started: Timestamp,
    pub proxies: Arc<TrustedProxies>,
    /// Where operators may have their session token.
    pub cookie: CookieName,
    pub max_upload: u64,
    /// Room that uploads leave on the file system of the store.
    pub min_free: u64,
    pub stall_timeout: Duration,
    /// Whether uploads are written where they come in or on the blocking pool.
    pub disk: Arc<Disk>,
    /// How long an unfinished upload waits for its next request.
    pub upload_expiry: Duration,
    /// Nothing younger is an orphan.
    pub orphan_grace: Duration,
    pub scrub: crate::ops::scrub::Settings,
    /// Held by the one call that reads.
    pub scrubbing: Arc<tokio::sync::Mutex<()>>,
}

/// The limits in force. Each can be set anew while the service runs. Clones share them.
#[derive(Clone)]
pub struct Limits {
    pub rate: Arc<RateLimiter<ClientKey>>,
    pub streams: ConnLimiter,
    pub uploads: ConnLimiter,
    /// Bytes per second of one stream; 0 is as fast as it goes.
    pub pace: Arc<AtomicU64>,
    pub egress: Egress,
    pub refusals: Refusals,
    settings: Settings,
    /// Held while an operator's call writes and takes over.
    changing: Arc<Mutex<()>>,
    policies: Arc<RwLock<Policies>>,
}

impl Limits {
    pub fn new(config: &StreamConfig) -> Self {
        let values = Values::of(config);
        Self {
            rate: Arc::new(RateLimiter::new(quota(&values), config.max_clients)),
            streams: ConnLimiter::new(streams(&values)),
            uploads: ConnLimiter::new(uploads(&values)),
            pace: Arc::new(AtomicU64::new(values.get(Setting::Pace))),
            egress: Egress::new(budgets(&values), config.max_clients),
            refusals: Refusals::new(),
            policies: Arc::new(RwLock::new(policies(&values))),
            settings: Settings::new(values),
            changing: Arc::default(),
        }
    }

    /// The configuration was read again.
    pub fn configure(&self, config: &StreamConfig) -> Vec<Change> {
        self.settings.configure(Values::of(config), |values| self.apply(values))
    }

    /// See [`Settings::changed`].
    pub fn changed(&self) -> u64 {
        self.settings.changed()
    }

    /// See [`Settings::heard`].
    pub fn heard(&self, changed: u64, overrides: Overrides) -> Vec<Change> {
        self.settings.heard(changed, overrides, |values| self.apply(values))
    }

    /// Takes over what an operator's call makes of the overrides. One call after the other: what was written last has to be in
    /// force in the end.
    pub async fn change<E>(&self, write: impl Future<Output = Result<Overrides, E>>) -> Result<Vec<Change>, E> {
        let _turn = self.changing.lock().await;
        let overrides = write.await?;
        Ok(self.settings.take_over(overrides, |values| self.apply(values)))
    }

    pub fn in_force(&self) -> Vec<InForce> {
        self.settings.in_force()
    }

    fn apply(&self, values: &Values) {
        self.rate.set_quota(quota(values));
        self.streams.set_limits(streams(values));
        self.uploads.set_limits(uploads(values));
        self.pace.store(values.get(Setting::Pace), Ordering::Relaxed);
        self.egress.set_budgets(budgets(values));
        *self.policies.write().unwrap_or_else(PoisonError::into_inner) = policies(values);
    }

    /// The `RateLimit-Policy` of this client's answers.
    pub fn policy(&self, client: ClientKey) -> HeaderValue {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        policies.of(client).clone()
    }
}

fn quota(values: &Values) -> Quota {
    Quota::new(values.small(Setting::Rate), values.small(Setting::Burst))
}

fn streams(values: &Values) -> ConnLimits {
    ConnLimits {
        total: values.count(Setting::MaxStreams),
        per_client: values.count(Setting::MaxStreamsPerClient),
    }
}

fn uploads(values: &Values) -> ConnLimits {
    ConnLimits {
        total: values.count(Setting::MaxUploads),
        per_client: values.count(Setting::MaxUploadsPerUser),
    }
}

fn policies(values: &Values) -> Policies {
    Policies::new(&quota(values), streams(values), budgets(values))
}

fn budgets(values: &Values) -> Budgets {
    Budgets {
        user: values.get(Setting::EgressPerUserDay),
        address: values.get(Setting::EgressPerAddressDay),
    }
}

impl State {
    /// The client's address, through trusted proxies only.
    pub fn address(&self, request: &PlainRequest<'_>) -> IpAddr {
        let peer = request.peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        self.proxies.client(peer, request.fields)
    }

    /// Verifies a grant, and says whom the limits count: its user, else the address.
    pub fn identify(&self, request: &PlainRequest<'_>, grant: Option<&str>) -> (Result<Grant, ApiError>, ClientKey) {
        let grant = match grant {
            Some(text) => self.grants.verify(text, Timestamp::now()).map_err(refused_grant),
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

fn refused_grant(error: GrantError) -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        match error {
            GrantError::Invalid => "This grant is not one of ours.",
            GrantError::Expired => "This grant has expired; ask for a new one.",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::settings::Override;
    use std::{convert::Infallible, sync::Mutex};

    #[tokio::test]
    async fn of_two_changes_at_once_the_one_that_was_written_last_is_in_force() {
        let limits = Limits::new(&StreamConfig::default());
        let written = Mutex::new(0);
        let write = |value| {
            *written.lock().unwrap() = value;
            let set = Override {
                value,
                at: Timestamp(1),
                user: "u".to_owned(),
                username: "ann".to_owned(),
            };
            Ok::<_, Infallible>(Overrides::from([(Setting::MaxUploads, set)]))
        };
        // The first hears of its commit late.
        let first = limits.change(async {
            let overrides = write(7);
            tokio::task::yield_now().await;
            overrides
        });
        let second = limits.change(async { write(8) });
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first.unwrap().len(), second.unwrap().len()), (1, 1));
        assert_eq!(limits.uploads.limits().total, written.into_inner().unwrap() as usize);
    }
}
