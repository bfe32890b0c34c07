//! An edge with its gateway before a fake api-service.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::bus::Subject;
use common::config::{Config, Span};
use common::ids::{Id, VideoId};
use common::messages::{RoomEntry, RoomEntryKind, SessionsRevoked, UserEvent};
use common::testing::{Running, eventually};
use serde_json::{Value, json};

use super::api::{Api, User};
use super::client::{Client, PATIENCE};
use super::knock::Knock;
use crate::edge;

/// Open sockets, and open rooms.
pub const CONNECTIONS: &str = "sluice_gateway_connections";
pub const ROOMS: &str = "sluice_gateway_rooms";

pub struct Site {
    pub edge: Running,
    pub api: Api,
}

/// Small enough to be run beside each other, deadlines long enough for a busy machine.
pub fn config(api: &Api) -> Config {
    let base = api.base.as_str();
    let mut config = edge::config(&[base], &[base], &[base]);
    config.internal.api = vec![base.to_owned()];
    config.internal.timeout = Span(Duration::from_secs(4));
    config.gateway.workers = 2;
    config
}

impl Site {
    pub async fn new() -> Site {
        Site::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Site {
        watch_panics();
        let api = Api::new().await;
        let mut config = config(&api);
        change(&mut config);
        let edge = edge::start(config).await;
        Site { edge, api }
    }

    pub fn base(&self) -> &str {
        &self.edge.public
    }

    pub async fn enter(&self, user: &User) -> Client {
        Knock::by(user).enter(self.base()).await
    }

    /// Connected and logged in.
    pub async fn logged_in(&self, user: &User) -> Client {
        let mut client = self.enter(user).await;
        client.login().await;
        client
    }

    /// Logged in and in a room.
    pub async fn member(&self, user: &User, room: &VideoId) -> Client {
        let mut client = self.logged_in(user).await;
        client.join(room).await;
        client
    }

    /// Tells the bus of a room's entry.
    pub fn publish(&self, entry: &RoomEntry) {
        self.edge
            .platform
            .bus
            .publish(&Subject::Video(entry.video.clone()), entry);
    }

    /// A danmaku as it should be: written, then told.
    pub fn danmaku(&self, room: &VideoId, text: &str) -> RoomEntry {
        let entry = self.unpublished(room, text);
        self.publish(&entry);
        entry
    }

    /// A danmaku of which the bus knows nothing.
    pub fn unpublished(&self, room: &VideoId, text: &str) -> RoomEntry {
        self.api
            .append(room, RoomEntryKind::Danmaku, json!({ "id": "d", "text": text }))
    }

    pub fn close_room(&self, room: &VideoId, reason: &str) {
        let entry = self
            .api
            .append(room, RoomEntryKind::Closed, json!({ "reason": reason }));
        self.publish(&entry);
    }

    pub fn tell(&self, user: &User, event: &str, data: Value) {
        let event = UserEvent {
            event: event.to_owned(),
            data,
            operation: None,
        };
        self.edge
            .platform
            .bus
            .publish(&Subject::User(user.id().clone()), &event);
    }

    /// Ends a session as sign-out does: in the record, then on the bus.
    pub fn revoke(&self, user: &User) {
        self.api.end_session(&user.owner.session);
        self.tell_revoked(user.id(), &user.owner.session);
    }

    pub fn tell_revoked(&self, user: &Id, session: &Id) {
        let message = SessionsRevoked {
            user: user.clone(),
            sessions: vec![session.clone()],
        };
        self.edge.platform.bus.publish(&Subject::SessionsRevoked, &message);
    }

    /// A number of the metrics page.
    pub fn metric(&self, name: &str) -> u64 {
        metric(&self.edge.platform.metrics.encode(), name)
    }

    pub async fn until_metric(&self, name: &str, wanted: u64) {
        eventually(&format!("{name} is {wanted}"), PATIENCE, || async {
            (self.metric(name) == wanted).then_some(())
        })
        .await;
    }

    /// Everybody has left, and nothing of them is there any more; then the end, which leaves no room either.
    pub async fn stop(self) {
        self.until_metric(CONNECTIONS, 0).await;
        let metrics = self.edge.platform.metrics.clone();
        self.edge.stop().await;
        assert_eq!(metric(&metrics.encode(), ROOMS), 0);
        assert_eq!(
            PANICS.load(Ordering::Relaxed),
            0,
            "something panicked on a thread of a gateway"
        );
    }
}

/// Panics on the gateways' threads. Their tasks may die silently: whoever waits for them sees nothing but time passing.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("gateway-"))
            {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            usual(panic);
        }));
    });
}

fn metric(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {page}"))
        .trim()
        .parse()
        .unwrap()
}
