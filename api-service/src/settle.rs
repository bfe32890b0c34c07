//! What was deleted is nowhere any more: some seconds after a change SQLite's write-ahead log is emptied, and once more when
//! the process has answered its last request.

use std::time::Duration;

use common::db::Db;
use common::service::Platform;

/// Between two looks whether anything changed. An empty log costs nothing, a full one is a few MiB to copy.
const EVERY: Duration = Duration::from_secs(5);

/// Tries at the end: a read may be in the way of each.
const LAST_TRIES: u32 = 5;

/// Does so until the process ends.
pub async fn follow(db: Db, platform: Platform) {
    while platform.drain.sleep(EVERY).await {
        settle(&db).await;
    }
    platform.served().await;
    for _ in 0..LAST_TRIES {
        if settle(&db).await {
            return;
        }
    }
}

async fn settle(db: &Db) -> bool {
    match db.settle().await {
        Ok(settled) => settled,
        Err(error) => {
            log::warn!("The write-ahead log is not emptied now: {error}");
            false
        }
    }
}
