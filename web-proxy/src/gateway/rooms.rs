//! The rooms of one shard: each is the core (`room`), its members, a subscription to the bus, and a task that does what the
//! core asks for. A room stays for a while after its last member left, because most who leave come back.

mod access;
mod join;
mod task;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::error::Code;
use common::ids::VideoId;
use slab::Slab;
use tokio::sync::Notify;

use super::connection::Connection;
use super::counts::RoomCount;
use super::envelope::Refusal;
use super::outbound::Class;
use super::room::{Flush, Form, Room as Core, encode};
use super::shard::Shard;
use access::Access;
pub use join::{Budget, Joining, prepare};

/// How long a room without members is kept: a reconnect storm finds its log in memory.
const LINGER: Duration = Duration::from_secs(30);

/// Rooms of one shard. A room is at most 256 KiB of log, and far less as a rule.
const MAX_ROOMS: usize = 20_000;

/// Members that are looked at before the first of them is sent to. Each lies elsewhere in memory; this way the processor
/// fetches eight at a time instead of waiting for each (4 % of a delivery, see docs/performance.md).
const TOGETHER: usize = 8;

/// Rooms of one connection.
pub const MAX_PER_CONNECTION: usize = 100;

/// The rooms of a shard.
#[derive(Default)]
pub struct Rooms(RefCell<HashMap<VideoId, Rc<Room>>>);

/// One room.
pub struct Room {
    pub id: VideoId,
    state: RefCell<State>,
    access: Access,
    /// Its members on all shards, and in other gateways.
    count: Arc<RoomCount>,
    /// Joins under way; the room is not given up meanwhile.
    holds: Cell<usize>,
    /// The task is to look at the room.
    nudge: Notify,
    /// The room is open, or will not be.
    opened: Notify,
}

struct State {
    core: Core,
    members: Slab<Member>,
    status: Status,
    /// Grows whenever everybody is put out: what was allowed before is asked again.
    closings: u64,
    empty_since: Option<Instant>,
    told_count: usize,
}

struct Member {
    connection: Rc<Connection>,
    /// It has not got all yet that was said before it came: up to this entry it asks, the later ones reach it live.
    paging: Option<i64>,
}

enum Status {
    Opening,
    Open,
    /// Its log can't be read; it is taken out of the shard.
    Failed(Refusal),
}

/// One connection in one room.
pub struct Membership {
    room: Rc<Room>,
    key: usize,
}

impl Rooms {
    /// The room, begun now if nobody was in it.
    pub fn enter(&self, shard: &Rc<Shard>, id: &VideoId) -> Result<Rc<Room>, Refusal> {
        if let Some(room) = self.0.borrow().get(id) {
            return Ok(room.clone());
        }
        if self.0.borrow().len() >= MAX_ROOMS {
            return Err(Refusal::of(
                Code::Overloaded,
                "Too many rooms are open here; try again shortly.",
            ));
        }
        let room = Rc::new(Room {
            id: id.clone(),
            state: RefCell::new(State {
                core: Core::new(Instant::now()),
                members: Slab::new(),
                status: Status::Opening,
                closings: 0,
                empty_since: Some(Instant::now()),
                told_count: 0,
            }),
            access: Access::default(),
            count: shard.shared.counts.of(id),
            holds: Cell::new(0),
            nudge: Notify::new(),
            opened: Notify::new(),
        });
        self.0.borrow_mut().insert(id.clone(), room.clone());
        shard.shared.metrics.rooms.inc();
        drop(tokio::task::spawn_local(task::run(shard.clone(), room.clone())));
        Ok(room)
    }

    fn remove(&self, room: &Rc<Room>) {
        let mut rooms = self.0.borrow_mut();
        if rooms.get(&room.id).is_some_and(|known| Rc::ptr_eq(known, room)) {
            rooms.remove(&room.id);
        }
    }

    /// All that are open, also those that everybody has left.
    pub fn all(&self) -> Vec<VideoId> {
        self.0.borrow().keys().cloned().collect()
    }

    /// The rooms that somebody is in.
    pub fn occupied(&self) -> Vec<VideoId> {
        let rooms = self.0.borrow();
        let occupied = rooms.values().filter(|room| !room.state.borrow().members.is_empty());
        occupied.map(|room| room.id.clone()).collect()
    }

    /// The record of `id` is at `seq`; `None`: there is no such video any more.
    pub fn head(&self, id: &VideoId, seq: Option<i64>) {
        let Some(room) = self.0.borrow().get(id).cloned() else {
            return;
        };
        match seq {
            Some(seq) => {
                room.state.borrow_mut().core.head(seq, Instant::now());
                room.nudge.notify_one();
            }
            None => room.gone(),
        }
    }

    /// Counts that changed on another shard or in another gateway are told here too.
    pub fn notice_counts(&self) {
        for room in self.0.borrow().values() {
            let count = room.count.total();
            let mut state = room.state.borrow_mut();
            if count != state.told_count && !state.members.is_empty() {
                state.told_count = count;
                state.core.count_changed(Instant::now());
                room.nudge.notify_one();
            }
        }
    }
}

impl Room {
    pub fn members(&self) -> usize {
        self.count.total()
    }

    /// Sends what is due to everybody; who is put out by it is.
    fn deliver(self: &Rc<Self>, shard: &Shard, flush: &Flush) {
        {
            let state = self.state.borrow();
            let mut members = state.members.iter().map(|(_, member)| &member.connection);
            loop {
                let group: [_; TOGETHER] =
                    std::array::from_fn(|_| members.next().map(|connection| (connection, connection.taste())));
                for (connection, (data, batch)) in group.into_iter().flatten() {
                    connection.send(flush.frames(Form { data, batch }), Class::Event);
                }
                if group[TOGETHER - 1].is_none() {
                    break;
                }
            }
            let deliveries = flush.entries().len() * state.members.len();
            shard.shared.metrics.deliveries.inc_by(deliveries as u64);
        }
        if flush.closes() {
            self.put_everybody_out();
        }
    }

    fn tell_count(&self) {
        let state = self.state.borrow();
        let (count, seq) = (self.members(), state.core.sent());
        let mut encoded = [None, None];
        for (_, member) in &state.members {
            let (data, _) = member.connection.taste();
            let frames = encoded[data as usize].get_or_insert_with(|| encode::member_count(&self.id, count, seq, data));
            member.connection.send(frames, Class::count(&self.id));
        }
    }

    /// The video was purged, and its log with it: what was said about that can't be read any more.
    fn gone(self: &Rc<Self>) {
        let entry = common::messages::RoomEntry {
            video: self.id.clone(),
            seq: self.state.borrow().core.sent() + 1,
            kind: common::messages::RoomEntryKind::Closed,
            at: common::time::Timestamp::now(),
            operation: None,
            data: serde_json::json!({ "reason": "purged" }),
        };
        let Ok(entry) = super::room::Entry::from_typed(&entry) else {
            return;
        };
        let flush = Flush::new(vec![entry]);
        for (_, member) in &self.state.borrow().members {
            let (data, batch) = member.connection.taste();
            member.connection.send(flush.frames(Form { data, batch }), Class::Event);
        }
        self.put_everybody_out();
        self.nudge.notify_one();
    }

    fn put_everybody_out(self: &Rc<Self>) {
        let members = {
            let mut state = self.state.borrow_mut();
            state.closings += 1;
            state.core.set_members(0);
            state.empty_since = Some(Instant::now());
            std::mem::take(&mut state.members)
        };
        self.access.forget();
        self.count.leave(members.len());
        for (_, member) in members {
            member.connection.put_out(self);
        }
    }
}

impl Membership {
    /// Its place among the members of the room.
    pub fn key(&self) -> usize {
        self.key
    }

    pub fn is_of(&self, room: &Rc<Room>) -> bool {
        Rc::ptr_eq(&self.room, room)
    }

    pub fn is_in(&self, id: &VideoId) -> bool {
        self.room.id == *id
    }

    pub fn leave(self) {
        let Membership { room, key } = self;
        {
            let mut state = room.state.borrow_mut();
            if state.members.try_remove(key).is_none() {
                return;
            }
            let count = state.members.len();
            state.core.set_members(count);
            state.core.count_changed(Instant::now());
            if count == 0 {
                state.empty_since = Some(Instant::now());
                // A crowd that left leaves no table behind.
                state.members.shrink_to_fit();
            }
            state.told_count = room.count.leave(1);
        }
        room.nudge.notify_one();
    }
}
