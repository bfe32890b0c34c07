//! What the other gateways said of their rooms. Each entry is said again every few seconds and forgotten when it is not, so a
//! gateway that was killed does not count for long. All of it is bounded.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::ids::{Id, VideoId};
use common::messages::RoomCounts;

/// What was not said again for so long is over: three times what a gateway takes to repeat itself.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);

/// Gateways that are listened to.
const MAX_GATEWAYS: usize = 256;

/// Rooms that are kept of one; counts of more are too low. A gateway has 20,000 rooms per thread at most.
const MAX_ROOMS: usize = 100_000;

#[derive(Debug, Default)]
pub struct Others(HashMap<Id, HashMap<VideoId, Told>>);

#[derive(Debug, Clone, Copy)]
struct Told {
    count: usize,
    at: Instant,
}

impl Others {
    /// Of all other gateways in `room`.
    pub fn count(&self, room: &VideoId) -> usize {
        self.0
            .values()
            .filter_map(|rooms| rooms.get(room))
            .map(|told| told.count)
            .sum()
    }

    /// One of them told; the rooms whose counts may differ now.
    pub fn told(&mut self, told: &RoomCounts, now: Instant) -> Vec<VideoId> {
        if told.leaves {
            return self
                .0
                .remove(&told.gateway)
                .into_iter()
                .flat_map(HashMap::into_keys)
                .collect();
        }
        if !self.0.contains_key(&told.gateway) && self.0.len() >= MAX_GATEWAYS {
            return Vec::new();
        }
        let rooms = self.0.entry(told.gateway.clone()).or_default();
        let mut changed = Vec::new();
        for (room, count) in &told.counts {
            let count = usize::try_from(*count).unwrap_or(usize::MAX);
            let before = match count {
                0 => rooms.remove(room),
                _ if rooms.len() >= MAX_ROOMS && !rooms.contains_key(room) => continue,
                _ => rooms.insert(room.clone(), Told { count, at: now }),
            };
            if before.map_or(0, |before| before.count) != count {
                changed.push(room.clone());
            }
        }
        changed
    }

    /// Drops what was not said again; the rooms concerned.
    pub fn forget_silent(&mut self, now: Instant) -> Vec<VideoId> {
        let mut changed = Vec::new();
        self.0.retain(|_, rooms| {
            rooms.retain(|room, told| {
                let fresh = now.saturating_duration_since(told.at) < FORGOTTEN_AFTER;
                if !fresh {
                    changed.push(room.clone());
                }
                fresh
            });
            !rooms.is_empty()
        });
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(gateway: &Id, counts: &[(&VideoId, u32)]) -> RoomCounts {
        RoomCounts {
            gateway: gateway.clone(),
            counts: counts.iter().map(|(room, count)| ((*room).clone(), *count)).collect(),
            asks: false,
            leaves: false,
        }
    }

    #[test]
    fn counts_are_sums_over_the_gateways_that_still_speak() {
        let (mut others, now) = (Others::default(), Instant::now());
        let (one, two, room, other) = (Id::now(), Id::now(), VideoId::random(), VideoId::random());
        assert_eq!(others.told(&told(&one, &[(&room, 3), (&other, 1)]), now).len(), 2);
        assert_eq!(
            others.told(&told(&two, &[(&room, 4)]), now),
            std::slice::from_ref(&room)
        );
        assert_eq!((others.count(&room), others.count(&other)), (7, 1));
        // Said again: nothing changed.
        let later = now + FORGOTTEN_AFTER / 2;
        assert_eq!(others.told(&told(&two, &[(&room, 4)]), later), []);
        assert_eq!(
            others.told(&told(&one, &[(&other, 0)]), later),
            std::slice::from_ref(&other)
        );
        assert_eq!(others.count(&other), 0);
        // The first is silent for too long.
        assert_eq!(others.forget_silent(now + FORGOTTEN_AFTER), std::slice::from_ref(&room));
        assert_eq!(others.count(&room), 4);
        let mut leaving = told(&two, &[]);
        leaving.leaves = true;
        assert_eq!(others.told(&leaving, later), std::slice::from_ref(&room));
        assert_eq!((others.count(&room), others.0.len()), (0, 0));
    }

    #[test]
    fn what_is_kept_of_others_is_bounded() {
        let (mut others, now, room) = (Others::default(), Instant::now(), VideoId::random());
        for _ in 0..MAX_GATEWAYS + 10 {
            others.told(&told(&Id::now(), &[(&room, 1)]), now);
        }
        assert_eq!(others.count(&room), MAX_GATEWAYS);
        let (mut others, gateway) = (Others::default(), Id::now());
        for _ in 0..MAX_ROOMS + 10 {
            others.told(&told(&gateway, &[(&VideoId::random(), 1)]), now);
        }
        assert_eq!(others.0[&gateway].len(), MAX_ROOMS);
    }
}
