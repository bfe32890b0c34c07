//! Sessions that ended a moment ago. What was checked before the end and is used after it asks here, so that a check and a
//! revocation that cross each other can't leave a door open.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::ids::Id;

/// Longer than a token's answer is kept and asked for.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Far more than end within half a minute; a session id is about 100 bytes here.
const MAX: usize = 200_000;

#[derive(Default)]
pub struct Ended(Mutex<HashMap<Id, Instant>>);

impl Ended {
    pub fn add(&self, sessions: &[Id]) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if ended.len() + sessions.len() > MAX {
            ended.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        }
        ended.extend(sessions.iter().take(MAX).map(|session| (session.clone(), now)));
    }

    pub fn has(&self, session: &Id) -> bool {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.contains_key(session)
    }

    /// Drops what is old; called now and then.
    pub fn sweep(&self) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, at| at.elapsed() < REMEMBERED);
    }
}
