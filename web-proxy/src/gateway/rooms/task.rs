//! The task of one room: listens to the bus, reads the record, and does what the core says is due.

use std::rc::Rc;
use std::time::{Duration, Instant};

use common::bus::{Message, Subject, Subscription};
use common::clients::ClientError;
use common::error::ApiError;
use common::messages::RoomLog;
use futures_util::FutureExt;

use super::{LINGER, Room, Status};
use crate::gateway::envelope::{Refusal, err_code};
use crate::gateway::frame::CloseCode;
use crate::gateway::room::{Entry, Read};
use crate::gateway::shard::Shard;

/// Entries that an opened room is given: as many as its ring keeps.
const TAIL: u32 = 200;

/// Entries of one reading of what is missing. They go out together, and must leave room in a member's queue.
const REPAIR: u32 = 100;

/// Longest wait for the first reading of a room's log; it is what a join waits for.
const OPENING: Duration = Duration::from_secs(4);

/// A room that nothing is due in is looked at as often.
const IDLE: Duration = Duration::from_secs(60);

/// Runs a room until it was empty for a while.
pub async fn run(shard: Rc<Shard>, room: Rc<Room>) {
    // Before the first reading, so that nothing is said between the two.
    let mut bus = shard.shared.bus.subscribe(&Subject::Video(room.id.clone()));
    bus.established().await;
    let guard = Ending {
        shard: shard.clone(),
        room: room.clone(),
    };
    loop {
        drain(&mut bus, &shard, &room);
        if !work(&shard, &room).await || room.is_over() {
            break;
        }
        let due = room.next_look();
        tokio::select! {
            message = bus.next() => match message {
                Some(message) => room.hear(&shard, &message),
                None => break,
            },
            () = room.nudge.notified() => {}
            () = tokio::time::sleep_until(due.into()) => {}
        }
    }
    drop(guard);
}

/// Takes the room out of the shard, whatever ended its task. Who is still in it (it panicked) must come back to go on
/// without a gap.
struct Ending {
    shard: Rc<Shard>,
    room: Rc<Room>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shard.rooms.remove(&self.room);
        self.shard.shared.metrics.rooms.dec();
        self.room.fail(Refusal::new(
            err_code::NOT_READY,
            "The room is being opened again; try again.",
        ));
        let members: Vec<_> = {
            let state = self.room.state.borrow();
            state
                .members
                .iter()
                .map(|(_, member)| member.connection.clone())
                .collect()
        };
        self.room.put_everybody_out();
        for connection in members {
            connection.close(CloseCode::Restart, "a room restarts");
        }
    }
}

/// What is there already is taken in at once: it goes out together.
fn drain(bus: &mut Subscription, shard: &Shard, room: &Room) {
    while let Some(Some(message)) = bus.next().now_or_never() {
        room.hear(shard, &message);
    }
}

/// Does what is due; `false` when the room can't be opened.
async fn work(shard: &Rc<Shard>, room: &Rc<Room>) -> bool {
    loop {
        let work = room.state.borrow_mut().core.poll(Instant::now());
        if let Some(flush) = &work.flush {
            room.deliver(shard, flush);
        }
        if work.count {
            room.tell_count();
        }
        match work.read {
            Some(read) if !fetch(shard, room, read).await => return false,
            None if work.flush.is_none() && !work.count => return true,
            _ => {}
        }
    }
}

/// Reads the record. A room whose first reading fails is given up: the joins that wait hear of it.
async fn fetch(shard: &Rc<Shard>, room: &Rc<Room>, read: Read) -> bool {
    let api = &shard.shared.clients.api;
    let answer = match read {
        Read::Tail => match tokio::time::timeout(OPENING, api.room_tail(&room.id, TAIL)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Away {
                service: "api-service",
                reason: format!("no answer within {OPENING:?}"),
            }),
        },
        Read::After(seq) => api.room_log(&room.id, seq, REPAIR).await,
    };
    match (answer, read) {
        (Ok(log), Read::Tail) => {
            let (head, entries) = (log.seq, entries(&log));
            let mut state = room.state.borrow_mut();
            state.core.opened(head, entries, Instant::now());
            state.status = Status::Open;
            room.opened.notify_waiters();
            true
        }
        (Ok(log), Read::After(_)) => {
            let (head, entries) = (log.seq, entries(&log));
            room.state.borrow_mut().core.page(entries, head, Instant::now());
            true
        }
        (Err(error), Read::Tail) => {
            let error = ApiError::from(error);
            room.fail(Refusal::of(error.code(), error.detail()));
            false
        }
        (Err(error), Read::After(_)) if matches!(error.status(), Some(404 | 410)) => {
            room.gone();
            room.state.borrow_mut().core.read_failed(Instant::now());
            true
        }
        (Err(error), Read::After(seq)) => {
            log::info!(video_id = room.id.as_str(); "The log of a room after {seq} can't be read now: {error}");
            room.state.borrow_mut().core.read_failed(Instant::now());
            true
        }
    }
}

/// What can be read of a page; an entry of another version that can't is left out, and shows as a gap in the log.
pub fn entries(log: &RoomLog) -> Vec<Entry> {
    log.items
        .iter()
        .filter_map(|entry| Entry::from_typed(entry).ok())
        .collect()
}

impl Room {
    fn hear(&self, shard: &Shard, message: &Message) {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        match message {
            Message::Data(bytes) => match Entry::parse(bytes) {
                Ok(entry) => state.core.entry(entry, now),
                Err(error) => {
                    log::warn!(video_id = self.id.as_str(); "A message to a room can't be read: {error}");
                    state.core.missed(now);
                }
            },
            // The broker was away, for all rooms: they are asked about together.
            Message::Missed(0) if matches!(state.status, Status::Open) => shard.interrupted.notify_one(),
            Message::Missed(_) => state.core.missed(now),
        }
    }

    /// The room can't be had; the first reason stays.
    fn fail(&self, refusal: Refusal) {
        let status = &mut self.state.borrow_mut().status;
        if !matches!(status, Status::Failed(_)) {
            *status = Status::Failed(refusal);
        }
        self.opened.notify_waiters();
    }

    fn next_look(&self) -> Instant {
        let state = self.state.borrow();
        let idle = Instant::now() + IDLE;
        let emptied = state.empty_since.map(|since| since + LINGER);
        [state.core.due(), emptied]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }

    fn is_over(&self) -> bool {
        let state = self.state.borrow();
        let abandoned = state.empty_since.is_some_and(|since| since.elapsed() >= LINGER);
        abandoned && state.members.is_empty() && self.holds.get() == 0
    }
}
