//! The sections of the configuration, with their defaults. A field's comment is its line in `sluice default-config`
//! (see `config/docs.rs`); an empty text means "not set".

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::units::{ByteSize, Span};

/// The whole configuration: one file of sections, the same names everywhere.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: ServerConfig,
    pub log: LogConfig,
    pub database: DatabaseConfig,
    pub store: StoreConfig,
    pub bus: BusConfig,
    pub internal: InternalConfig,
    pub secrets: SecretsConfig,
    pub api: ApiConfig,
    pub stream: StreamConfig,
    pub scheduler: SchedulerConfig,
    pub proxy: ProxyConfig,
    pub gateway: GatewayConfig,
}

macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $kind:ty = $default:expr,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $(pub $field: $kind),* }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }
    };
}

section! {
    /// The listeners of a process.
    ServerConfig {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        public_url: String = String::new(),
        data_dir: String = "./sluice-data".into(),
        socket_dir: String = String::new(),
        trusted_proxies: Vec<String> = Vec::new(),
        workers: usize = 0,
        max_connections: usize = 10_000,
        head_timeout: Span = Span::seconds(10),
        keep_alive: Span = Span::seconds(75),
        stall_timeout: Span = Span::seconds(60),
        drain_delay: Span = Span::seconds(0),
        drain_timeout: Span = Span::seconds(25),
        zero_copy: bool = true,
        capture_uploads: bool = true,
        fast_path: bool = true,
    }
}

section! {
    LogConfig {
        level: String = "info".into(),
        format: LogFormat = LogFormat::Text,
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

section! {
    /// Where each service keeps its tables. An empty URL is `sqlite:<data_dir>/<service>.db`.
    DatabaseConfig {
        api: Secret = Secret::default(),
        stream: Secret = Secret::default(),
        scheduler: Secret = Secret::default(),
        readers: u32 = 4,
        connections: u32 = 8,
        wait: Span = Span::seconds(5),
    }
}

section! {
    /// Where media lies. The keys after `url` are those of an S3 store.
    StoreConfig {
        url: String = String::new(),
        endpoint: String = String::new(),
        region: String = "us-east-1".into(),
        access_key: String = String::new(),
        secret_key: Secret = Secret::default(),
        path_style: bool = true,
        ca_file: String = String::new(),
    }
}

section! {
    BusConfig {
        url: Secret = Secret::default(),
        prefix: String = "sluice".into(),
        token: Secret = Secret::default(),
        user: Secret = Secret::default(),
        password: Secret = Secret::default(),
    }
}

section! {
    /// The listener and addresses of the calls between services.
    InternalConfig {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 0)),
        api: Vec<String> = Vec::new(),
        stream: Vec<String> = Vec::new(),
        scheduler: Vec<String> = Vec::new(),
        timeout: Span = Span::seconds(10),
    }
}

section! {
    SecretsConfig {
        internal_token: Secret = Secret::default(),
        grant_keys: Vec<Secret> = Vec::new(),
        admin_username: String = "admin".into(),
        admin_password: Secret = Secret::default(),
    }
}

section! {
    ApiConfig {
        session_ttl: Span = Span::hours(30 * 24),
        session_max_ttl: Span = Span::hours(90 * 24),
        max_sessions_cached: usize = 10_000,
        trash_retention: Span = Span::hours(7 * 24),
        upload_grant_ttl: Span = Span::hours(24),
        playback_grant_ttl: Span = Span::hours(6),
        sign_in_attempts: u32 = 10,
        sign_in_attempts_per_address: u32 = 100,
        registrations_per_address: u32 = 20,
        sign_in_window: Span = Span::seconds(15 * 60),
        posts_per_second: u32 = 5,
        post_burst: u32 = 20,
        max_danmaku_per_video: u32 = 100_000,
        password_hashers: usize = 1,
        password_queue: usize = 64,
    }
}

section! {
    StreamConfig {
        max_upload: ByteSize = ByteSize(2 << 30),
        min_free: ByteSize = ByteSize(256 << 20),
        rate: u32 = 50,
        burst: u32 = 200,
        max_clients: usize = 100_000,
        max_streams: usize = 2_000,
        max_streams_per_client: usize = 16,
        max_uploads: usize = 64,
        max_uploads_per_user: usize = 4,
        pace: ByteSize = ByteSize(0),
        egress_per_user_day: ByteSize = ByteSize(0),
        egress_per_address_day: ByteSize = ByteSize(0),
        stall_timeout: Span = Span::seconds(60),
        upload_expiry: Span = Span::hours(24),
        orphan_grace: Span = Span::hours(1),
        scrub_after: Span = Span::hours(30 * 24),
        scrub_rate: ByteSize = ByteSize(32 << 20),
    }
}

section! {
    SchedulerConfig {
        workers: usize = 64,
        lease: Span = Span::seconds(30),
        attempts: u32 = 8,
        poll: Span = Span::seconds(5),
        expire_sessions_every: Span = Span::hours(1),
        expire_uploads_every: Span = Span::seconds(10 * 60),
        reconcile_every: Span = Span::hours(6),
        scrub_every: Span = Span::seconds(10 * 60),
        orphan_grace: Span = Span::hours(1),
        keep_finished: Span = Span::hours(7 * 24),
    }
}

section! {
    /// The services behind the edge in scaled mode: their public listeners, `http://host:port`.
    ProxyConfig {
        api: Vec<String> = Vec::new(),
        stream: Vec<String> = Vec::new(),
        scheduler: Vec<String> = Vec::new(),
        connect_timeout: Span = Span::seconds(1),
        response_timeout: Span = Span::seconds(60),
    }
}

section! {
    /// The real-time gateway of the edge.
    GatewayConfig {
        workers: usize = 0,
        max_connections: usize = 20_000,
        max_connections_per_platform: usize = 10,
        origins: Vec<String> = Vec::new(),
        query_token: bool = true,
        call_timeout: Span = Span::seconds(5),
        heartbeat: Span = Span::seconds(25),
        dead_after: Span = Span::seconds(60),
    }
}
