//! One room as one shard has it: entries come in from the bus and from the record in any order, and go out in theirs, each
//! exactly once to everybody who is there. A shard is one thread and owns its rooms, so nothing here is locked; nothing here
//! waits either: the room says when it wants to be asked ([`Room::due`]) and what it needs ([`Work`]), and is told the time.
//!
//! Who joins is given what was *sent* so far, not what was accepted: the next flush goes to old and new members alike.

mod count;
pub mod encode;
pub mod entry;
mod log;
mod pace;
mod page;
#[cfg(test)]
mod property;
mod repair;
#[cfg(test)]
pub mod tests;

use std::time::{Duration, Instant};

pub use encode::{Flush, Form, Frames};
pub use entry::Entry;
pub use page::{JOIN_BYTES, JOIN_ENTRIES, Paged};

use count::CountPace;
use log::{RoomLog, Since};
use pace::{Pace, When};
use repair::Repair;

/// Entries that wait for the end of a tick go out before it when they are more bytes than this.
const UNSENT_BYTES: usize = 64 * 1024;

/// What the shard is to read from the record; it answers with [`Room::opened`], [`Room::page`] or [`Room::read_failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The newest entries ([`log::RING_ENTRIES`] are enough) and the head.
    Tail,
    /// The entries after this number.
    After(i64),
}

/// What the shard is to do now.
#[derive(Debug, Default)]
pub struct Work {
    /// To all members; when it [closes](Flush::closes) the room, their memberships end.
    pub flush: Option<Flush>,
    pub read: Option<Read>,
    /// Tell all members the count, with [`Room::sent`], after the flush.
    pub count: bool,
}

/// The answer to a join.
#[derive(Debug, PartialEq, Eq)]
pub enum Join {
    /// It is a member from now on, having got these; live entries follow [`Room::sent`] without a gap. Not complete: it has
    /// not got all up to there and asks again (not complete and empty: the record can't be read).
    Joined(Paged),
    /// Read the record after this number, then [`Room::join_with_page`]. It is no member yet.
    ReadAfter(i64),
    /// Send what [`Room::flush`] gives (until it gives nothing) to those who are members already, then ask again.
    FlushFirst,
    /// Ask again when the room is open.
    NotOpen,
    /// It says to have seen a number that the record does not know.
    Unknown,
}

/// Where a member wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The last it has seen.
    pub after: i64,
    /// For one that is a member already and pages: [`Room::sent`] at its first join. Later ones reach it live.
    pub upto: Option<i64>,
}

#[derive(Debug, Default)]
pub struct Room {
    log: RoomLog,
    pace: Pace,
    /// When what waits is to be sent.
    flush_at: Option<Instant>,
    repair: Repair,
    count: CountPace,
    members: usize,
    /// Something may be missing that shows as no gap: the bus lost messages, or a read failed.
    doubt: bool,
}

impl Room {
    /// A room nobody knows anything of yet: it wants its tail read at once. Subscribe to the bus before.
    #[must_use]
    pub fn new(now: Instant) -> Room {
        let mut room = Room::default();
        room.repair.needed(true, now, Duration::ZERO);
        room
    }

    /// [`Read::Tail`] was answered.
    pub fn opened(&mut self, head: i64, tail: Vec<Entry>, now: Instant) {
        let before = head.max(tail.last().map_or(0, |entry| entry.seq));
        self.log.open(head, tail);
        self.schedule(before, now);
        self.repair.done(true, self.incomplete(), now);
    }

    /// The bus brought an entry.
    pub fn entry(&mut self, entry: Entry, now: Instant) {
        let before = self.log.head();
        self.log.offer(entry);
        self.schedule(before, now);
        self.repair.needed(self.incomplete(), now, repair::GRACE);
    }

    /// The bus lost messages, nobody knows which.
    pub fn missed(&mut self, now: Instant) {
        self.doubt = true;
        self.repair.needed(true, now, Duration::ZERO);
    }

    /// The record is at `seq`, as asked for all rooms from time to time.
    pub fn head(&mut self, seq: i64, now: Instant) {
        self.log.head_seen(seq);
        self.repair.needed(self.incomplete(), now, repair::GRACE);
    }

    /// [`Read::After`] was answered: a page, and the head of the record when it was read.
    pub fn page(&mut self, page: Vec<Entry>, head: i64, now: Instant) {
        let progress = self.take_in(page, head, now);
        let useful = progress || self.log.gap().is_none();
        self.repair.done(useful, self.incomplete(), now);
    }

    /// The record can't be read now; the room asks again later.
    pub fn read_failed(&mut self, now: Instant) {
        self.doubt = true;
        self.repair.done(false, true, now);
    }

    /// So many members are in this room on this shard; the pace follows. Tell [`count_changed`](Self::count_changed) also.
    pub fn set_members(&mut self, members: usize) {
        self.members = members;
    }

    /// The count of the whole room changed.
    pub fn count_changed(&mut self, now: Instant) {
        self.count.changed(now);
    }

    /// When [`poll`](Self::poll) has something to do next. A moment that passed means: at once.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        [self.flush_at, self.repair.due(), self.count.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What is to be done now. Ask again until nothing comes.
    pub fn poll(&mut self, now: Instant) -> Work {
        let due = self.flush_at.is_some_and(|at| at <= now);
        let flush = if due { self.flush(now) } else { None };
        let read = self.repair.take(now).then(|| {
            self.doubt = false;
            match self.log.is_open() {
                true => Read::After(self.log.head()),
                false => Read::Tail,
            }
        });
        let count = self.count.take(now);
        Work { flush, read, count }
    }

    /// What waits, whether or not it is due.
    pub fn flush(&mut self, now: Instant) -> Option<Flush> {
        let entries = self.log.take_unsent();
        self.flush_at = self.log.has_unsent().then_some(now);
        if entries.is_empty() {
            return None;
        }
        self.pace.flushed(now);
        Some(Flush::new(entries))
    }

    /// The newest number that members have been sent: the `seq` of the answer to a join and of the heartbeat.
    #[must_use]
    pub fn sent(&self) -> i64 {
        self.log.sent()
    }

    /// Somebody wants to be a member; without `from` it wants what comes from now on.
    #[must_use]
    pub fn join(&self, from: Option<Start>) -> Join {
        let sent = self.log.sent();
        let from = from.unwrap_or(Start {
            after: sent,
            upto: None,
        });
        if from.upto.is_some_and(|upto| upto <= from.after) {
            // Its pages are complete; what comes after them it gets live.
            let entries = Vec::new();
            return Join::Joined(Paged {
                entries,
                complete: true,
            });
        }
        match self.log.since(from.after) {
            Since::Entries(mut entries) => {
                entries.retain(|entry| from.upto.is_none_or(|upto| entry.seq <= upto));
                Join::Joined(Paged {
                    entries,
                    complete: true,
                })
            }
            Since::TooOld => Join::ReadAfter(from.after.max(0)),
            Since::Ahead if self.log.has_unsent() => Join::FlushFirst,
            Since::Ahead => Join::ReadAfter(self.log.head()),
            Since::NotOpen => Join::NotOpen,
        }
    }

    /// [`Join::ReadAfter`] was answered, as in [`page`](Self::page). What is new in it is new for all.
    pub fn join_with_page(&mut self, from: Start, page: Vec<Entry>, head: i64, now: Instant) -> Join {
        if !self.log.is_open() {
            return Join::NotOpen;
        }
        self.take_in(page.clone(), head, now);
        self.repair.needed(self.incomplete(), now, repair::GRACE);
        let sent = self.log.sent();
        if from.after <= sent {
            let upto = from.upto.map_or(sent, |upto| upto.min(sent));
            Join::Joined(self.log.since_page(from.after, upto, &page))
        } else if self.log.has_unsent() {
            Join::FlushFirst
        } else {
            Join::Unknown
        }
    }

    /// Takes in a page; did it bring the log forward?
    fn take_in(&mut self, page: Vec<Entry>, head: i64, now: Instant) -> bool {
        let before = self.log.head();
        self.log.fill(page);
        self.log.head_seen(head);
        self.schedule(before, now);
        self.log.head() > before
    }

    fn incomplete(&self) -> bool {
        self.doubt || !self.log.is_open() || self.log.gap().is_some()
    }

    /// Decides when what was accepted after `before` goes out.
    fn schedule(&mut self, before: i64, now: Instant) {
        for _ in before..self.log.head() {
            let at = match self.pace.on_entry(now, self.members) {
                When::At(at) if self.log.unsent_bytes() <= UNSENT_BYTES => at,
                When::At(_) | When::Now => now,
            };
            // What arrived together with one that goes at once goes with it.
            self.flush_at = Some(self.flush_at.map_or(at, |earlier| earlier.min(at)));
            self.count.active(now);
        }
    }
}
