//! Events of users: one subscription per user while one of their connections on this shard is logged in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use common::bus::{Message, Subject};
use common::ids::Id;
use common::messages::UserEvent;
use tokio::task::AbortHandle;

use super::connection::Connection;
use super::outbound::Class;
use super::room::{Frames, encode};
use super::shard::Shard;

/// The event that may be dropped for a newer one.
const PROGRESS: &str = "OnUploadProgress";

#[derive(Default)]
pub struct Users(RefCell<HashMap<Id, Listening>>);

struct Listening {
    connections: Vec<Rc<Connection>>,
    task: AbortHandle,
}

impl Users {
    /// `connection` gets its user's events from now on.
    pub fn join(&self, shard: &Rc<Shard>, connection: &Rc<Connection>) {
        let user = &connection.caller.owner.user;
        let mut users = self.0.borrow_mut();
        let listening = users.entry(user.clone()).or_insert_with(|| Listening {
            connections: Vec::new(),
            task: listen(shard, user.clone()),
        });
        listening.connections.push(connection.clone());
    }

    pub fn leave(&self, user: &Id, connection: &Rc<Connection>) {
        let mut users = self.0.borrow_mut();
        let Some(listening) = users.get_mut(user) else { return };
        listening.connections.retain(|one| !Rc::ptr_eq(one, connection));
        if listening.connections.is_empty() {
            listening.task.abort();
            users.remove(user);
        }
    }

    fn push(&self, user: &Id, event: &UserEvent) {
        let users = self.0.borrow();
        let Some(listening) = users.get(user) else { return };
        let data = event.data.to_string();
        let operation = event.operation.as_ref().map_or("", |operation| operation.as_str());
        let class = if event.event == PROGRESS {
            Class::progress(event.data["videoID"].as_str().unwrap_or_default())
        } else {
            Class::Event
        };
        let mut encoded: [Option<Frames>; 2] = [None, None];
        for connection in &listening.connections {
            let (form, _) = connection.taste();
            let frames =
                encoded[form as usize].get_or_insert_with(|| encode::event(&event.event, &data, operation, form));
            connection.send(frames, class);
        }
    }
}

/// What their pages show may be out of date.
fn missed() -> UserEvent {
    UserEvent {
        event: "OnEventsMissed".to_owned(),
        data: serde_json::json!({}),
        operation: None,
    }
}

fn listen(shard: &Rc<Shard>, user: Id) -> AbortHandle {
    let mut bus = shard.shared.bus.subscribe(&Subject::User(user.clone()));
    // The task must not keep the shard alive: it ends with the last connection.
    let shard = Rc::downgrade(shard);
    let listening = async move {
        bus.established().await;
        while let Some(message) = bus.next().await {
            let Some(shard) = shard.upgrade() else { return };
            match &message {
                Message::Missed(count) => {
                    if *count > 0 {
                        log::info!(user_id = user.as_str(); "{count} events of a user were lost: the bus was too fast");
                    }
                    shard.users.push(&user, &missed());
                }
                Message::Data(_) => match message.decode::<UserEvent>() {
                    Some(event) => shard.users.push(&user, &event),
                    None => log::warn!(user_id = user.as_str(); "An event of a user can't be read"),
                },
            }
        }
    };
    tokio::task::spawn_local(listening).abort_handle()
}
