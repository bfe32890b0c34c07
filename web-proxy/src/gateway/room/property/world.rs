//! The record, the bus and the room of the property test, and the time.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::joins::{Joining, Member};
use crate::gateway::room::encode::tests::{FORMS, events};
use crate::gateway::room::tests::{danmaku, entry, revocation, seqs};
use crate::gateway::room::*;

/// Entries as they were read, and the head of the record then.
pub type Page = (Vec<Entry>, i64);

pub struct World {
    pub(super) random: StdRng,
    pub(super) now: Instant,
    pub(super) record: Vec<Entry>,
    /// By whom each entry was taken back; 0: by nobody.
    pub(super) taken_back: Vec<i64>,
    pub(super) bus: Vec<Entry>,
    pub(super) room: Room,
    /// A read under way, with its answer as of the moment it was asked or nothing: it fails.
    pub(super) read: Option<(Read, Option<Page>)>,
    pub(super) members: Vec<Member>,
    pub(super) joining: Vec<Joining>,
    /// How often something was tested that is rare.
    pub(super) repaired: usize,
    pub(super) paged: usize,
    pub(super) refused: usize,
    pub(super) blanked: usize,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let now = Instant::now();
        let mut world = World {
            random: StdRng::seed_from_u64(seed),
            now,
            record: Vec::new(),
            taken_back: Vec::new(),
            bus: Vec::new(),
            room: Room::new(now),
            read: None,
            members: Vec::new(),
            joining: Vec::new(),
            repaired: 0,
            paged: 0,
            refused: 0,
            blanked: 0,
        };
        for _ in 0..world.random.random_range(0..600) {
            world.write(false);
        }
        world
    }

    pub(super) fn head(&self) -> i64 {
        self.record.len() as i64
    }

    /// Somebody says something, and the bus does with it what it wants.
    pub(super) fn write(&mut self, publish: bool) {
        let seq = self.head() + 1;
        let target = self.random.random_range(0..=self.head().min(40));
        let entry = match self.random.random_range(0..40) {
            0..8 if target < self.head() => {
                let target = self.head() - target;
                self.taken_back[target as usize - 1] = seq;
                self.record[target as usize - 1] = self.record[target as usize - 1].blanked();
                revocation(seq, target)
            }
            8 if publish => entry(seq, "closed", &json!({ "reason": "trashed" })),
            9 => danmaku(seq, &"long ".repeat(2000)),
            _ => danmaku(seq, "short"),
        };
        self.record.push(entry.clone());
        self.taken_back.push(0);
        if !publish {
            return;
        }
        match self.random.random_range(0..20) {
            0 | 1 => {}
            2 => self.room.missed(self.now),
            fate => {
                for _ in 0..if fate == 3 { 2 } else { 1 } {
                    let earliest = self.bus.len().saturating_sub(6);
                    let place = self.random.random_range(earliest..=self.bus.len());
                    self.bus.insert(place, entry.clone());
                }
            }
        }
    }

    pub(super) fn page(&mut self, after: i64) -> Page {
        let limit = *[3, 50, JOIN_ENTRIES].get(self.random.random_range(0..3)).unwrap();
        let from = (after.max(0) as usize).min(self.record.len());
        let to = (from + limit).min(self.record.len());
        (self.record[from..to].to_vec(), self.head())
    }

    /// Does what the room asks for.
    pub(super) fn poll(&mut self) {
        for _ in 0..1000 {
            let work = self.room.poll(self.now);
            if let Some(flush) = &work.flush {
                self.deliver(flush);
            }
            if let Some(read) = work.read {
                assert!(self.read.is_none(), "one read at a time");
                let answer = match read {
                    Read::Tail => (
                        self.record[self.record.len().saturating_sub(200)..].to_vec(),
                        self.head(),
                    ),
                    Read::After(after) => self.page(after),
                };
                let fails = self.random.random_bool(0.1);
                self.read = Some((read, (!fails).then_some(answer)));
            }
            if work.flush.is_none() && work.read.is_none() && !work.count {
                return;
            }
        }
        panic!("the room always wants something");
    }

    /// A flush reaches all members, as the frames of their forms.
    pub(super) fn deliver(&mut self, flush: &Flush) {
        assert!(
            flush
                .entries()
                .iter()
                .rev()
                .skip(1)
                .all(|entry| entry.kind.name() != "closed")
        );
        for data in FORMS {
            for batch in [false, true] {
                let form = Form { data, batch };
                let mut frames = Vec::new();
                for event in events(flush.frames(form), data) {
                    match event["data"].as_array() {
                        Some(entries) => frames.extend(entries.iter().map(|entry| entry["seq"].as_i64().unwrap())),
                        None => frames.push(event["data"]["seq"].as_i64().unwrap()),
                    }
                }
                assert_eq!(frames, seqs(flush.entries()));
                for member in self
                    .members
                    .iter_mut()
                    .filter(|member| member.form == form && member.ended.is_none())
                {
                    member.live.extend(&frames);
                }
            }
        }
        if flush.closes() {
            let last = flush.entries().last().unwrap().seq;
            self.members
                .iter_mut()
                .for_each(|member| _ = member.ended.get_or_insert(last));
            // A member that pages is none any more; it would come back as a new one.
            self.joining.retain(|joining| joining.member.is_none());
        }
    }

    pub(super) fn answer_read(&mut self) {
        match self.read.take() {
            None => {}
            Some((_, None)) => self.room.read_failed(self.now),
            Some((Read::Tail, Some((tail, head)))) => self.room.opened(head, tail, self.now),
            Some((Read::After(_), Some((page, head)))) => {
                self.repaired += 1;
                self.room.page(page, head, self.now);
            }
        }
    }

    pub(super) fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..30 => self.write(true),
            30..60 if !self.bus.is_empty() => {
                let entry = self.bus.remove(0);
                self.room.entry(entry, self.now);
            }
            60..62 => {
                let seq = self.head() - self.random.random_range(0..=self.head().min(5));
                self.room.head(seq, self.now);
            }
            62..67 => self.answer_read(),
            67..72 => self.begin_join(),
            72..80 => self.go_on_joining(),
            80..90 => self.now += Duration::from_millis(self.random.random_range(0..80)),
            90 => self.room.set_members(self.random.random_range(0..100_000)),
            _ => self.poll(),
        }
    }

    /// Nothing is said any more: the room finds all there is.
    pub(super) fn settle(&mut self) {
        self.bus.clear();
        self.room.head(self.head(), self.now);
        for _ in 0..10_000 {
            self.poll();
            self.answer_read();
            self.go_on_joining();
            if self.room.sent() == self.head() && self.joining.is_empty() && self.read.is_none() {
                return;
            }
            let due = self.room.due().filter(|_| self.read.is_none());
            self.now = due.unwrap_or(self.now).max(self.now);
        }
        panic!("the room does not settle: {} of {}", self.room.sent(), self.head());
    }
}
