//! What a member is given that was away for longer than the ring remembers: a page of the record, continued from the ring.

use std::collections::{HashSet, VecDeque};

use super::entry::Entry;

/// Entries one answer to a join carries; with more the member pages.
pub const JOIN_ENTRIES: usize = 1000;

/// And their bytes: a quarter of what may wait for a connection, so that joining never is what closes it. (As a string
/// inside JSON it can be twice that.)
pub const JOIN_BYTES: usize = 256 * 1024;

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged {
    /// Without a gap from the member's number on.
    pub entries: Vec<Entry>,
    /// They reach what was sent to the others; if not, the member asks again with the last number it got. Empty and not
    /// complete: the page did not continue at the member's number, so the record can't be read now.
    pub complete: bool,
}

/// Joins a page that was read after `after` with the ring, up to number `upto`. What the ring knows to be taken back is blanked,
/// also where the page was read before that.
pub fn join(ring: &VecDeque<Entry>, upto: i64, after: i64, page: &[Entry]) -> Paged {
    let revoked: HashSet<i64> = (ring.iter().chain(page)).filter_map(|entry| entry.revokes).collect();
    let (mut last, mut bytes) = (after.max(0), 0);
    let mut entries = Vec::new();
    for entry in page.iter().chain(ring) {
        if last >= upto {
            break;
        }
        if entry.seq != last + 1 {
            // Before it: known from the page. Behind it: the page ended, and the ring has not come to its end yet.
            continue;
        }
        let entry = if revoked.contains(&entry.seq) {
            entry.blanked()
        } else {
            entry.clone()
        };
        bytes += entry.raw.len();
        if entries.len() == JOIN_ENTRIES || (bytes > JOIN_BYTES && !entries.is_empty()) {
            break;
        }
        last += 1;
        entries.push(entry);
    }
    let complete = last >= upto;
    Paged { entries, complete }
}
