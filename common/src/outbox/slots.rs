//! What a relay holds: claimed messages that wait, deliveries under way, and which kinds are answered at the moment.
//!
//! Each kind has its own slots, because a kind goes to one service: one that hangs keeps its own messages waiting and
//! nobody else's. A kind whose service is away gets one delivery at a time until one succeeds, so that an outage costs a
//! call every few seconds and not one for every message.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::table::Entry;

/// Deliveries of one kind under way at once.
pub(super) const PER_KIND: usize = 16;
/// A kind with fewer waiting messages may claim more.
pub(super) const LOW: usize = 32;
/// Failures in a row after which a kind counts as away: with several replicas, one that died is not all of them. (One that dies with a
/// request of many messages may look like all: then one message at a time is tried, after a pause of less than half a second.)
pub(super) const AWAY_AFTER: u32 = 8;

/// A claimed message and the time, by our own clock, until which it is ours for certain.
struct Held {
    entry: Entry,
    until: Instant,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Held>,
    running: usize,
    /// Failures since the last success because nobody answered.
    away: u32,
    /// Nothing is started before.
    pause: Option<Instant>,
}

impl Lane {
    fn may_start(&self, now: Instant) -> bool {
        let room = if self.away >= AWAY_AFTER { 1 } else { PER_KIND };
        self.running < room && self.pause.is_none_or(|until| until <= now)
    }
}

#[derive(Default)]
pub(super) struct Slots {
    lanes: BTreeMap<String, Lane>,
    /// Under way: the claims by message.
    running: HashMap<i64, String>,
}

impl Slots {
    pub(super) fn add(&mut self, entries: Vec<Entry>, until: Instant) {
        for entry in entries {
            let lane = self.lanes.entry(entry.kind.clone()).or_default();
            lane.waiting.push_back(Held { entry, until });
        }
    }

    /// The next message to deliver. One whose claim may have run out is dropped: somebody else has it, perhaps already with
    /// those after it.
    pub(super) fn start(&mut self, now: Instant) -> Option<Entry> {
        for lane in self.lanes.values_mut().filter(|lane| lane.may_start(now)) {
            while let Some(held) = lane.waiting.pop_front() {
                if held.until > now {
                    lane.running += 1;
                    self.running.insert(held.entry.id, held.entry.claim.clone());
                    return Some(held.entry);
                }
            }
        }
        None
    }

    fn end(&mut self, entry: &Entry) -> &mut Lane {
        self.running.remove(&entry.id);
        let lane = self.lanes.entry(entry.kind.clone()).or_default();
        lane.running = lane.running.saturating_sub(1);
        lane
    }

    /// The service of this kind answered; true when it did not before.
    pub(super) fn answered(&mut self, entry: &Entry) -> bool {
        let lane = self.end(entry);
        lane.pause = None;
        std::mem::take(&mut lane.away) > 0
    }

    /// Nobody answered; the kind rests for `pause` when that was no accident.
    pub(super) fn away(&mut self, entry: &Entry, pause: Duration) {
        let lane = self.end(entry);
        // Those that were under way when it became clear say nothing new.
        if lane.away < AWAY_AFTER || lane.running == 0 {
            lane.away = lane.away.saturating_add(1);
        }
        if lane.away >= AWAY_AFTER {
            lane.pause = Some(Instant::now() + pause);
        }
    }

    /// Failures in a row of a kind because nobody answered.
    pub(super) fn times_away(&self, kind: &str) -> u32 {
        self.lanes.get(kind).map_or(0, |lane| lane.away)
    }

    /// Everything claimed and not ended: ids and claims.
    pub(super) fn held(&self) -> Vec<(i64, String)> {
        let waiting = self.lanes.values().flat_map(|lane| &lane.waiting);
        let waiting = waiting.map(|held| (held.entry.id, held.entry.claim.clone()));
        let running = self.running.iter().map(|(id, claim)| (*id, claim.clone()));
        waiting.chain(running).collect()
    }

    /// After a renewal: what of it is still ours, until when. What isn't is not delivered any more.
    pub(super) fn renewed(&mut self, asked: &[(i64, String)], kept: &BTreeSet<i64>, until: Instant) {
        let asked: BTreeSet<i64> = asked.iter().map(|(id, _)| *id).collect();
        for lane in self.lanes.values_mut() {
            lane.waiting
                .retain(|held| kept.contains(&held.entry.id) || !asked.contains(&held.entry.id));
            for held in lane.waiting.iter_mut().filter(|held| kept.contains(&held.entry.id)) {
                held.until = until;
            }
        }
    }

    /// Kinds that have enough waiting, or can't use more.
    pub(super) fn full_kinds(&self) -> Vec<String> {
        let full = |lane: &Lane| lane.waiting.len() >= LOW || (lane.away >= AWAY_AFTER && !lane.waiting.is_empty());
        let full = self.lanes.iter().filter(|(_, lane)| full(lane));
        full.map(|(kind, _)| kind.clone()).collect()
    }

    /// Few messages of this kind are left to start.
    pub(super) fn is_low(&self, kind: &str) -> bool {
        self.lanes.get(kind).is_none_or(|lane| lane.waiting.len() < LOW)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    /// When the first resting kind may be tried again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let resting = self
            .lanes
            .values()
            .filter(|lane| !lane.waiting.is_empty() && lane.running == 0);
        resting.filter_map(|lane| lane.pause).min()
    }

    /// At the end: what waits goes back.
    pub(super) fn take_waiting(&mut self) -> Vec<Entry> {
        let lanes = self.lanes.values_mut();
        lanes
            .flat_map(|lane| lane.waiting.drain(..))
            .map(|held| held.entry)
            .collect()
    }
}
