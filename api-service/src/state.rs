//! What the handlers of api-service share; one for all workers.

use std::net::IpAddr;

use actix_web::HttpRequest;
use common::bus::Bus;
use common::config::{Config, ConfigError};
use common::db::Db;
use common::error::ApiError;
use common::grant::{Grant, GrantKeys, Permission};
use common::http::CookieName;
use common::ids::{Id, VideoId};
use common::net::TrustedProxies;
use common::operation::{self, OperationId};
use common::outbox::Relay;
use common::plain::Fields;
use common::service::Platform;
use common::time::Timestamp;

use crate::auth::Cookies;
use crate::passwords::Passwords;
use crate::post_limit::PostLimit;
use crate::session_cache::Session;
use crate::sessions::Sessions;
use crate::sign_in_limit::SignInLimit;
use crate::windows::RegistrationLimit;
use common::views::Upload;

#[derive(Clone)]
pub struct State {
    pub db: Db,
    pub sessions: Sessions,
    pub passwords: Passwords,
    pub sign_ins: SignInLimit,
    pub registrations: RegistrationLimit,
    pub posts: PostLimit,
    pub cookies: Cookies,
    pub settings: Settings,
    proxies: TrustedProxies,
    grants: GrantKeys,
    pub bus: Bus,
    pub relay: Relay,
}

/// What the configuration says about videos; durations in milliseconds.
#[derive(Debug, Clone)]
pub struct Settings {
    pub trash_retention: i64,
    pub upload_grant_ttl: i64,
    pub playback_grant_ttl: i64,
    pub max_upload: u64,
    pub max_danmaku_per_video: i64,
    /// In front of links; empty: they have no host.
    public_url: String,
}

fn millis(span: common::config::Span) -> i64 {
    i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX)
}

impl State {
    pub fn new(config: &Config, platform: &Platform, db: &Db, relay: &Relay) -> Result<Self, ConfigError> {
        let proxies = TrustedProxies::parse(&config.server.trusted_proxies)?;
        Ok(State {
            db: db.clone(),
            sessions: Sessions::new(db, &platform.bus, &config.api),
            passwords: Passwords::new(config.api.password_hashers, config.api.password_queue).map_err(|error| {
                ConfigError::new("api.password_hashers", format!("no thread for a hasher: {error}"))
            })?,
            sign_ins: SignInLimit::new(&config.api),
            registrations: RegistrationLimit::new(config.api.registrations_per_address, config.api.sign_in_window.0),
            posts: PostLimit::new(&config.api),
            cookies: Cookies {
                secure: CookieName::of(&config.server.public_url) == CookieName::Host,
            },
            settings: Settings {
                trash_retention: millis(config.api.trash_retention),
                upload_grant_ttl: millis(config.api.upload_grant_ttl),
                playback_grant_ttl: millis(config.api.playback_grant_ttl),
                max_danmaku_per_video: i64::from(config.api.max_danmaku_per_video),
                max_upload: config.stream.max_upload.0,
                public_url: config.server.public_url.clone(),
            },
            proxies,
            grants: platform.grants.clone(),
            bus: platform.bus.clone(),
            relay: relay.clone(),
        })
    }

    /// The client's address, through trusted proxies only.
    pub fn client(&self, request: &HttpRequest) -> Result<IpAddr, ApiError> {
        let peer = request
            .peer_addr()
            .ok_or_else(|| ApiError::internal("the connection has no peer address"))?;
        Ok(self.proxies.client(peer.ip(), Fields::Map(request.headers())))
    }

    /// A ticket to send the bytes of `video` until `until` (Unix ms).
    pub fn upload(&self, video: &VideoId, session: &Session, until: i64) -> Upload {
        let max_bytes = self.settings.max_upload;
        let grant = Grant {
            permission: Permission::Upload {
                max_bytes,
                session: session.id.clone(),
            },
            video: video.clone(),
            user: Some(session.user.clone()),
            expires_ms: until,
            version: 0,
        };
        Upload {
            url: format!("{}/uploads/by-video/{video}", self.settings.public_url),
            grant: self.grants.sign(&grant),
            max_bytes,
            expires_at: Timestamp(until),
        }
    }

    /// The address of the original bytes of `video`, and when it stops to work: then, or when the video gets past this
    /// version of its grants.
    pub fn playback(&self, video: &VideoId, grant_version: i64, viewer: Option<&Id>) -> (String, Timestamp) {
        let until = Timestamp::now()
            .millis()
            .saturating_add(self.settings.playback_grant_ttl);
        let grant = self.grants.sign(&Grant {
            permission: Permission::Play,
            video: video.clone(),
            user: viewer.cloned(),
            expires_ms: until,
            version: grant_version,
        });
        let url = format!("{}/media/{grant}/{video}/file", self.settings.public_url);
        (url, Timestamp(until))
    }
}

/// The operation of the calling task, for messages that are written inside of a transaction.
pub fn operation() -> OperationId {
    operation::current_or_mint()
}
