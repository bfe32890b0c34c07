//! What a connection belongs to: its login, its rooms, its user's events. Each change is one step that waits for nothing.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use common::ids::VideoId;

use super::Connection;
use super::closing::Closing;
use crate::gateway::envelope::{DataForm, Refusal, err_code};
use crate::gateway::rooms::{Membership, Room};
use crate::gateway::session::Call;
use crate::gateway::shard::Shard;

/// The right to join a room, until the room is left: a LeaveRoom that overtakes a JoinRoom is the later word.
pub(super) struct Ticket {
    connection: Weak<Connection>,
    video: VideoId,
    valid: Rc<Cell<bool>>,
}

impl Ticket {
    pub(super) fn new(connection: &Weak<Connection>, video: &VideoId) -> Ticket {
        let valid = Rc::new(Cell::new(true));
        if let Some(connection) = connection.upgrade() {
            let joining = &mut connection.touch().joining;
            joining.push((video.clone(), valid.clone()));
        }
        Ticket {
            connection: connection.clone(),
            video: video.clone(),
            valid,
        }
    }

    pub(super) fn use_up(self) -> Result<(), Refusal> {
        if self.valid.get() {
            return Ok(());
        }
        let message = format!("Room {} was left while it was being joined.", self.video);
        Err(Refusal::new(err_code::NOT_READY, message))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.upgrade() {
            let joining = &mut connection.touch().joining;
            joining.retain(|(_, valid)| !Rc::ptr_eq(valid, &self.valid));
        }
    }
}

impl Connection {
    /// The form of events for this client, and whether entries come to it as arrays.
    pub fn taste(&self) -> (DataForm, bool) {
        let hot = self.hot.get();
        (hot.form, hot.batch)
    }

    /// Ends the login that `call` began: the user's events come here from now on. `false` when a logout came first.
    pub(super) fn log_in(self: &Rc<Self>, shard: &Rc<Shard>, call: &Call) -> bool {
        let begin_listening = {
            let mut inner = self.touch();
            if inner.closing.is_some() || !inner.session.log_in(call.epoch, call.request.batch) {
                return false;
            }
            !std::mem::replace(&mut inner.listens, true)
        };
        if begin_listening {
            shard.users.join(shard, self);
        }
        true
    }

    pub(super) fn is_logged_in(&self, epoch: u32) -> bool {
        let inner = self.inner.borrow();
        inner.closing.is_none() && inner.session.is_logged_in(epoch)
    }

    pub(super) fn set_batch(&self, batch: bool) {
        self.touch().session.set_batch(batch);
    }

    pub(super) fn leave(&self, id: &VideoId) {
        let membership = {
            let mut inner = self.touch();
            let joining = inner.joining.iter().filter(|(video, _)| video == id);
            joining.for_each(|(_, valid)| valid.set(false));
            let position = inner.rooms.iter().position(|membership| membership.is_in(id));
            position.map(|position| inner.rooms.swap_remove(position))
        };
        if let Some(membership) = membership {
            membership.leave();
        }
    }

    /// Ends login, memberships and the user's events.
    pub fn log_out(self: &Rc<Self>, shard: &Shard) {
        let (rooms, listened) = {
            let mut inner = self.touch();
            inner.session.log_out();
            (std::mem::take(&mut inner.rooms), std::mem::take(&mut inner.listens))
        };
        rooms.into_iter().for_each(Membership::leave);
        if listened {
            shard.users.leave(&self.caller.owner.user, self);
        }
    }

    pub fn rooms(&self) -> usize {
        self.inner.borrow().rooms.len()
    }

    /// The key of this connection in the room `id`, if it is in it.
    pub fn membership(&self, id: &VideoId) -> Option<usize> {
        let inner = self.inner.borrow();
        inner
            .rooms
            .iter()
            .find(|membership| membership.is_in(id))
            .map(Membership::key)
    }

    pub fn joined(&self, membership: Membership) {
        self.touch().rooms.push(membership);
    }

    /// Forgets a room that has put everybody out.
    pub fn put_out(&self, room: &Rc<Room>) {
        let mut inner = self.touch();
        inner.rooms.retain(|membership| !membership.is_of(room));
    }

    /// Leaves everything; the last thing that happens to a connection.
    pub fn detach(self: &Rc<Self>, shard: &Shard) {
        self.log_out(shard);
        let mut inner = self.touch();
        inner.held = Vec::new();
        let closing = inner.closing.get_or_insert_with(Closing::dead);
        closing.give_up();
        shard.shared.metrics.closed(closing.code());
    }
}
