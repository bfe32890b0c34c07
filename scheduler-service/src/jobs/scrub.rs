//! Has stream-service compare what is stored with its hashes, a few seconds' worth in each call, until nothing is due. Where it is stands
//! in the ledger: a run that does not come to the end, for whatever reason, leaves the rest to the next.

use std::time::{Duration, Instant};

use common::clients::ClientError;
use common::db::{DbError, now_ms};
use common::messages::{Scrub, ScrubReport};
use common::time::Timestamp;
use log::Level;
use serde::Deserialize;
use serde_json::json;

use super::{Context, Finished, Trouble, payload};

/// A run ends after this time: its report is seen now and then, and it does not keep others from running alone. What an operator asked
/// for goes on in another.
pub const RUN: Duration = Duration::from_secs(3600);

/// Calls in a row that bring nothing forward, after which a run ends.
const MAX_IDLE: u32 = 3;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wish {
    /// Everything, and not only what is due.
    all: bool,
}

pub(super) async fn run(context: &Context) -> Result<Finished, Trouble> {
    let job = &context.leased.job;
    let wish: Wish = payload(&job.payload)?;
    // What had its turn since an operator asked is checked.
    let before = wish.all.then_some(Timestamp(job.created_at));
    let (began, mut idle) = (Instant::now(), 0);
    let mut total = ScrubReport::default();
    loop {
        context.hold.check_long()?;
        let part = context.clients.stream.scrub(Scrub { before }).await.map_err(trouble)?;
        let forward = part.bytes > 0 || part.left != total.left;
        idle = if forward { 0 } else { idle + 1 };
        total = ScrubReport {
            objects: total.objects + part.objects,
            bytes: total.bytes + part.bytes,
            found: total.found + part.found,
            ..part
        };
        if total.left == 0 || idle >= MAX_IDLE {
            break;
        }
        if began.elapsed() >= context.scrub_run {
            if wish.all {
                return Ok(Finished::Postponed(now(context).await?));
            }
            break;
        }
    }
    let ScrubReport { objects, damaged, .. } = total;
    // It comes every few minutes, and mostly has nothing to do.
    let level = if objects > 0 { Level::Info } else { Level::Debug };
    log::log!(level, objects = objects, damaged = damaged; "Checked {objects} stored objects; {damaged} are damaged");
    Ok(Finished::Done(json!(total)))
}

async fn now(context: &Context) -> Result<i64, DbError> {
    context.db.read(|conn| Ok(now_ms(conn)?)).await
}

/// A stream-service of the version before this one is as good as away: it is being replaced.
fn trouble(error: ClientError) -> Trouble {
    match error.status() {
        Some(404) => Trouble::Away("This version of stream-service does not know the scrub yet.".to_owned()),
        _ => error.into(),
    }
}
