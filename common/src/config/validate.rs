//! What a type can't say about a value. Each message names the key, what is wrong and what would be right.

use std::path::Path;
use std::time::Duration;

use super::{ByteSize, Config, ConfigError, Span};
use crate::grant::GrantKeys;
use crate::net::TrustedProxies;

/// Largest size that is counted against: the databases have signed numbers.
const MAX_SIZE: u64 = i64::MAX as u64;

/// Least pace of a stream, bytes per second: below it a piece of a file takes longer than a viewer's patience, which is no
/// limit but an outage.
pub const MIN_PACE: u64 = 16 << 10;

/// Least rate of the scrub, bytes per second: less would not get through one full disk in its life.
const MIN_SCRUB_RATE: u64 = 1 << 20;

/// Shortest accepted internal token, in characters.
const MIN_TOKEN_LEN: usize = 32;

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.validate_urls()?;
        self.validate_secrets()?;
        let sockets = &self.server.socket_dir;
        if !sockets.is_empty() && !Path::new(sockets).is_absolute() {
            let says =
                format!("`{sockets}` is not an absolute path: processes that share it begin in different folders");
            return Err(ConfigError::new("server.socket_dir", says));
        }
        TrustedProxies::parse(&self.server.trusted_proxies)?;
        self.validate_spans()?;
        self.validate_sizes()?;
        self.validate_counts()
    }

    fn validate_urls(&self) -> Result<(), ConfigError> {
        for (key, url) in [
            ("database.api", &self.database.api),
            ("database.stream", &self.database.stream),
            ("database.scheduler", &self.database.scheduler),
        ] {
            let url = url.expose();
            let known = ["sqlite:", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme));
            if !url.is_empty() && !known {
                // The URL may hold a password: its scheme is all that is shown.
                let scheme = url.split(':').next().unwrap_or_default();
                let problem = format!("`{scheme}` is not a database; write sqlite:PATH or postgres://USER@HOST/NAME");
                return Err(ConfigError::new(key, problem));
            }
        }
        self.store.validate()?;
        crate::bus::BusAddress::of(&self.bus)?;
        let public = &self.server.public_url;
        if !public.is_empty() && !is_origin(public) {
            return Err(ConfigError::new(
                "server.public_url",
                format!("`{public}` is not like \"https://video.example\""),
            ));
        }
        for (key, urls) in [
            ("internal.api", &self.internal.api),
            ("internal.stream", &self.internal.stream),
            ("internal.scheduler", &self.internal.scheduler),
            ("proxy.api", &self.proxy.api),
            ("proxy.stream", &self.proxy.stream),
            ("proxy.scheduler", &self.proxy.scheduler),
        ] {
            if let Some(url) = urls.iter().find(|url| !is_origin(url) || url.starts_with("https")) {
                return Err(ConfigError::new(
                    key,
                    format!("`{url}` is not like \"http://host:port\""),
                ));
            }
        }
        for origin in &self.gateway.origins {
            if origin != "*" && !is_origin(origin) {
                return Err(ConfigError::new(
                    "gateway.origins",
                    format!("`{origin}` is not like \"https://video.example\""),
                ));
            }
        }
        Ok(())
    }

    fn validate_secrets(&self) -> Result<(), ConfigError> {
        let token = &self.secrets.internal_token;
        if !token.is_empty() && token.expose().len() < MIN_TOKEN_LEN {
            return Err(ConfigError::new(
                "secrets.internal_token",
                format!("has at least {MIN_TOKEN_LEN} characters"),
            ));
        }
        if !self.secrets.grant_keys.is_empty() {
            self.grant_keys()?;
        }
        Ok(())
    }

    /// The parsed grant keys.
    pub fn grant_keys(&self) -> Result<GrantKeys, ConfigError> {
        let texts: Vec<String> = self
            .secrets
            .grant_keys
            .iter()
            .map(|key| key.expose().to_owned())
            .collect();
        GrantKeys::parse(&texts).map_err(|error| ConfigError::new("secrets.grant_keys", error))
    }

    fn validate_spans(&self) -> Result<(), ConfigError> {
        let at_least = |key: &str, span: Span, least: Duration| {
            if span.0 < least {
                return Err(ConfigError::new(
                    key,
                    format!("`{span}` is too short; at least {}", Span(least)),
                ));
            }
            Ok(())
        };
        let (ms, second) = (Duration::from_millis(1), Duration::from_secs(1));
        at_least("server.head_timeout", self.server.head_timeout, second)?;
        at_least("server.keep_alive", self.server.keep_alive, second)?;
        at_least("server.stall_timeout", self.server.stall_timeout, second)?;
        at_least("database.wait", self.database.wait, 100 * ms)?;
        at_least("internal.timeout", self.internal.timeout, 100 * ms)?;
        at_least("api.session_ttl", self.api.session_ttl, second)?;
        at_least("api.session_max_ttl", self.api.session_max_ttl, self.api.session_ttl.0)?;
        at_least("api.upload_grant_ttl", self.api.upload_grant_ttl, second)?;
        at_least("api.playback_grant_ttl", self.api.playback_grant_ttl, second)?;
        at_least("api.sign_in_window", self.api.sign_in_window, second)?;
        at_least("stream.stall_timeout", self.stream.stall_timeout, second)?;
        at_least(
            "stream.upload_expiry",
            self.stream.upload_expiry,
            self.stream.stall_timeout.0,
        )?;
        at_least("scheduler.lease", self.scheduler.lease, second)?;
        at_least("scheduler.poll", self.scheduler.poll, 10 * ms)?;
        at_least(
            "scheduler.expire_sessions_every",
            self.scheduler.expire_sessions_every,
            second,
        )?;
        at_least(
            "scheduler.expire_uploads_every",
            self.scheduler.expire_uploads_every,
            second,
        )?;
        at_least("scheduler.reconcile_every", self.scheduler.reconcile_every, second)?;
        at_least("scheduler.scrub_every", self.scheduler.scrub_every, second)?;
        at_least("stream.scrub_after", self.stream.scrub_after, second)?;
        at_least("proxy.connect_timeout", self.proxy.connect_timeout, 10 * ms)?;
        at_least("proxy.response_timeout", self.proxy.response_timeout, 10 * ms)?;
        at_least("gateway.call_timeout", self.gateway.call_timeout, 100 * ms)?;
        at_least("gateway.heartbeat", self.gateway.heartbeat, 100 * ms)?;
        let twice = 2 * self.gateway.heartbeat.0;
        at_least("gateway.dead_after", self.gateway.dead_after, twice)
    }

    fn validate_sizes(&self) -> Result<(), ConfigError> {
        for (key, size) in [
            ("stream.pace", self.stream.pace),
            ("stream.egress_per_user_day", self.stream.egress_per_user_day),
            ("stream.egress_per_address_day", self.stream.egress_per_address_day),
            ("stream.scrub_rate", self.stream.scrub_rate),
        ] {
            if size.0 > MAX_SIZE {
                return Err(ConfigError::new(key, format!("`{size}` is too large; 0 is no limit")));
            }
        }
        for (key, rate, least, off) in [
            ("stream.pace", self.stream.pace, MIN_PACE, "no limit"),
            ("stream.scrub_rate", self.stream.scrub_rate, MIN_SCRUB_RATE, "never"),
        ] {
            if (1..least).contains(&rate.0) {
                let problem = format!("`{rate}` is too slow; at least {}, or 0 for {off}", ByteSize(least));
                return Err(ConfigError::new(key, problem));
            }
        }
        Ok(())
    }

    fn validate_counts(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("server.max_connections", self.server.max_connections),
            ("database.readers", self.database.readers as usize),
            ("database.connections", self.database.connections as usize),
            ("api.max_sessions_cached", self.api.max_sessions_cached),
            ("api.sign_in_attempts", self.api.sign_in_attempts as usize),
            (
                "api.sign_in_attempts_per_address",
                self.api.sign_in_attempts_per_address as usize,
            ),
            (
                "api.registrations_per_address",
                self.api.registrations_per_address as usize,
            ),
            ("api.posts_per_second", self.api.posts_per_second as usize),
            ("api.post_burst", self.api.post_burst as usize),
            ("api.max_danmaku_per_video", self.api.max_danmaku_per_video as usize),
            ("api.password_hashers", self.api.password_hashers),
            ("api.password_queue", self.api.password_queue),
            (
                "stream.max_upload",
                usize::try_from(self.stream.max_upload.0).unwrap_or(usize::MAX),
            ),
            ("stream.rate", self.stream.rate as usize),
            ("stream.burst", self.stream.burst as usize),
            ("stream.max_clients", self.stream.max_clients),
            ("stream.max_streams", self.stream.max_streams),
            ("stream.max_streams_per_client", self.stream.max_streams_per_client),
            ("stream.max_uploads", self.stream.max_uploads),
            ("stream.max_uploads_per_user", self.stream.max_uploads_per_user),
            ("scheduler.workers", self.scheduler.workers),
            ("gateway.max_connections", self.gateway.max_connections),
            (
                "gateway.max_connections_per_platform",
                self.gateway.max_connections_per_platform,
            ),
            ("scheduler.attempts", self.scheduler.attempts as usize),
        ] {
            if value == 0 {
                return Err(ConfigError::new(key, "must be at least 1"));
            }
        }
        Ok(())
    }
}

/// `http://host[:port]` or `https://…`, nothing behind it.
pub(super) fn is_origin(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
}
