//! api-service: accounts, sessions, videos, comments, the trash and playback grants. It decides who may do what; it does
//! not know where blobs lie. What other services must do because of a change is written to its outbox in the
//! transaction of the change and delivered afterwards, as often as it takes.

mod auth;
mod cursor;
mod database;
mod delivery;
mod handlers;
mod input;
mod leaving;
mod news;
mod openapi;
mod operators;
mod ops;
mod passwords;
mod post_limit;
mod routes;
mod rules;
mod schema;
mod session_cache;
mod sessions;
mod settle;
mod sign_in_limit;
mod state;
mod windows;

use std::sync::Arc;

use actix_web::web;
use common::bus::Subject;
use common::config::Config;
use common::doctor::{Finding, seen};
use common::health::Check;
use common::outbox::{self, Relay};
use common::service::{Platform, Service, StartError};
use futures_util::FutureExt;

pub use database::{MIGRATIONS, TABLES};
pub use openapi::openapi;
pub use operators::{Outcome, create_operator};

/// What the doctor finds in what this service owns.
#[must_use]
pub fn examine(config: &Config) -> Vec<Finding> {
    common::db::examine(config, "api", &MIGRATIONS)
}

/// Opens the database, loads the sessions, starts the relay of the outbox and gives the routes.
pub async fn start(config: &Config, platform: &Platform) -> Result<Service, StartError> {
    let db = database::open(config)?;
    operators::first_operator(config, &db).await?;
    let relay = Relay::new();
    let state = state::State::new(config, platform, &db, &relay)?;
    // First listen, then load: a session that ends in between is heard of.
    let mut ended = platform.bus.subscribe(&Subject::SessionsRevoked);
    ended.established().await;
    let (sessions, drain, mut first) = (state.sessions.clone(), platform.drain.clone(), Some(ended));
    platform.spawn_loop("api-service: sessions that end", move || {
        sessions.clone().follow(first.take(), drain.clone())
    });
    let loaded = state.sessions.load(config.api.max_sessions_cached).await;
    let loaded = loaded.map_err(|error| StartError::Other(format!("database.api: {error}")))?;
    log::info!("Loaded {loaded} sessions");
    let (clients, outbox_db, drain) = (platform.clients.clone(), db.clone(), platform.drain.clone());
    platform.spawn_loop("api-service: outbox", move || {
        let sender = delivery::Sender::new(clients.clone());
        outbox::relay(outbox_db.clone(), relay.clone(), drain.clone(), move |entry| {
            let sender = sender.clone();
            async move { delivery::deliver(&sender, entry).await }
        })
    });
    let sweeper = state.clone();
    platform.spawn(async move {
        // A process that ended while it deleted an account is replaced by this one; the periodic sweep comes later.
        if let Err(error) = leaving::sweep(&sweeper).await {
            log::warn!("What closed accounts leave behind is left to the next sweep: {error}");
        }
    });
    let (settled, settling) = (db.clone(), platform.clone());
    platform.spawn_loop("api-service: write-ahead log", move || {
        settle::follow(settled.clone(), settling.clone())
    });
    let (posts, configured) = (state.posts.clone(), platform.clone());
    platform.spawn_loop("api-service: configuration", move || {
        let (posts, mut live, drain) = (posts.clone(), configured.live.watch(), configured.drain.clone());
        async move {
            loop {
                posts.configure(&live.borrow_and_update().api);
                tokio::select! {
                    changed = live.changed() => if changed.is_err() { return },
                    () = drain.begun() => return,
                }
            }
        }
    });
    state.passwords.register(&platform.metrics);
    let ready: Check = Arc::new(move || {
        let db = db.clone();
        async move { db.ready().await.map_err(|error| error.to_string()) }.boxed()
    });
    let state = web::Data::new(state);
    let internal = state.clone();
    let seen = seen::route(seen::SEEN_BY_API, config)?;
    Ok(Service {
        name: "api",
        public: Some(Arc::new(move |config| {
            // Before the scope that takes everything below it.
            config.service(seen());
            routes::mount_public(config, &state);
        })),
        internal: Some(Arc::new(move |config| routes::mount_internal(config, &internal))),
        upgrades: None,
        direct: None,
        ready: vec![("api_database", ready)],
    })
}
