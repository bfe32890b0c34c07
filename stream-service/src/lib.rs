//! stream-service: the bytes. It takes uploads in, keeps the stored media and the ledger of every stored object, and plays
//! them in ranges, within limits. Who may do what is api-service's to say; its signed grants are checked here without
//! asking.

mod announce;
mod deliver;
mod entries;
mod grants;
mod handlers;
mod ledger;
pub mod limit;
mod media;
mod metrics;
mod openapi;
mod ops;
pub mod precondition;
pub mod probe;
pub mod range;
mod refusal;
mod routes;
mod schema;
pub mod state;
pub mod store;
pub mod transfer;
pub mod tus;
mod upload;
mod watch;

use common::{
    config::{Config, ConfigError},
    db::{Backend, DatabaseUrl, Db, DbOptions, Migrations, migrate},
    doctor::Finding,
    http::CookieName,
    ids::Id,
    net::TrustedProxies,
    outbox::{self, Delivery, Relay},
    service::{Platform, Service, StartError},
    time::Timestamp,
};
use diesel_migrations::embed_migrations;
use log::{info, warn};
use state::{Limits, State};
use std::sync::Arc;
use store::Store;

pub use openapi::openapi;

/// The tables of this service.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

/// What the doctor finds in what this service owns: the ledger and the store.
#[must_use]
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = common::db::examine(config, "stream", &MIGRATIONS);
    findings.extend(store::examine(config));
    findings
}

/// Opens ledger and store, mends what the last end left, and starts the background loops.
pub async fn start(config: &Config, platform: &Platform) -> Result<Service, StartError> {
    start_with_state(config, platform).await.map(|(service, _)| service)
}

/// As [`start`], with the state: whoever runs the service may set its limits anew.
pub async fn start_with_state(config: &Config, platform: &Platform) -> Result<(Service, State), StartError> {
    let (wanted, platform_of) = (config.clone(), platform.clone());
    // A store may be waited for, and what waits for it is none of this thread's business.
    let opened = tokio::task::spawn_blocking(move || open(&wanted, &platform_of)).await;
    let state = opened.map_err(|error| StartError::Other(error.to_string()))??;
    mend(&state).await;
    // What operators have set counts from the first request on.
    limit::sync::Sync::new(&state).turn().await;
    spawn_loops(&state);
    Ok((service(&state), state))
}

/// Everything but the loops and the first sweep. Waits for the store and the database.
fn open(config: &Config, platform: &Platform) -> Result<State, StartError> {
    let url: DatabaseUrl = config
        .database_url("stream")
        .parse()
        .map_err(|error| ConfigError::new("database.stream", error))?;
    migrate(&url, &MIGRATIONS).map_err(|error| ConfigError::new("database.stream", error))?;
    let options = DbOptions {
        application_name: "sluice-stream".into(),
        readers: config.database.readers,
        connections: config.database.connections,
        wait: config.database.wait.0,
        ..DbOptions::default()
    };
    let db = Db::open(&url, &options).map_err(|error| ConfigError::new("database.stream", error))?;
    // A SQLite file has one process; so has the store that goes with it. Replicas on PostgreSQL share theirs.
    let exclusive = url.backend() == Backend::Sqlite;
    let store = Store::connect(
        &config.store,
        &config.store_url(),
        exclusive,
        config.stream.max_upload.0,
    )
    .map_err(|unusable| ConfigError::new(unusable.key, unusable.problem))?;
    let metrics = metrics::StreamMetrics::default();
    let limits = Limits::new(&config.stream);
    metrics.register(&platform.metrics, &limits.refusals);
    Ok(State {
        platform: platform.clone(),
        db,
        store,
        relay: Relay::new(),
        announced: announce::Announcements::default(),
        entries: entries::Entries::default(),
        grants: grants::Grants::new(platform.grants.clone()),
        uploads: upload::registry::Registry::default(),
        streams: media::registry::Streams::default(),
        limits,
        metrics,
        instance: Id::now(),
        started: Timestamp::now(),
        cookie: CookieName::of(&config.server.public_url),
        proxies: Arc::new(TrustedProxies::parse(&config.server.trusted_proxies)?),
        max_upload: config.stream.max_upload.0,
        min_free: config.stream.min_free.0,
        stall_timeout: config.stream.stall_timeout.0,
        disk: Arc::default(),
        upload_expiry: config.stream.upload_expiry.0,
        orphan_grace: config.stream.orphan_grace.0,
        scrub: ops::scrub::Settings {
            rate: config.stream.scrub_rate.0,
            after: config.stream.scrub_after.0,
        },
        scrubbing: Arc::default(),
    })
}

fn service(state: &State) -> Service {
    let db = state.db.clone();
    Service {
        name: "stream-service",
        public: Some(routes::public(state)),
        internal: Some(routes::internal(state)),
        upgrades: None,
        direct: Some(Arc::new(handlers::media::PlainFile(Arc::new(state.clone())))),
        ready: vec![(
            "stream database",
            Arc::new(move || {
                let db = db.clone();
                Box::pin(async move { db.ready().await.map_err(|error| error.to_string()) })
            }),
        )],
    }
}

/// What a kill left half-way does not wait for the next sweep.
async fn mend(state: &State) {
    match ops::uploads::expire_at_start(state).await {
        Ok(expired) if expired.count > 0 => info!("Removed {} uploads that the last end cut off", expired.count),
        Ok(_) => {}
        Err(error) => warn!("Uploads that the last end cut off stay until the next sweep: {error}"),
    }
}

fn spawn_loops(state: &State) {
    let (platform, api) = (&state.platform, state.platform.clients.api.clone());
    let relayed = state.clone();
    platform.spawn_loop("stream-service: outbox", move || {
        let (state, api) = (relayed.clone(), api.clone());
        outbox::relay(state.db, state.relay, state.platform.drain, move |entry| {
            let (api, announced) = (api.clone(), state.announced.clone());
            async move {
                let video = entry.key.parse();
                let delivery = deliver::deliver(&api, entry).await;
                if let (Ok(video), Delivery::Done) = (video, &delivery) {
                    announced.told(&video);
                }
                delivery
            }
        })
    });
    let limited = state.clone();
    platform.spawn_loop("stream-service: configuration", move || {
        limit::sync::configuration(limited.clone())
    });
    let limited = state.clone();
    platform.spawn_loop("stream-service: limits", move || limit::sync::run(limited.clone()));
    let watched = state.clone();
    platform.spawn_loop("stream-service: sessions that end", move || {
        watch::sessions(watched.clone())
    });
    let watched = state.clone();
    platform.spawn_loop("stream-service: sessions, asked for", move || {
        watch::sessions_again(watched.clone())
    });
    let watched = state.clone();
    platform.spawn_loop("stream-service: media that changes", move || {
        // What was known may have changed while nobody listened.
        watched.entries.clear();
        watch::media(watched.clone())
    });
    let watched = state.clone();
    platform.spawn_loop("stream-service: media, asked for", move || {
        watch::media_again(watched.clone())
    });
    let kept = state.clone();
    platform.spawn_loop("stream-service: files kept open", move || watch::files(kept.clone()));
}
