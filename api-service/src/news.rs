//! What a change tells the other services and the open connections once it is committed. A change collects its news inside
//! of its transaction; they are told after the commit by whoever committed, so that a client that leaves takes nothing with it.

use common::bus::{Bus, Subject};
use common::db::AnyConn;
use common::error::ApiError;
use common::ids::{Id, VideoId};
use common::messages::{MediaChanged, RoomEntry, UserEvent};
use common::operation::OperationId;
use common::outbox::Relay;
use common::views::User;

use crate::sessions::Sessions;
use crate::state::{State, operation};

/// The news of one change, in their order.
pub struct News {
    operation: OperationId,
    items: Vec<Item>,
}

enum Item {
    Entry(RoomEntry),
    Event(Id, UserEvent),
    Media(VideoId),
    Sessions(Id, Vec<Id>),
}

impl News {
    fn new(operation: OperationId) -> Self {
        News {
            operation,
            items: Vec::new(),
        }
    }

    /// What the change is a part of.
    pub fn operation(&self) -> &OperationId {
        &self.operation
    }

    /// For whoever is in the room.
    pub fn entry(&mut self, entry: RoomEntry) {
        self.items.push(Item::Entry(entry));
    }

    /// For the owner's connections.
    pub fn owner(&mut self, owner: &Id, event: &str, video: &VideoId) {
        let event = UserEvent::about(event, video, Some(self.operation.clone()));
        self.items.push(Item::Event(owner.clone(), event));
    }

    /// For the connections of a person that changed what is shown of them.
    pub fn profile(&mut self, user: &User) {
        let event = UserEvent {
            event: "OnSelfInfoUpdated".to_owned(),
            data: serde_json::to_value(user).expect("a user is plain data"),
            operation: Some(self.operation.clone()),
        };
        self.items.push(Item::Event(user.id.clone(), event));
    }

    /// The media of `video` was hidden, shown or closed to old links, and the outbox has the messages that make it so.
    pub fn media(&mut self, video: &VideoId) {
        self.items.push(Item::Media(video.clone()));
    }

    /// These sessions ended.
    pub fn sessions(&mut self, user: &Id, ended: Vec<Id>) {
        self.items.push(Item::Sessions(user.clone(), ended));
    }

    fn tell(&self, bus: &Bus, relay: &Relay, sessions: &Sessions) {
        for item in &self.items {
            match item {
                Item::Entry(entry) => bus.publish(&Subject::Video(entry.video.clone()), entry),
                Item::Event(user, event) => bus.publish(&Subject::User(user.clone()), event),
                Item::Media(video) => {
                    bus.publish(&Subject::MediaChanged, &MediaChanged { video: video.clone() });
                    relay.wake();
                }
                Item::Sessions(user, ended) => sessions.ended(user, ended.clone()),
            }
        }
    }
}

impl State {
    /// Makes one change in one transaction and tells its news after the commit.
    pub async fn change<T, F>(&self, change: F) -> Result<T, ApiError>
    where
        F: FnOnce(&mut AnyConn, &mut News) -> Result<T, ApiError> + Send + 'static,
        T: Send + 'static,
    {
        let mut news = News::new(operation());
        let (bus, relay, sessions) = (self.bus.clone(), self.relay.clone(), self.sessions.clone());
        let in_transaction = move |conn: &mut AnyConn| change(conn, &mut news).map(|value| (value, news));
        let changed = self
            .db
            .write_then(in_transaction, move |(_, news)| news.tell(&bus, &relay, &sessions));
        changed.await.map(|(value, _)| value)
    }
}
