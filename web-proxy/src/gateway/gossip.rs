//! Member counts over all gateways: each tells the others how many are in its rooms when that changes, and all of it every few
//! seconds, so that a lost message or a dead gateway is noticed. Only where the bus reaches other processes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::bus::{Message, Subject};
use common::ids::{Id, VideoId};
use common::messages::RoomCounts;
use common::service::Platform;

use super::Shared;

/// Between two looks at what changed here; members are told of counts once a second.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Between two complete accounts, in [`TELL_EVERY`]s.
const COMPLETE_EVERY: u32 = 10;

/// Rooms of one message, some 20 KB.
const PAGE: usize = 500;

/// Starts telling and listening.
pub fn begin(shared: &Arc<Shared>, platform: &Platform) {
    if !shared.bus.is_shared() {
        return;
    }
    let shared = shared.clone();
    platform.spawn_loop("gateway member counts", move || {
        let shared = shared.clone();
        async move { Gossip::new(shared).run().await }
    });
}

struct Gossip {
    shared: Arc<Shared>,
    gateway: Id,
    /// What the others were told last.
    told: HashMap<VideoId, usize>,
    /// Until the next complete account.
    rounds: u32,
}

impl Gossip {
    fn new(shared: Arc<Shared>) -> Self {
        Gossip {
            shared,
            gateway: Id::now(),
            told: HashMap::new(),
            rounds: 0,
        }
    }

    async fn run(mut self) {
        let mut bus = self.shared.bus.subscribe(&Subject::RoomCounts);
        bus.established().await;
        self.publish(Vec::new(), |message| message.asks = true);
        let mut clock = tokio::time::interval(TELL_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shared.over.begun() => {
                    return self.publish(Vec::new(), |message| message.leaves = true);
                }
                message = bus.next() => match message {
                    Some(message) => self.hear(&message),
                    None => return,
                },
                _ = clock.tick() => self.tell(),
            }
        }
    }

    fn hear(&mut self, message: &Message) {
        if let Message::Missed(_) = message {
            // So may the others have.
            self.rounds = 0;
            return self.publish(Vec::new(), |message| message.asks = true);
        }
        let Some(told) = message.decode::<RoomCounts>() else {
            return log::warn!("The member counts of another gateway can't be read");
        };
        // What this process publishes comes to its own listeners too.
        if told.gateway == self.gateway {
            return;
        }
        if told.asks {
            self.rounds = 0;
        }
        self.shared.counts.told(&told, Instant::now());
    }

    fn tell(&mut self) {
        let here = self.shared.counts.here();
        let gone = self.told.keys().filter(|room| !here.contains_key(*room));
        let mut news: Vec<(VideoId, usize)> = gone.map(|room| (room.clone(), 0)).collect();
        let complete = self.rounds == 0;
        let changed = here
            .iter()
            .filter(|(room, count)| complete || self.told.get(*room) != Some(*count));
        news.extend(changed.map(|(room, count)| (room.clone(), *count)));
        for page in news.chunks(PAGE) {
            self.publish(page.to_vec(), |_| {});
        }
        if complete {
            self.rounds = COMPLETE_EVERY;
            self.shared.counts.forget_silent(Instant::now());
        }
        self.rounds -= 1;
        self.told = here;
    }

    fn publish(&self, counts: Vec<(VideoId, usize)>, change: impl FnOnce(&mut RoomCounts)) {
        let counts = counts.into_iter();
        let mut message = RoomCounts {
            gateway: self.gateway.clone(),
            counts: counts
                .map(|(room, count)| (room, u32::try_from(count).unwrap_or(u32::MAX)))
                .collect(),
            asks: false,
            leaves: false,
        };
        change(&mut message);
        self.shared.bus.publish(&Subject::RoomCounts, &message);
    }
}
