//! How a service is started and served, alone or with the others in one process.
//!
//! Each service crate has `pub async fn start(config, platform) -> Result<Service, StartError>`: it opens its database,
//! starts its background tasks on the [`Platform`] and returns its routes. [`run`] binds the listeners and serves.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::Bus;
use crate::clients::Clients;
use crate::config::{Config, ConfigError};
use crate::doctor;
use crate::drain::Drain;
use crate::grant::GrantKeys;
use crate::health::{self, Check, Detail, Health};
use crate::http::typed_input;
use crate::metrics::Metrics;
use crate::near::Near;
use crate::net::TrustedProxies;
use crate::reload::Live;
use crate::replicas::{Replicas, Shown};
use crate::request::Context;
use crate::serve::{self, Bounds, Configure, Direct, Listener, Upgrades};
use crate::supervise::supervise;

/// Why a process does not start. Exit code 2 for what a person must mend in the configuration, 1 otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Other(String),
}

impl StartError {
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Config(_) => 2,
            StartError::Other(_) => 1,
        }
    }
}

/// What the services of a process share. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    pub bus: Bus,
    pub clients: Clients,
    pub grants: GrantKeys,
    pub metrics: Metrics,
    pub drain: Drain,
    /// The configuration, as it changes.
    pub live: Live,
    shown: Shown,
    /// Cancelled when the listeners have ended.
    served: CancellationToken,
    tasks: TaskTracker,
}

impl Platform {
    /// Reads keys and addresses from a configuration whose secrets are set, and connects to the bus.
    pub async fn open(config: &Config, drain: Drain) -> Result<Self, ConfigError> {
        if config.secrets.internal_token.is_empty() {
            return Err(ConfigError::new(
                "secrets.internal_token",
                "is not set; all services need the same one, 32 characters or more",
            ));
        }
        let metrics = Metrics::new();
        let platform = Platform {
            bus: Bus::open(&config.bus, &metrics).await?,
            clients: Clients::new(config)?,
            grants: config.grant_keys()?,
            shown: Shown::register(&metrics),
            metrics,
            drain,
            live: Live::new(config),
            served: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        platform
            .clients
            .replicas()
            .for_each(|replicas| platform.watch(replicas));
        Ok(platform)
    }

    /// Runs `task` on this thread until it ends by itself; it must watch `drain`. The process waits for it at the end.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(self.tasks.spawn_local(task));
    }
}

impl Platform {
    /// Resolves when the last request was answered (or given up): for what a task does at the very end.
    pub async fn served(&self) {
        self.served.cancelled().await;
    }

    /// Runs a loop that `start` begins, on this thread, until it ends after the drain has begun; one that panics or ends before is
    /// begun again. It must watch `drain`, and the process waits for it at the end.
    pub fn spawn_loop<F, Fut>(&self, name: &'static str, start: F)
    where
        F: FnMut() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.spawn(supervise(name, self.drain.clone(), start));
    }

    /// Looks after the copies of a service until the drain begins, and shows them on `/metrics`.
    pub fn watch(&self, replicas: &Replicas) {
        self.shown.add(replicas);
        if replicas.needs_watching() {
            let (replicas, drain) = (replicas.clone(), self.drain.clone());
            self.spawn_loop("replicas", move || replicas.clone().watch(drain.clone()));
        }
    }
}

/// A started service: its routes and what it needs to be ready.
pub struct Service {
    pub name: &'static str,
    /// Mounted on the listener for people.
    pub public: Option<Configure>,
    /// Mounted on the internal listener, below `/internal`.
    pub internal: Option<Configure>,
    /// Decides about requests for another protocol on the listener for people; one service of a process does.
    pub upgrades: Option<Upgrades>,
    /// Answers some requests of the listener for people before its routes are tried.
    pub direct: Option<Direct>,
    pub ready: Vec<(&'static str, Check)>,
}

/// The sockets of a process, bound before the services start so that a port in use is found first.
pub struct Sockets {
    pub public: TcpListener,
    pub internal: TcpListener,
    /// Beside the public one, for an edge on the same machine.
    pub near: Option<Near>,
}

impl Sockets {
    pub fn bind(config: &Config) -> Result<Self, ConfigError> {
        Ok(Sockets {
            public: serve::bind("server.listen", config.server.listen)?,
            internal: serve::bind("internal.listen", config.internal.listen)?,
            near: None,
        })
    }

    /// The same, and a socket in `server.socket_dir`, if there is one.
    pub fn bind_near(config: &Config) -> Result<Self, ConfigError> {
        let mut sockets = Self::bind(config)?;
        let folder = &config.server.socket_dir;
        if !folder.is_empty() {
            let port = sockets.public.local_addr().map_or(0, |address| address.port());
            sockets.near = Some(Near::bind(folder, port)?);
        }
        Ok(sockets)
    }

    /// The addresses really bound: public, internal.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.internal.local_addr()?))
    }
}

/// Threads for the calls between services: they are short, or wait for a disk.
const INTERNAL_WORKERS: usize = 2;

/// What is kept of the drain time for internal calls and background tasks to end in.
const RESERVE: Duration = Duration::from_secs(2);

/// Serves `services`, in the order in which their routes are to be tried, until the drain is over.
pub async fn run(
    config: &Config,
    platform: &Platform,
    sockets: Sockets,
    services: Vec<Service>,
    default_headers: &[(HeaderName, HeaderValue)],
) -> std::io::Result<()> {
    let mut health = Health::new(platform.drain.clone());
    if let Some(near) = &sockets.near {
        health.say_socket(&near.name());
    }
    let (mut public, mut internal): (Vec<Configure>, Vec<Configure>) = (Vec::new(), Vec::new());
    for service in &services {
        service
            .ready
            .iter()
            .for_each(|(name, check)| health.add(name, check.clone()));
    }
    if platform.bus.state().is_some() {
        let bus = platform.bus.clone();
        health.note(
            "bus",
            std::sync::Arc::new(move || std::future::ready(bus.state().unwrap_or(Ok(()))).boxed()),
        );
    }
    let (probes, metrics) = (health.clone(), platform.metrics.clone());
    public.push(std::sync::Arc::new(move |routes| {
        health::routes(&health, Detail::Names)(routes)
    }));
    internal.push(std::sync::Arc::new(move |routes| {
        health::routes(&probes, Detail::Reasons)(routes);
        health::metrics_route(&metrics)(routes);
        typed_input(routes);
    }));
    let seen = doctor::seen::route(doctor::seen::SEEN, config).map_err(std::io::Error::other)?;
    public.push(std::sync::Arc::new(move |routes: &mut web::ServiceConfig| {
        routes.service(seen());
    }));
    let mut upgrades = None;
    let mut direct = Vec::new();
    for service in services {
        direct.extend(service.direct);
        upgrades = upgrades.or(service.upgrades);
        public.extend(service.public);
        internal.extend(service.internal);
    }
    let context = |internal_token| Context {
        metrics: platform.metrics.clone(),
        default_headers: default_headers.into(),
        internal_token,
        body_stall: config.server.stall_timeout.0,
        drain: platform.drain.clone(),
    };
    let hops = TrustedProxies::parse(&config.server.trusted_proxies).map_err(std::io::Error::other)?;
    let token = config.secrets.internal_token.clone();
    let deadline: Duration = config.server.drain_timeout.0;
    let (near, _file) = sockets.near.map(|near| (near.listener, near.file)).unzip();
    let listeners = vec![
        Listener {
            name: "public",
            socket: sockets.public,
            near,
            routes: public,
            upgrades,
            direct,
            context: context(None),
            workers: usize::MAX,
            drain: deadline.saturating_sub(RESERVE),
        },
        Listener {
            name: "internal",
            socket: sockets.internal,
            near: None,
            routes: internal,
            upgrades: None,
            direct: Vec::new(),
            context: context(Some(token)),
            workers: INTERNAL_WORKERS,
            drain: RESERVE / 2,
        },
    ];
    // One deadline for all of it, counted from the begin of the drain.
    let over = async {
        platform.drain.begun().await;
        tokio::time::Instant::now() + deadline
    };
    let serving = serve::serve(listeners, Bounds::from(&config.server), hops, platform.drain.clone());
    let (served, over) = futures_util::future::join(serving, over).await;
    platform.served.cancel();
    platform.tasks.close();
    if tokio::time::timeout_at(over, platform.tasks.wait()).await.is_err() {
        log::warn!(
            "{} background tasks did not end within {deadline:?}",
            platform.tasks.len()
        );
    }
    platform.bus.flush().await;
    served
}
