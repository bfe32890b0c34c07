//! What tests do to the fake api-service.

use std::time::Duration;

use common::error::Code;
use common::ids::{Id, VideoId};
use common::messages::{Role, RoomEntry, RoomEntryKind, TokenOwner};
use common::testing::eventually;
use common::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Api, Held, Room, User, problem};

impl Api {
    /// A new person, signed in.
    pub fn user(&self, name: &str) -> User {
        self.sign_in(name, Id::now(), Duration::from_secs(3600))
    }

    /// Another session of `user`.
    pub fn again(&self, user: &User) -> User {
        self.sign_in(user.name(), user.id().clone(), Duration::from_secs(3600))
    }

    pub fn sign_in(&self, name: &str, user: Id, for_so_long: Duration) -> User {
        let session = Id::now();
        let owner = TokenOwner {
            user,
            session: session.clone(),
            username: name.into(),
            role: Role::User,
            expires_at: Timestamp::now() + for_so_long,
        };
        let token = format!("secret-{}", session.as_str().replace('-', ""));
        self.state.borrow_mut().sessions.insert(token.clone(), owner.clone());
        User { token, owner }
    }

    /// Ends a session in the record; nobody is told.
    pub fn end_session(&self, session: &Id) {
        let mut state = self.state.borrow_mut();
        state.sessions.retain(|_, owner| owner.session != *session);
    }

    /// A public video.
    pub fn room(&self) -> VideoId {
        let id = VideoId::random();
        self.state.borrow_mut().rooms.insert(id.clone(), Room::default());
        id
    }

    pub fn private_room(&self, owner: &User) -> VideoId {
        let id = self.room();
        self.make_private(&id, owner);
        id
    }

    pub fn make_private(&self, id: &VideoId, owner: &User) {
        self.state.borrow_mut().rooms.get_mut(id).unwrap().private_to = Some(owner.id().clone());
    }

    pub fn make_public(&self, id: &VideoId) {
        self.state.borrow_mut().rooms.get_mut(id).unwrap().private_to = None;
    }

    /// The video and its log are no more.
    pub fn purge(&self, id: &VideoId) {
        self.state.borrow_mut().rooms.remove(id);
    }

    /// Writes an entry to a room's log; nobody is told.
    pub fn append(&self, id: &VideoId, kind: RoomEntryKind, data: Value) -> RoomEntry {
        let mut state = self.state.borrow_mut();
        let entries = &mut state.rooms.get_mut(id).unwrap().entries;
        let entry = RoomEntry {
            video: id.clone(),
            seq: entries.len() as i64 + 1,
            kind,
            at: Timestamp::now(),
            operation: None,
            data,
        };
        entries.push(entry.clone());
        entry
    }

    /// Takes an entry back: its data is gone from the log, and a new entry says so.
    pub fn revoke(&self, id: &VideoId, seq: i64) -> RoomEntry {
        {
            let mut state = self.state.borrow_mut();
            state.rooms.get_mut(id).unwrap().entries[seq as usize - 1].data = Value::Null;
        }
        let data = json!({ "id": format!("d{seq}"), "kind": "danmaku", "seq": seq });
        self.append(id, RoomEntryKind::Revoked, data)
    }

    /// Holds back requests whose line contains `part`, from now on, until the answer is dropped.
    pub fn hold(&self, part: &str) -> Held {
        let (sender, receiver) = watch::channel(false);
        self.state.borrow_mut().holds.push((part.to_owned(), receiver));
        Held(sender)
    }

    /// Decides about such requests, but holds the answers back.
    pub fn hold_answers(&self, part: &str) -> Held {
        let (sender, receiver) = watch::channel(false);
        self.state.borrow_mut().late.push((part.to_owned(), receiver));
        Held(sender)
    }

    /// Answers requests whose line contains `part` with this from now on.
    pub fn answer_with(&self, part: &str, status: u16, body: &str) {
        self.state
            .borrow_mut()
            .answers
            .push((part.to_owned(), status, body.to_owned()));
    }

    /// Fails requests whose line contains `part`.
    pub fn fail_with(&self, part: &str, code: Code) {
        let (status, text) = problem(code);
        self.answer_with(part, status, &text);
    }

    /// Ends [`answer_with`](Self::answer_with) and [`fail_with`](Self::fail_with).
    pub fn recover(&self) {
        self.state.borrow_mut().answers.clear();
    }

    /// No request is answered, or all are again.
    pub fn set_away(&self, away: bool) {
        self.state.borrow_mut().away = away;
    }

    /// Requests whose line contains `part`, so far.
    pub fn count(&self, part: &str) -> usize {
        self.state
            .borrow()
            .calls
            .iter()
            .filter(|line| line.contains(part))
            .count()
    }

    pub async fn until_count(&self, part: &str, count: usize) {
        let what = format!("{count} requests {part}");
        eventually(&what, Duration::from_secs(15), || async {
            (self.count(part) >= count).then_some(())
        })
        .await;
    }
}
