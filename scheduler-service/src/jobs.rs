//! What each kind of job does. A job runs outside of any transaction; each of its steps may be repeated, because a worker may
//! die or be replaced between any two of them; and it asks its [`Hold`] before each call to the outside.

mod expire;
mod lookup;
mod purge;
mod purge_calls;
pub mod reconcile;
pub mod scrub;

use std::time::Duration;

use common::clients::{ClientError, Clients};
use common::db::{Db, DbError};
use serde_json::Value;

pub use purge_calls::PurgeCalls;

use crate::job::Kind;
use crate::ops::Leased;
use crate::runner::{Hold, Stop};

/// What a job has at hand.
pub struct Context {
    pub db: Db,
    pub clients: Clients,
    pub purges: PurgeCalls,
    pub leased: Leased,
    pub hold: Hold,
    /// Nothing younger is called orphaned: it may be on its way.
    pub orphan_grace: Duration,
    /// What one run of the scrub gets.
    pub scrub_run: Duration,
}

/// How a job ended by itself.
#[derive(Debug)]
pub enum Finished {
    /// With its result as JSON.
    Done(Value),
    /// There was nothing to do any more.
    Cancelled(String),
    /// It is not to be done before this time, Unix milliseconds.
    Postponed(i64),
}

/// Why a job did not end.
#[derive(Debug)]
pub enum Trouble {
    /// To be tried again; the text is shown to operators.
    Failed(String),
    /// A service is away, which is not the job's fault: to be tried again, for as long as it takes.
    Away(String),
    Stopped(Stop),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Trouble::Stopped(stop)
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        if error.is_outage() {
            Trouble::Away(error.to_string())
        } else {
            Trouble::Failed(error.to_string())
        }
    }
}

impl From<DbError> for Trouble {
    fn from(error: DbError) -> Self {
        Trouble::Failed(error.to_string())
    }
}

/// Does what `context.leased` asks for.
pub async fn run(context: &Context) -> Result<Finished, Trouble> {
    match context.leased.kind {
        Kind::Purge => purge::run(context).await,
        Kind::ExpireSessions => expire::sessions(context).await,
        Kind::ExpireUploads => expire::uploads(context).await,
        Kind::Reconcile => reconcile::run(context).await,
        Kind::Scrub => scrub::run(context).await,
    }
}

/// The payload of a job, or its defaults where it says nothing.
fn payload<T: serde::de::DeserializeOwned + Default>(text: &str) -> Result<T, Trouble> {
    if text == "null" {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|error| Trouble::Failed(format!("The payload can't be read: {error}")))
}
