//! Has stream-service compare what is stored with its hashes, a few seconds' worth in each call, until nothing is due. A run that does
//! not come to the end leaves the rest to the next one: where it was is in the ledger.

use std::time::{Duration, Instant};

use common::messages::{Scrub, ScrubReport};
use common::time::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{Context, Finished, Trouble, payload};

/// A run ends after this time, so that its report is seen now and then.
const AT_MOST: Duration = Duration::from_secs(3600);

/// Names kept of all calls.
const MAX_SAMPLES: usize = 20;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wish {
    /// Everything, and not only what is due.
    all: bool,
}

pub(super) async fn run(context: &Context) -> Result<Finished, Trouble> {
    let job = &context.leased.job;
    let wish: Wish = payload(&job.payload)?;
    // What was checked since an operator asked is checked.
    let before = wish.all.then_some(Timestamp(job.created_at));
    let began = Instant::now();
    let mut total = ScrubReport::default();
    loop {
        context.hold.check_long()?;
        let part = context.clients.stream.scrub(Scrub { before }).await?;
        let (stuck, left) = (part.objects + part.failed == 0, part.left);
        add(&mut total, part);
        if left == 0 || stuck || began.elapsed() >= AT_MOST {
            break;
        }
    }
    let ScrubReport {
        objects,
        bytes,
        damaged,
        ..
    } = total;
    log::info!(objects = objects, bytes = bytes, damaged = damaged; "Checked {objects} stored objects: {damaged} are damaged");
    Ok(Finished::Done(json!(total)))
}

fn add(total: &mut ScrubReport, part: ScrubReport) {
    total.objects += part.objects;
    total.bytes += part.bytes;
    total.damaged += part.damaged;
    total.failed += part.failed;
    total.left = part.left;
    let room = MAX_SAMPLES.saturating_sub(total.samples.len());
    total.samples.extend(part.samples.into_iter().take(room));
}
