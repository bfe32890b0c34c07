//! Joining a room in two steps: what has to be waited for (the room opens, api-service allows it, a page of the record is
//! read), then one step that waits for nothing and in which the member is there, with all that was sent before.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use common::error::ApiError;
use common::ids::VideoId;
use common::messages::RoomLog;
use tokio::sync::Semaphore;

use super::access::unseen;
use super::{MAX_PER_CONNECTION, Member, Membership, Room, Status, task};
use crate::gateway::connection::Connection;
use crate::gateway::envelope::{Refusal, err_code};
use crate::gateway::functions::Caller;
use crate::gateway::room::{Flush, JOIN_BYTES, JOIN_ENTRIES, Join, Paged, Start, encode};
use crate::gateway::shard::Shard;

/// How often a join looks again before it gives up: the room was closed or went on while it waited.
const ATTEMPTS: usize = 5;

/// Pages of the record that are read at the same time for one call: together with what was read before they fit into what
/// may wait for a connection.
const PAGES_AT_ONCE: usize = 2;

/// Of an entry, beside its data.
const ENTRY_BYTES: usize = 150;

/// What one answer may carry of the past: a login names up to a hundred rooms, each of which may have a page of it. Once
/// it is spent, rooms are joined without their past, which is not complete then: the client fetches it by `JoinRoom`.
pub struct Budget {
    bytes: Cell<usize>,
    turns: Semaphore,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            bytes: Cell::new(JOIN_BYTES),
            turns: Semaphore::new(PAGES_AT_ONCE),
        }
    }
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.bytes.get() == 0
    }

    fn spend(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
    }
}

/// A join that has waited for all it needs.
pub struct Joining {
    room: Rc<Room>,
    after: Option<i64>,
    page: Option<RoomLog>,
    /// The past is not for this answer.
    later: bool,
    closings: u64,
}

impl Drop for Joining {
    fn drop(&mut self) {
        self.room.holds.set(self.room.holds.get() - 1);
        self.room.nudge.notify_one();
    }
}

/// Gets ready to join `id` after the entry `after`.
pub async fn prepare(
    shard: &Rc<Shard>,
    caller: &Caller,
    id: &VideoId,
    after: Option<i64>,
    budget: &Budget,
) -> Result<Joining, Refusal> {
    let room = shard.rooms.enter(shard, id)?;
    room.holds.set(room.holds.get() + 1);
    let mut joining = Joining {
        room: room.clone(),
        after,
        page: None,
        later: false,
        closings: 0,
    };
    room.open().await.map_err(unseen)?;
    for _ in 0..ATTEMPTS {
        joining.closings = room.closings();
        room.admit(shard, caller).await?;
        joining.read(shard, budget).await?;
        if joining.closings == room.closings() {
            return Ok(joining);
        }
    }
    Err(not_ready())
}

impl Joining {
    /// Reads a page of the record, when the room's memory does not reach back far enough.
    async fn read(&mut self, shard: &Shard, budget: &Budget) -> Result<(), Refusal> {
        (self.page, self.later) = (None, false);
        let Some(after) = self.after else { return Ok(()) };
        let (join, is_past) = {
            let core = &self.room.state.borrow().core;
            (core.join(Some(Start { after, upto: None })), after <= core.sent())
        };
        let from = match join {
            Join::ReadAfter(from) => from,
            Join::Joined(paged) if !paged.entries.is_empty() => {
                self.later = budget.is_spent();
                budget.spend(paged.entries.iter().map(|entry| entry.raw.len()).sum());
                return Ok(());
            }
            _ => return Ok(()),
        };
        let _turn = budget.turns.acquire().await;
        // Who is ahead of this process is never put off: only the record knows whether it is right.
        if is_past && budget.is_spent() {
            self.later = true;
            return Ok(());
        }
        let api = &shard.shared.clients.api;
        let page = api
            .room_log(&self.room.id, from, JOIN_ENTRIES as u32)
            .await
            .map_err(|error| {
                let error = ApiError::from(error);
                Refusal::of(error.code(), error.detail())
            })?;
        budget.spend(
            page.items
                .iter()
                .map(|entry| entry.data.to_string().len() + ENTRY_BYTES)
                .sum(),
        );
        self.page = Some(page);
        Ok(())
    }

    /// How many are in the room.
    pub fn members(&self) -> usize {
        self.room.members()
    }

    /// Makes `connection` a member; the JSON of the answer.
    pub fn commit(self, shard: &Rc<Shard>, connection: &Rc<Connection>) -> Result<String, Refusal> {
        let room = self.room.clone();
        if room.closings() != self.closings || !matches!(room.state.borrow().status, Status::Open) {
            return Err(not_ready());
        }
        let known = connection.membership(&room.id);
        if known.is_none() && connection.rooms() >= MAX_PER_CONNECTION {
            return Err(Refusal::new(
                err_code::NOT_READY,
                format!("A connection is in at most {MAX_PER_CONNECTION} rooms; leave one first."),
            ));
        }
        let upto = known.and_then(|key| room.state.borrow().members.get(key)?.paging);
        let Paged { entries, complete } = match self.later {
            false => self.take(shard, upto)?,
            true => Paged {
                entries: Vec::new(),
                complete: false,
            },
        };
        let sent = room.state.borrow().core.sent();
        let key = known.unwrap_or_else(|| room.add(connection));
        if let Some(member) = room.state.borrow_mut().members.get_mut(key) {
            member.paging = if complete { None } else { upto.or(Some(sent)) };
        }
        Ok(format!(
            r#"{{"videoID":"{}","seq":{sent},"events":{},"complete":{complete},"memberCount":{}}}"#,
            room.id,
            encode::array(&entries),
            room.members()
        ))
    }

    /// What the new member has missed.
    fn take(&self, shard: &Rc<Shard>, upto: Option<i64>) -> Result<Paged, Refusal> {
        let from = self.after.map(|after| Start { after, upto });
        for _ in 0..ATTEMPTS {
            let now = Instant::now();
            let join = {
                let core = &mut self.room.state.borrow_mut().core;
                match (core.join(from), from, &self.page) {
                    (Join::ReadAfter(_), Some(from), Some(page)) => {
                        core.join_with_page(from, task::entries(page), page.seq, now)
                    }
                    (join, _, _) => join,
                }
            };
            match join {
                Join::Joined(paged) if paged.complete || !paged.entries.is_empty() => return Ok(paged),
                // The room went on so far that memory does not reach the page any more.
                Join::Joined(_) | Join::ReadAfter(_) | Join::NotOpen => return Err(not_ready()),
                Join::FlushFirst => {
                    while let Some(flush) = self.room.flush(now) {
                        self.room.deliver(shard, &flush);
                    }
                    if self.room.closings() != self.closings {
                        return Err(not_ready());
                    }
                }
                Join::Unknown => {
                    return Err(Refusal::bad_parameter(format!(
                        "afterSeq: the room has not come that far; its newest entry is {}.",
                        self.room.state.borrow().core.sent()
                    )));
                }
            }
        }
        Err(not_ready())
    }
}

fn not_ready() -> Refusal {
    Refusal::new(err_code::NOT_READY, "The room is changing just now; try again.")
}

impl Room {
    pub(super) fn closings(&self) -> u64 {
        self.state.borrow().closings
    }

    fn flush(&self, now: Instant) -> Option<Flush> {
        self.state.borrow_mut().core.flush(now)
    }

    /// Waits until the log was read for the first time.
    async fn open(&self) -> Result<(), Refusal> {
        loop {
            let opened = self.opened.notified();
            match &self.state.borrow().status {
                Status::Open => return Ok(()),
                Status::Failed(refusal) => return Err(refusal.clone()),
                Status::Opening => {}
            }
            opened.await;
        }
    }

    fn add(self: &Rc<Self>, connection: &Rc<Connection>) -> usize {
        let mut state = self.state.borrow_mut();
        let key = state.members.insert(Member {
            connection: connection.clone(),
            paging: None,
        });
        state.empty_since = None;
        let count = state.members.len();
        state.core.set_members(count);
        state.core.count_changed(Instant::now());
        state.told_count = self.count.join();
        drop(state);
        connection.joined(Membership {
            room: self.clone(),
            key,
        });
        self.nudge.notify_one();
        key
    }
}
