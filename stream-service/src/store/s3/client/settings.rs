//! Where the bucket is and who we are there: `store.*` of the configuration.

use common::config::{Secret, StoreConfig};
use std::{fmt, path::PathBuf};
use url::Url;

/// A setting that can't be used: its key, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    pub key: &'static str,
    pub problem: String,
}

impl SettingsError {
    pub fn new(key: &'static str, problem: impl fmt::Display) -> Self {
        Self {
            key,
            problem: problem.to_string(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://host:port` or `https://host`.
    pub endpoint: Url,
    pub bucket: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret,
    /// Whether the bucket stands in the path of the address; else it is part of the host name.
    pub path_style: bool,
    /// Certificate authorities (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    /// The settings of `store.url = "s3://BUCKET/optional/prefix"`, and the prefix: empty, or ending with `/`.
    pub fn of(config: &StoreConfig) -> Result<(Self, String), SettingsError> {
        let (bucket, prefix) = config
            .s3()
            .ok_or_else(|| SettingsError::new("store.url", "is not like s3://BUCKET"))?;
        // Amazon's own: the bucket is a part of the host name, unless its dots would make the certificate not fit.
        let amazon = config.endpoint.is_empty();
        let endpoint = match amazon {
            true => format!("https://s3.{}.amazonaws.com", config.region),
            false => config.endpoint.clone(),
        };
        let endpoint = Url::parse(&endpoint).map_err(|error| SettingsError::new("store.endpoint", error))?;
        let settings = Self {
            endpoint,
            bucket: bucket.to_owned(),
            region: config.region.clone(),
            access_key: config.access_key.clone(),
            secret_key: config.secret_key.clone(),
            path_style: if amazon {
                bucket.contains('.')
            } else {
                config.path_style
            },
            ca_file: (!config.ca_file.is_empty()).then(|| PathBuf::from(&config.ca_file)),
        };
        Ok((settings, prefix))
    }

    /// Endpoint and bucket, for messages.
    pub fn address(&self) -> String {
        format!("{} at {}", self.bucket, self.endpoint.as_str().trim_end_matches('/'))
    }
}
