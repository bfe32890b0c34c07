//! The log of one room as this process has it: which entry comes next, the newest ones for those who come back, and the
//! ones accepted that are not sent yet.
//!
//! The bus may lose, repeat and reorder; what leaves here does not. An entry is accepted when all before it are, and only
//! once. One that comes too early waits in a bounded place until the entries between are fetched from the record; when
//! that is full, the room remembers how far the log goes and reads on to there. What was taken back is blanked wherever it
//! lies here, so that removed text is not handed out from memory.

use std::collections::{BTreeMap, VecDeque};

use super::entry::{Entry, MAX_SEQ};
use super::page::{self, Paged};
use common::messages::RoomEntryKind;

/// Newest entries kept for those who come back: what an average room says in ten minutes.
pub const RING_ENTRIES: usize = 200;

/// And their bytes; entries are at most a few KiB, so the count is the limit that is met.
pub const RING_BYTES: usize = 256 * 1024;

/// Entries that came too early, kept until the gap before them is filled. Writers that commit at the same time overtake
/// each other by a few places; a longer gap is a loss, and the page that repairs it brings the later ones too.
const EARLY_ENTRIES: usize = 256;
const EARLY_BYTES: usize = 256 * 1024;

/// What became of an entry that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Accepted, perhaps with others that waited for it.
    Next,
    /// Known already; dropped.
    Old,
    /// Entries are missing: those after `after`.
    Gap { after: i64 },
    /// The log is not open yet; the entry is kept for [`RoomLog::open`].
    NotOpen,
}

/// What a member that comes back with a number can be given from memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// All entries after its number that were sent to the others; live ones follow without a gap.
    Entries(Vec<Entry>),
    /// Memory starts later: read the record first.
    TooOld,
    /// It has seen more than was sent from here.
    Ahead,
    NotOpen,
}

#[derive(Debug, Default)]
pub struct RoomLog {
    /// The number of the next entry to accept; `None` until the log is open.
    next: Option<i64>,
    /// The newest accepted entries, without a gap, up to the head.
    ring: VecDeque<Entry>,
    ring_bytes: usize,
    /// Accepted and not sent yet; its last is the head.
    unsent: VecDeque<Entry>,
    unsent_bytes: usize,
    /// Came too early.
    early: BTreeMap<i64, Entry>,
    early_bytes: usize,
    /// How far the log goes, as far as anybody said.
    known: i64,
}

impl RoomLog {
    /// Begins with what the record says: its head and the newest entries before it. What was offered meanwhile is taken in
    /// after them. Opened again it changes nothing.
    pub fn open(&mut self, head: i64, mut tail: Vec<Entry>) {
        if self.next.is_some() {
            return;
        }
        tail.sort_by_key(|entry| entry.seq);
        let last = tail.last().map_or(0, |entry| entry.seq);
        let head = head.clamp(0, MAX_SEQ).max(last);
        self.next = Some(head + 1);
        // Only what leads to the head without a gap is of use.
        let mut expected = head;
        for entry in tail.into_iter().rev() {
            if entry.seq != expected {
                break;
            }
            expected -= 1;
            self.ring_bytes += entry.raw.len();
            self.ring.push_front(entry);
        }
        self.trim();
        for revoked in self.ring.iter().filter_map(|entry| entry.revokes).collect::<Vec<_>>() {
            self.blank(revoked);
        }
        self.release();
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.next.is_some()
    }

    /// The newest accepted entry; 0 while there is none.
    #[must_use]
    pub fn head(&self) -> i64 {
        self.next.map_or(0, |next| next - 1)
    }

    /// The newest entry that was sent: where a new member's live part begins.
    #[must_use]
    pub fn sent(&self) -> i64 {
        self.unsent.front().map_or(self.head(), |entry| entry.seq - 1)
    }

    /// Takes in one entry, from the bus or from a page.
    pub fn offer(&mut self, entry: Entry) -> Offer {
        let next = self.next.unwrap_or(0);
        if entry.seq < next {
            return Offer::Old;
        }
        if entry.seq == next {
            self.accept(entry);
            self.release();
            return Offer::Next;
        }
        self.known = self.known.max(entry.seq);
        let fits = self.early.len() < EARLY_ENTRIES && self.early_bytes + entry.raw.len() <= EARLY_BYTES;
        if fits && !self.early.contains_key(&entry.seq) {
            self.early_bytes += entry.raw.len();
            self.early.insert(entry.seq, entry);
        }
        match self.next {
            Some(next) => Offer::Gap { after: next - 1 },
            None => Offer::NotOpen,
        }
    }

    /// Takes in a page that was read after the head. Ask [`gap`](Self::gap) whether it was enough.
    pub fn fill(&mut self, page: impl IntoIterator<Item = Entry>) {
        for entry in page {
            self.offer(entry);
        }
    }

    /// The record is at `seq`.
    pub fn head_seen(&mut self, seq: i64) {
        self.known = self.known.max(seq.clamp(0, MAX_SEQ));
    }

    /// Read the record after this number: something is missing there.
    #[must_use]
    pub fn gap(&self) -> Option<i64> {
        (self.is_open() && self.known > self.head()).then(|| self.head())
    }

    /// What a member that has seen `after` has missed of what was sent.
    #[must_use]
    pub fn since(&self, after: i64) -> Since {
        let (sent, after) = (self.sent(), after.max(0));
        let starts = self.ring.front().map_or(self.head() + 1, |entry| entry.seq);
        if !self.is_open() {
            Since::NotOpen
        } else if after > sent {
            Since::Ahead
        } else if after < sent && after + 1 < starts {
            Since::TooOld
        } else {
            let missed = self.ring.iter().skip_while(|entry| entry.seq <= after);
            Since::Entries(missed.take_while(|entry| entry.seq <= sent).cloned().collect())
        }
    }

    /// The same with the help of a page that was read from the record after `after`; `upto` is at most what was sent.
    #[must_use]
    pub fn since_page(&self, after: i64, upto: i64, page: &[Entry]) -> Paged {
        page::join(&self.ring, upto, after, page)
    }

    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// What is to be sent, in order; from now on it counts as sent. It ends at an entry that closes the room: who comes
    /// after that is not the same audience.
    pub fn take_unsent(&mut self) -> Vec<Entry> {
        let closing = self.unsent.iter().position(|entry| entry.kind == RoomEntryKind::Closed);
        let count = closing.map_or(self.unsent.len(), |at| at + 1);
        let taken: Vec<Entry> = self.unsent.drain(..count).collect();
        self.unsent_bytes -= taken.iter().map(|entry| entry.raw.len()).sum::<usize>();
        if self.unsent.is_empty() {
            // A quiet room holds no buffer.
            self.unsent = VecDeque::new();
        }
        taken
    }

    fn accept(&mut self, entry: Entry) {
        let revokes = entry.revokes;
        // The record keeps the newest `info` only: an old title is nobody's business any more.
        let outdated: Vec<i64> = match entry.kind {
            RoomEntryKind::Info => self
                .ring
                .iter()
                .filter(|old| old.kind == entry.kind)
                .map(|old| old.seq)
                .collect(),
            _ => Vec::new(),
        };
        self.next = Some(entry.seq + 1);
        self.known = self.known.max(entry.seq);
        self.ring_bytes += entry.raw.len();
        self.unsent_bytes += entry.raw.len();
        self.ring.push_back(entry.clone());
        self.unsent.push_back(entry);
        self.trim();
        for seq in outdated {
            blank_in(&mut self.ring, &mut self.ring_bytes, seq);
        }
        if let Some(revoked) = revokes {
            self.blank(revoked);
        }
    }

    /// Accepts those that waited and have their turn now.
    fn release(&mut self) {
        while let Some(early) = self.early.first_entry() {
            if Some(*early.key()) > self.next {
                break;
            }
            let entry = early.remove();
            if Some(entry.seq) == self.next {
                self.accept(entry);
            }
        }
        self.early_bytes = self.early.values().map(|entry| entry.raw.len()).sum();
    }

    fn trim(&mut self) {
        while self.ring.len() > RING_ENTRIES || self.ring_bytes > RING_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.raw.len();
        }
    }

    fn blank(&mut self, seq: i64) {
        blank_in(&mut self.ring, &mut self.ring_bytes, seq);
        blank_in(&mut self.unsent, &mut self.unsent_bytes, seq);
    }
}

/// Blanks entry `seq` in a list without gaps.
fn blank_in(list: &mut VecDeque<Entry>, bytes: &mut usize, seq: i64) {
    let first = list.front().map_or(0, |entry| entry.seq);
    let place = seq.checked_sub(first).and_then(|place| usize::try_from(place).ok());
    if let Some(entry) = place.and_then(|place| list.get_mut(place)) {
        let blank = entry.blanked();
        *bytes = *bytes + blank.raw.len() - entry.raw.len();
        *entry = blank;
    }
}

#[cfg(test)]
mod tests;
