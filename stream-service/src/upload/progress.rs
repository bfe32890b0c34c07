//! How far an upload is, for the connections of its owner: at most four times a second, the newest number only, and a last time
//! when all bytes are in. Whoever receives the bytes only counts them; nobody waits for whoever listens.

use crate::state::State;
use common::{
    bus::{Bus, Subject},
    ids::{Id, VideoId},
    messages::UserEvent,
    operation::{self, OperationId},
};
use serde_json::json;
use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Least time between two reports: three of them and the last one are at most four in any second.
const EVERY: Duration = Duration::from_millis(334);

/// What the events of one upload say beside the number.
pub struct Progress {
    bus: Bus,
    /// None when the grant names nobody: then nobody is told.
    owner: Option<Subject>,
    video: VideoId,
    /// Of the file, if the request says it.
    total: Option<u64>,
    operation: Option<OperationId>,
}

impl Progress {
    pub fn new(state: &State, video: &VideoId, owner: Option<Id>, total: Option<u64>) -> Self {
        Self {
            bus: state.platform.bus.clone(),
            owner: owner.map(Subject::User),
            video: video.clone(),
            total,
            operation: operation::current(),
        }
    }

    /// Reports the number for as long as it is polled.
    pub async fn report(&self, received: &AtomicU64) -> Infallible {
        let mut pace = Pace::default();
        loop {
            tokio::time::sleep(EVERY).await;
            if let Some(bytes) = pace.due(received.load(Ordering::Relaxed), Instant::now()) {
                self.tell(bytes, self.total);
            }
        }
    }

    /// All bytes are in.
    pub fn done(&self, bytes: u64) {
        self.tell(bytes, Some(bytes));
    }

    fn tell(&self, received: u64, total: Option<u64>) {
        let Some(owner) = &self.owner else { return };
        let event = UserEvent {
            event: "OnUploadProgress".to_owned(),
            data: json!({ "videoID": self.video, "receivedBytes": received, "totalBytes": total }),
            operation: self.operation.clone(),
        };
        self.bus.publish(owner, &event);
    }
}

/// When the next report is due, and whether it would say anything new.
#[derive(Default)]
struct Pace {
    told: u64,
    at: Option<Instant>,
}

impl Pace {
    fn due(&mut self, received: u64, now: Instant) -> Option<u64> {
        let early = self.at.is_some_and(|at| now.saturating_duration_since(at) < EVERY);
        if early || received == self.told {
            return None;
        }
        (self.told, self.at) = (received, Some(now));
        Some(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_three_reports_in_any_second_and_always_the_newest_number() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut told = Vec::new();
        for ms in 0..10_000_u64 {
            // Between the third and the fifth second nothing comes in.
            let received = if (3_000..5_000).contains(&ms) { 3_000 } else { ms };
            if let Some(bytes) = pace.due(received, start + Duration::from_millis(ms)) {
                assert_eq!(bytes, received);
                told.push(ms);
            }
        }
        for (first, ms) in told.iter().enumerate() {
            let within = told[first..].iter().take_while(|later| **later < ms + 1_000).count();
            assert!(within <= 3, "{within} in the second from {ms} on");
        }
        assert!(told.len() > 20, "{told:?}");
        assert!(told.iter().filter(|ms| (3_000..5_000).contains(*ms)).count() <= 1);
    }
}
