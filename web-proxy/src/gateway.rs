//! The real-time gateway: one WebSocket per page or app. Clients call functions by name and receive the events of their user
//! and of the rooms they are in (docs/gateway.md).
//!
//! It has no rule of its own about videos: functions call api-service with the user's own token, and rooms pass on a log
//! whose order the database made. Connections are spread over threads (`shard`); a thread owns what it serves.

pub mod api;
mod connection;
mod counts;
mod effort;
mod ended;
pub mod envelope;
pub mod frame;
pub mod functions;
mod gossip;
mod handshake;
mod metrics;
mod outbound;
mod places;
mod platform;
mod questions;
mod revocation;
mod room;
mod rooms;
mod session;
mod shard;
mod tokens;
mod users;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use common::bus::Bus;
use common::clients::Clients;
use common::config::Config;
use common::drain::Drain;
use common::error::{ApiError, Code};
use common::net::TrustedProxies;
use common::plain::Fields;
use common::replicas::Replicas;
use common::serve::{Accept, UpgradeRequest, Upgrades};
use common::service::{Platform, StartError};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use api::Api;
use counts::Counts;
use effort::Efforts;
use ended::Ended;
use envelope::DataForm;
use functions::Functions;
use handshake::{Asked, Rules, Source};
use metrics::GatewayMetrics;
use places::{NoPlace, Places};
use shard::{Arrival, Command, End, Shard};
use tokens::Tokens;

/// Where the gateway is.
pub const PATH: &str = "/ws";

/// What is kept of the drain time for the sockets' last words.
const DRAIN_RESERVE: Duration = Duration::from_secs(4);

/// When somebody without a place may try again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What the threads of the gateway share.
pub struct Shared {
    bus: Bus,
    clients: Clients,
    drain: Drain,
    /// Begins when the last thread has ended.
    over: Drain,
    api: Api,
    functions: Functions,
    tokens: Tokens,
    ended: Arc<Ended>,
    places: Arc<Places>,
    counts: Counts,
    efforts: Efforts,
    metrics: GatewayMetrics,
    rules: Rules,
    trusted: TrustedProxies,
    heartbeat: Duration,
    dead_after: Duration,
    call_timeout: Duration,
    shards: OnceLock<Vec<mpsc::UnboundedSender<Command>>>,
    turn: AtomicUsize,
}

/// Starts the threads; what comes back decides about handshakes.
pub fn start(config: &Config, platform: &Platform, api: Replicas) -> Result<Upgrades, StartError> {
    let ended = Arc::new(Ended::default());
    let settings = &config.gateway;
    let shared = Arc::new(Shared {
        bus: platform.bus.clone(),
        clients: platform.clients.clone(),
        drain: platform.drain.clone(),
        over: Drain::new(),
        api: Api::new(api, config.proxy.connect_timeout.0)?,
        functions: Functions::new(settings.call_timeout.0),
        tokens: Tokens::new(platform.clients.api.clone(), ended.clone()),
        places: Arc::new(Places::new(
            settings.max_connections,
            settings.max_connections_per_platform,
            ended.clone(),
        )),
        ended,
        counts: Counts::default(),
        efforts: Efforts::new(settings.max_connections_per_platform),
        metrics: GatewayMetrics::new(&platform.metrics),
        rules: Rules {
            public_url: config.server.public_url.clone(),
            origins: settings.origins.clone(),
            query_token: settings.query_token,
        },
        trusted: TrustedProxies::parse(&config.server.trusted_proxies)?,
        heartbeat: settings.heartbeat.0,
        dead_after: settings.dead_after.0,
        call_timeout: settings.call_timeout.0,
        shards: OnceLock::new(),
        turn: AtomicUsize::new(0),
    });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let count = if settings.workers == 0 { cores } else { settings.workers };
    let (commands, ends) = (0..count)
        .map(|index| begin_shard(index, &shared))
        .collect::<std::io::Result<(Vec<_>, Vec<_>)>>()
        .map_err(|error| StartError::Other(format!("a thread of the gateway can't be started: {error}")))?;
    shared
        .shards
        .set(commands)
        .unwrap_or_else(|_| unreachable!("set once, here"));
    revocation::watch(&shared, platform);
    gossip::begin(&shared, platform);
    let drain_time = config.server.drain_timeout.0;
    let drain_time = drain_time.saturating_sub(DRAIN_RESERVE).max(drain_time / 2);
    let (draining, drain) = (shared.clone(), platform.drain.clone());
    platform.spawn(async move {
        drain.begun().await;
        draining.tell_all(|| Command::Drain(drain_time));
        for end in ends {
            // An error is a thread that has ended, too.
            drop(end.await);
        }
        draining.over.begin();
    });
    Ok(Arc::new(move |request| shared.clone().decide(request).boxed_local()))
}

/// A thread of the gateway: how to talk to it, and its end.
fn begin_shard(
    index: usize,
    shared: &Arc<Shared>,
) -> std::io::Result<(mpsc::UnboundedSender<Command>, oneshot::Receiver<()>)> {
    let (sender, commands) = mpsc::unbounded_channel();
    let (over, end) = oneshot::channel();
    let shared = shared.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("gateway-{index}")).spawn(move || {
        let tasks = LocalSet::new();
        let shard = Shard::new(shared);
        tasks.block_on(&runtime, shard.run(commands));
        drop(tasks);
        // Whoever waits for it may be gone, too.
        let (Ok(()) | Err(())) = over.send(());
    })?;
    Ok((sender, end))
}

impl Shared {
    fn tell_all(&self, command: impl Fn() -> Command) {
        for shard in self.shards.get().into_iter().flatten() {
            // A thread that has ended has no connections.
            drop(shard.send(command()));
        }
    }

    /// Puts everybody out whose session has ended.
    fn end_sessions(&self, sessions: &[common::ids::Id], end: End) {
        self.ended.add(sessions);
        self.tokens.evict_ended();
        let kicked = self.places.end(sessions);
        for (index, shard) in self.shards.get().into_iter().flatten().enumerate() {
            let ids: Vec<u64> = kicked
                .iter()
                .filter(|(on, _)| *on == index)
                .map(|(_, id)| *id)
                .collect();
            if !ids.is_empty() {
                drop(shard.send(Command::Kick(ids, end)));
            }
        }
    }

    fn refuse_in_drain(&self) -> Result<(), ApiError> {
        if self.drain.has_begun() {
            return Err(ApiError::new(Code::Overloaded, "The server is stopping.").retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    /// Decides about a handshake, in the order of gateway.md.
    async fn decide(self: Arc<Self>, request: UpgradeRequest) -> Result<Accept, ApiError> {
        if request.uri().path() != PATH {
            return Err(ApiError::new(
                Code::NotFound,
                format!("The real-time gateway is at {PATH}."),
            ));
        }
        let asked = handshake::read(&request, &self.rules)?;
        self.refuse_in_drain()?;
        let owner = self.tokens.check(&asked.token).await?;
        // It may have begun meanwhile, and the threads that serve sockets may have ended.
        self.refuse_in_drain()?;
        if owner.username != asked.send_id {
            return Err(ApiError::new(
                Code::Unauthenticated,
                "The token is not that of the user that `sendID` names.",
            ));
        }
        let shards = self.shards.get().map_or(1, Vec::len);
        let index = self.turn.fetch_add(1, Ordering::Relaxed) % shards;
        let place = self.places.take(&owner, asked.platform, index).map_err(no_place)?;
        let address = self.trusted.client(request.peer_ip(), Fields::Map(request.headers()));
        let headers = asked.answer();
        let Asked {
            token,
            source,
            platform,
            operation,
            ..
        } = asked;
        let take = move |handed: common::serve::HandedOver| {
            let socket = match handed.socket.into_std() {
                Ok(socket) => socket,
                Err(error) => return log::warn!("A connection can't be handed over: {error}"),
            };
            let arrival = Arrival {
                socket,
                head: handed.head,
                received: handed.received.to_vec(),
                place,
                owner,
                token,
                platform: platform.number(),
                form: match source {
                    Source::Query => DataForm::Text,
                    Source::Header | Source::Protocol | Source::Cookie => DataForm::Object,
                },
                address,
                operation: operation.to_string(),
            };
            if let Some(shard) = self.shards.get().and_then(|shards| shards.get(index)) {
                // A thread that has ended: the process stops, and the socket closes.
                drop(shard.send(Command::Adopt(Box::new(arrival))));
            }
        };
        Ok(Accept {
            headers,
            take: Box::new(take),
        })
    }
}

fn no_place(reason: NoPlace) -> ApiError {
    match reason {
        NoPlace::User { limit } => ApiError::new(
            Code::TooManyConnections,
            format!("This user has {limit} connections on this platform, which is the limit; close one."),
        )
        .retry_after(TRY_AGAIN),
        NoPlace::Process => {
            ApiError::new(Code::Overloaded, "This server has as many connections as it takes.").retry_after(TRY_AGAIN)
        }
        NoPlace::Ended => ApiError::new(Code::Unauthenticated, "The session has ended; sign in."),
    }
}
