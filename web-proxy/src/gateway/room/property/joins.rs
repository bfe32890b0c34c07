//! Those who come to the room of the property test, and what they get to see.

use rand::RngExt;

use super::world::{Page, World};
use crate::gateway::room::encode::tests::FORMS;
use crate::gateway::room::tests::seqs;
use crate::gateway::room::*;

/// One who watches the room.
pub struct Member {
    /// The last it had seen when it came.
    pub(super) came_with: i64,
    pub(super) form: Form,
    /// `sent` at its first join: what it pages up to.
    pub(super) upto: i64,
    pub(super) complete: bool,
    /// What joins answered, and what was pushed.
    pub(super) paged: Vec<i64>,
    pub(super) live: Vec<i64>,
    /// The room was closed with this entry.
    pub(super) ended: Option<i64>,
}

/// A join on its way, perhaps with a page of the record as it was when it was asked.
pub struct Joining {
    pub(super) start: Option<Start>,
    pub(super) form: Form,
    /// The paging member that asks, or a new one.
    pub(super) member: Option<usize>,
    pub(super) page: Option<Page>,
}

impl World {
    pub(super) fn begin_join(&mut self) {
        let after = match self.random.random_range(0..8) {
            0 => None,
            1 => Some(0),
            2 if self.random.random_bool(0.5) => Some(self.head() + 10_000),
            2 | 3 => Some(self.random.random_range(-3..=self.head() + 3)),
            _ => Some(self.head() - self.random.random_range(0..=self.head().min(30))),
        };
        let data = FORMS[self.random.random_range(0..2)];
        let form = Form {
            data,
            batch: self.random.random_bool(0.5),
        };
        let start = after.map(|after| Start { after, upto: None });
        self.joining.push(Joining {
            start,
            form,
            member: None,
            page: None,
        });
    }

    /// One of the joins goes on.
    pub(super) fn go_on_joining(&mut self) {
        if self.joining.is_empty() {
            return;
        }
        let mut joining = self
            .joining
            .swap_remove(self.random.random_range(0..self.joining.len()));
        for attempt in 0.. {
            assert!(attempt < 3, "a join turns in circles");
            let join = match (joining.start, joining.page.take()) {
                (Some(start), Some((page, head))) => self.room.join_with_page(start, page, head, self.now),
                (start, _) => self.room.join(start),
            };
            match join {
                Join::FlushFirst => {
                    while let Some(flush) = self.room.flush(self.now) {
                        self.deliver(&flush);
                    }
                }
                Join::ReadAfter(after) => {
                    joining.page = Some(self.page(after));
                    return self.joining.push(joining);
                }
                Join::NotOpen => return self.joining.push(joining),
                Join::Unknown => {
                    assert!(joining.start.unwrap().after > self.room.sent());
                    self.refused += 1;
                    return;
                }
                Join::Joined(paged) => return self.joined(joining, paged),
            }
        }
    }

    pub(super) fn joined(&mut self, joining: Joining, paged: Paged) {
        for entry in &paged.entries {
            let by = self.taken_back[entry.seq as usize - 1];
            if by > 0 && by <= self.room.log.head() {
                self.blanked += 1;
                assert!(
                    entry.raw.contains(r#""data":null"#),
                    "{} was taken back by {by}",
                    entry.seq
                );
            }
        }
        let sent = self.room.sent();
        let index = joining.member.unwrap_or_else(|| {
            self.members.push(Member {
                came_with: joining.start.map_or(sent, |start| start.after.max(0)),
                form: joining.form,
                upto: sent,
                complete: false,
                paged: Vec::new(),
                live: Vec::new(),
                ended: None,
            });
            self.members.len() - 1
        });
        let member = &mut self.members[index];
        member.paged.extend(seqs(&paged.entries));
        member.complete = paged.complete;
        if !paged.complete {
            self.paged += 1;
            let after = member.paged.last().copied().unwrap_or(member.came_with);
            let start = Some(Start {
                after,
                upto: Some(member.upto),
            });
            self.joining.push(Joining {
                start,
                form: joining.form,
                member: Some(index),
                page: None,
            });
        }
    }

    pub(super) fn check(&self) {
        for member in &self.members {
            // Pages are read up to where its live part began; a room that closes meanwhile cuts that short.
            let mut seen = member.paged.clone();
            if member.complete {
                seen.extend(&member.live);
                let until = member.ended.unwrap_or(self.head());
                assert_eq!(seen, (member.came_with + 1..=until).collect::<Vec<_>>());
            } else {
                assert!(member.ended.is_some());
                let until = member.paged.last().copied().unwrap_or(member.came_with);
                assert_eq!(seen, (member.came_with + 1..=until).collect::<Vec<_>>());
                assert_eq!(
                    member.live,
                    (member.upto + 1..=member.ended.unwrap()).collect::<Vec<_>>()
                );
            }
        }
    }
}
