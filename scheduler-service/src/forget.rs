//! Removes finished jobs after a while, a bounded number at a time.

use std::time::Duration;

use common::db::{Db, DbError, now_ms};
use common::drain::Drain;

use crate::ops;

const EVERY: Duration = Duration::from_secs(60);
/// Rows of one transaction: a few milliseconds.
const BATCH: i64 = 1000;

/// Forgets what ended longer than `keep` ago, until the drain begins.
pub async fn run(db: Db, drain: Drain, keep: Duration) {
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    while drain.sleep(EVERY).await {
        while let Ok(removed) = once(&db, keep_ms)
            .await
            .inspect_err(|error| log::warn!("Old jobs stay for now: {error}"))
            && removed == BATCH as usize
            && !drain.has_begun()
        {}
    }
}

async fn once(db: &Db, keep_ms: i64) -> Result<usize, DbError> {
    db.write(move |conn| {
        let now = now_ms(conn)?;
        Ok(ops::prune(conn, now.saturating_sub(keep_ms), BATCH)?)
    })
    .await
}
