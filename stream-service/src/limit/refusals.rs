//! Who was refused by a limit, when and why: counts by reason since the start, and the latest of them in bounded memory.
//!
//! A client that is refused again and again by the same limit is one entry with a count, so that it can't wash out the others;
//! when there are too many entries, the one that was refused longest ago goes.

use super::client::ClientKey;
use common::{ids::VideoId, operation::OperationId, time::Timestamp};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Entries kept; about 250 bytes each.
const KEPT: usize = 256;

/// The limit that said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    Rate,
    StreamsOfClient,
    Streams,
    UploadsOfUser,
    Uploads,
    /// The budget of the day, before a stream began.
    Egress,
    /// The budget of the day, used up while several streams were sent: all but one end.
    EgressCut,
}

impl Reason {
    pub const ALL: [Reason; 7] = [
        Reason::Rate,
        Reason::StreamsOfClient,
        Reason::Streams,
        Reason::UploadsOfUser,
        Reason::Uploads,
        Reason::Egress,
        Reason::EgressCut,
    ];

    /// As the metric and operators' view call it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rate => "rate",
            Reason::StreamsOfClient => "streams_per_client",
            Reason::Streams => "streams",
            Reason::UploadsOfUser => "uploads_per_user",
            Reason::Uploads => "uploads",
            Reason::Egress => "egress",
            Reason::EgressCut => "egress_cut",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    limit: &'static str,
}

/// One client and the limit that refused it, once or often.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub client: ClientKey,
    pub reason: Reason,
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// What the rest tells of the last time: how far the client (or all) were, and what the limit was.
    pub reached: u64,
    pub most: u64,
    pub video: Option<VideoId>,
    pub operation: Option<OperationId>,
}

/// One refusal as it happens.
pub struct Refused<'a> {
    pub client: ClientKey,
    pub reason: Reason,
    pub reached: u64,
    pub most: u64,
    pub video: Option<&'a VideoId>,
    pub operation: Option<OperationId>,
}

/// Clones share what was noted.
#[derive(Clone, Default)]
pub struct Refusals {
    counts: Family<ReasonLabel, Counter>,
    kept: Arc<Mutex<HashMap<(ClientKey, Reason), Refusal>>>,
}

impl Refusals {
    /// Every reason is a series from the beginning, so that a graph shows the first refusal as an increase.
    pub fn new() -> Self {
        let refusals = Self::default();
        for reason in Reason::ALL {
            drop(refusals.counts.get_or_create(&label(reason)));
        }
        refusals
    }

    pub fn counts(&self) -> Family<ReasonLabel, Counter> {
        self.counts.clone()
    }

    pub fn count(&self, reason: Reason) -> u64 {
        self.counts.get_or_create(&label(reason)).get()
    }

    pub fn note(&self, refused: Refused<'_>) {
        self.note_at(Timestamp::now(), refused);
    }

    fn note_at(&self, now: Timestamp, refused: Refused<'_>) {
        self.counts.get_or_create(&label(refused.reason)).inc();
        let key = (refused.client, refused.reason);
        let mut kept = self.lock();
        let (count, first) = match kept.get(&key) {
            Some(before) => (before.count + 1, before.first),
            None => (1, now),
        };
        if count == 1 && kept.len() >= KEPT {
            let oldest = kept.iter().min_by_key(|(_, refusal)| refusal.last).map(|(key, _)| *key);
            oldest.and_then(|key| kept.remove(&key));
        }
        let refusal = Refusal {
            client: refused.client,
            reason: refused.reason,
            count,
            first,
            last: now,
            reached: refused.reached,
            most: refused.most,
            video: refused.video.cloned(),
            operation: refused.operation,
        };
        kept.insert(key, refusal);
    }

    /// The latest, newest first.
    pub fn latest(&self) -> Vec<Refusal> {
        let mut all: Vec<Refusal> = self.lock().values().cloned().collect();
        all.sort_unstable_by_key(|refusal| std::cmp::Reverse(refusal.last));
        all
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(ClientKey, Reason), Refusal>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label(reason: Reason) -> ReasonLabel {
    ReasonLabel { limit: reason.name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::V4(number.to_be_bytes())
    }

    fn note(refusals: &Refusals, at: u32, client: ClientKey, reason: Reason, reached: u64) {
        let refused = Refused {
            client,
            reason,
            reached,
            most: 5,
            video: None,
            operation: None,
        };
        refusals.note_at(Timestamp(i64::from(at)), refused);
    }

    #[test]
    fn one_client_and_limit_is_one_entry_with_a_count() {
        let refusals = Refusals::new();
        for at in 0..5 {
            note(&refusals, at, client(1), Reason::Rate, 5);
        }
        note(&refusals, 9, client(1), Reason::Egress, 7);
        let latest = refusals.latest();
        assert_eq!(latest.len(), 2);
        assert_eq!(
            (latest[0].reason, latest[0].reached, latest[0].most),
            (Reason::Egress, 7, 5)
        );
        assert_eq!(
            (latest[1].count, latest[1].first, latest[1].last),
            (5, Timestamp(0), Timestamp(4))
        );
        assert_eq!((refusals.count(Reason::Rate), refusals.count(Reason::Uploads)), (5, 0));
    }

    #[test]
    fn a_flood_is_counted_whole_and_kept_in_bounded_memory_the_latest_of_it() {
        let refusals = Refusals::new();
        let steady = client(u32::MAX);
        for number in 0..10_000 {
            note(&refusals, number, client(number), Reason::Rate, 1);
            // Refused all the time: never the one that goes.
            note(&refusals, number, steady, Reason::Streams, 1);
        }
        let latest = refusals.latest();
        assert_eq!(latest.len(), KEPT);
        assert!(latest.iter().any(|refusal| refusal.client == client(9_999)));
        let steady = latest.iter().find(|refusal| refusal.client == steady).unwrap();
        assert_eq!((steady.count, refusals.count(Reason::Rate)), (10_000, 10_000));
    }
}
