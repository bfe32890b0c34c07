//! `sluice migrate` and the check of the database addresses.

use common::config::{Config, ConfigError};
use common::db::{DatabaseUrl, Migrations, migrate};
use common::service::StartError;

/// Every service that keeps tables: its name, its migrations, its tables.
pub const DATABASES: [(&str, &Migrations, &[&str]); 3] = [
    ("api", &api_service::MIGRATIONS, api_service::TABLES),
    ("stream", &stream_service::MIGRATIONS, stream_service::transfer::TABLES),
    ("scheduler", &scheduler_service::MIGRATIONS, scheduler_service::TABLES),
];

fn url(config: &Config, service: &str) -> Result<DatabaseUrl, ConfigError> {
    config
        .database_url(service)
        .parse()
        .map_err(|error| ConfigError::new(format!("database.{service}"), error))
}

/// Parses all three addresses.
pub fn check_urls(config: &Config) -> Result<(), ConfigError> {
    DATABASES
        .iter()
        .try_for_each(|(service, ..)| url(config, service).map(drop))
}

/// Brings all three databases to this version.
pub fn all(config: &Config) -> Result<(), StartError> {
    common::data_dir::create(config)?;
    for (service, migrations, _) in DATABASES {
        let applied = migrate(&url(config, service)?, migrations)
            .map_err(|error| ConfigError::new(format!("database.{service}"), error))?;
        match applied.0.as_slice() {
            [] => println!("{service}: up to date"),
            versions => println!("{service}: applied {}", versions.join(", ")),
        }
    }
    Ok(())
}
