//! The database of api-service: its migrations and how it is opened.

use common::config::{Config, ConfigError};
use common::db::{DatabaseUrl, Db, DbOptions, Migrations, migrate};
use diesel_migrations::embed_migrations;

/// The tables of api-service.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

/// In an order in which rows can be inserted.
pub const TABLES: &[&str] = &[
    "users",
    "sessions",
    "videos",
    "deletions",
    "comments",
    "danmaku",
    "room_log",
    "outbox",
];

/// Migrates and opens `database.api`. Blocks.
pub fn open(config: &Config) -> Result<Db, ConfigError> {
    let refuse = |error: &dyn std::fmt::Display| ConfigError::new("database.api", error);
    let url: DatabaseUrl = config
        .database_url("api")
        .parse()
        .map_err(|error: common::db::UrlError| refuse(&error))?;
    migrate(&url, &MIGRATIONS).map_err(|error| refuse(&error))?;
    let options = DbOptions {
        readers: config.database.readers,
        connections: config.database.connections,
        wait: config.database.wait.0,
        application_name: "sluice-api".into(),
        ..DbOptions::default()
    };
    Db::open(&url, &options).map_err(|error| refuse(&error))
}
