//! scheduler-service: durable jobs. A job is a row before it is anything else; workers lease due rows, do the work outside of
//! any transaction by calling the services that own the things, and settle. What it promises (promises 16 to 18): a due job
//! happens and its effect happens once, whatever dies in between; a job that kills its workers ends as dead and is shown;
//! due times are the database's. It knows jobs, and nothing of where videos or bytes lie.

mod auth;
mod backoff;
mod forget;
mod handlers;
pub mod job;
pub mod jobs;
mod metrics;
mod openapi;
pub mod ops;
mod routes;
pub mod runner;
pub mod schedule;

use std::sync::Arc;

use common::config::{Config, ConfigError};
use common::db::{DatabaseUrl, Db, DbOptions, Migrations, migrate};
use common::doctor::Finding;
use common::service::{Platform, Service, StartError};
use diesel_migrations::embed_migrations;

pub use metrics::JobMetrics;
pub use openapi::openapi;

use handlers::State;
use jobs::PurgeCalls;
use runner::{Limits, Parts, Wake};
use schedule::Schedule;

/// The tables of this service.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

/// In an order in which rows can be inserted.
pub const TABLES: &[&str] = &["jobs"];

/// What the doctor finds in what this service owns.
#[must_use]
pub fn examine(config: &Config) -> Vec<Finding> {
    common::db::examine(config, "scheduler", &MIGRATIONS)
}

/// Opens the database, arms the schedules and starts the runner; the routes come back.
pub async fn start(config: &Config, platform: &Platform) -> Result<Service, StartError> {
    let db = open(config)?;
    let schedule = Schedule::from(&config.scheduler);
    let failed = |error| StartError::Other(format!("database.scheduler: {error}"));
    schedule.ensure(&db).await.map_err(failed)?;
    let parts = Parts {
        db: db.clone(),
        clients: platform.clients.clone(),
        purges: PurgeCalls::new(&platform.clients),
        bus: platform.bus.clone(),
        drain: platform.drain.clone(),
        wake: Wake::default(),
        metrics: JobMetrics::register(&platform.metrics),
    };
    let state = State {
        db: db.clone(),
        api: platform.clients.api.clone(),
        bus: platform.bus.clone(),
        wake: parts.wake.clone(),
        cookie: common::http::CookieName::of(&config.server.public_url),
    };
    let limits = Limits::new(&config.scheduler, config.server.drain_timeout.0);
    // What a runner that panicked left running stops at its lease; then the next one takes it.
    platform.spawn_loop("scheduler-service: jobs", move || {
        runner::run(parts.clone(), limits.clone())
    });
    let (forget_db, drain, keep) = (db.clone(), platform.drain.clone(), config.scheduler.keep_finished.0);
    platform.spawn_loop("scheduler-service: old jobs", move || {
        forget::run(forget_db.clone(), drain.clone(), keep)
    });
    let ready = move || -> futures_util::future::BoxFuture<'static, Result<(), String>> {
        let db = db.clone();
        Box::pin(async move { db.ready().await.map_err(|error| error.to_string()) })
    };
    Ok(Service {
        name: "scheduler",
        public: Some(routes::public(&state)),
        internal: Some(routes::internal(&state)),
        upgrades: None,
        direct: None,
        ready: vec![("scheduler_database", Arc::new(ready))],
    })
}

fn open(config: &Config) -> Result<Db, StartError> {
    let wrong = |error: &dyn std::fmt::Display| ConfigError::new("database.scheduler", error);
    let url: DatabaseUrl = config
        .database_url("scheduler")
        .parse()
        .map_err(|error| wrong(&error))?;
    migrate(&url, &MIGRATIONS).map_err(|error| wrong(&error))?;
    let options = DbOptions {
        readers: config.database.readers,
        connections: config.database.connections,
        wait: config.database.wait.0,
        application_name: "sluice-scheduler".into(),
        ..DbOptions::default()
    };
    Ok(Db::open(&url, &options).map_err(|error| wrong(&error))?)
}
