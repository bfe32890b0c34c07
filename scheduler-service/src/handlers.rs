//! What the routes do: take typed input, ask one question or make one change, answer.

pub mod internal;
pub mod jobs;

use common::bus::{Bus, Subject};
use common::clients::ApiClient;
use common::db::Db;
use common::http::CookieName;

use crate::runner::Wake;

/// What handlers have at hand. Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub db: Db,
    pub api: ApiClient,
    pub bus: Bus,
    pub wake: Wake,
    /// The session cookie that api-service issues.
    pub cookie: CookieName,
}

/// A job further away than this is found by the polls.
const SOON_MS: i64 = 10_000;

impl State {
    /// After a commit: tells the runners, here and elsewhere, of a job that is due at `run_at`.
    fn tell(&self, run_at: i64, now: i64) {
        if run_at <= now + SOON_MS {
            self.wake.wake();
            self.bus.publish(&Subject::JobsReady, &());
        }
    }
}
