//! Configuration: defaults, then the TOML file, then `SLUICE_*` of the environment, then flags; loaded once, validated
//! once, passed down. An unknown key is refused, an error begins with the key, secrets print as `***`.

mod docs;
mod load;
mod secret;
mod sections;
mod store;
pub mod units;
mod validate;

pub use load::{Loaded, Sources, load};
pub use secret::Secret;
pub use sections::{
    ApiConfig, BusConfig, Config, DatabaseConfig, InternalConfig, LogConfig, LogFormat, ProxyConfig, SchedulerConfig,
    SecretsConfig, ServerConfig, StoreConfig, StreamConfig,
};
pub use units::{ByteSize, Span};
pub use validate::MIN_PACE;

use std::path::PathBuf;

/// What is wrong with the configuration, beginning with the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    pub key: String,
    pub problem: String,
}

impl ConfigError {
    pub fn new(key: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        ConfigError {
            key: key.into(),
            problem: problem.to_string(),
        }
    }
}

impl Config {
    /// The data folder of the embedded way.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(&self.server.data_dir)
    }

    /// `database.<service>`, or the SQLite file in the data folder when it is not set.
    #[must_use]
    pub fn database_url(&self, service: &str) -> String {
        let url = match service {
            "api" => &self.database.api,
            "stream" => &self.database.stream,
            _ => &self.database.scheduler,
        };
        if url.is_empty() {
            format!("sqlite:{}", self.data_dir().join(format!("{service}.db")).display())
        } else {
            url.expose().to_owned()
        }
    }

    /// `store.url`, or the media folder in the data folder when it is not set.
    #[must_use]
    pub fn store_url(&self) -> String {
        if self.store.url.is_empty() {
            format!("file:{}", self.data_dir().join("media").display())
        } else {
            self.store.url.clone()
        }
    }

    /// The example file: every key with its default and its comment.
    #[must_use]
    pub fn example() -> String {
        let defaults = load::schema();
        let mut text = String::from(
            "# Sluice configuration. Every key is shown with its default. `sluice check-config` tells what is wrong.\n",
        );
        for (section, comment) in docs::SECTIONS {
            text.push_str(&format!("\n# {comment}\n[{section}]\n"));
            let keys = docs::DOCS
                .iter()
                .filter(|(key, _)| key.starts_with(&format!("{section}.")));
            for (key, comment) in keys {
                let name = &key[section.len() + 1..];
                let value = defaults
                    .get(*section)
                    .and_then(|table| table.get(name))
                    .map(toml::Value::to_string);
                text.push_str(&format!("# {comment}\n{name} = {}\n", value.unwrap_or_default()));
            }
        }
        text
    }

    /// The configuration in force, secrets as `***`.
    #[must_use]
    pub fn redacted(&self) -> String {
        let value = toml::Value::try_from(self).expect("the configuration is plain data");
        let mut text = String::new();
        for (section, table) in value.as_table().into_iter().flatten() {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in table.as_table().into_iter().flatten() {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }
}
