//! `store.*`: which store a URL means, and whether its other keys are all there.

use super::{ConfigError, StoreConfig, validate::is_origin};

impl StoreConfig {
    /// Bucket and prefix of `s3://BUCKET/PREFIX`; `None` when the URL is another. The prefix is empty or ends with `/`.
    #[must_use]
    pub fn s3(&self) -> Option<(&str, String)> {
        let rest = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let slash = if prefix.is_empty() { "" } else { "/" };
        Some((bucket, format!("{prefix}{slash}")))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let Some((bucket, prefix)) = self.s3() else {
            if self.url.is_empty() || self.url.starts_with("file:") {
                return Ok(());
            }
            let problem = format!("`{}` is not a store; write file:PATH or s3://BUCKET", self.url);
            return Err(ConfigError::new("store.url", problem));
        };
        if !is_bucket(bucket) {
            let problem = format!("`{bucket}` is not a bucket: 3 to 63 lower-case letters, digits, dots and hyphens");
            return Err(ConfigError::new("store.url", problem));
        }
        if !prefix.is_empty() && !prefix[..prefix.len() - 1].split('/').all(is_segment) {
            let problem =
                format!("`{prefix}` is not a prefix: letters, digits, `.`, `_` and `-`, with single slashes between");
            return Err(ConfigError::new("store.url", problem));
        }
        if !self.endpoint.is_empty() && !is_origin(&self.endpoint) {
            let problem = format!("`{}` is not like \"http://host:3900\"", self.endpoint);
            return Err(ConfigError::new("store.endpoint", problem));
        }
        for (key, missing) in [
            ("store.region", self.region.is_empty()),
            ("store.access_key", self.access_key.is_empty()),
            ("store.secret_key", self.secret_key.is_empty()),
        ] {
            if missing {
                return Err(ConfigError::new(key, "is needed for a store.url of s3:"));
            }
        }
        Ok(())
    }
}

/// A name that every store takes (the rules of Amazon's general purpose buckets).
fn is_bucket(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(end)
        && name.ends_with(end)
        && !name.contains("..")
}

/// A step of a prefix, which needs no escaping and is no way up.
fn is_segment(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text != "." && text != ".." && text.len() <= 128 && text.chars().all(plain)
}
