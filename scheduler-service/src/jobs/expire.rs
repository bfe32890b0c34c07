//! Sweeps that the owners of the rows do; the scheduler says when.

use std::future::Future;

use common::clients::ClientError;
use common::messages::{Sweep, Swept};
use serde::Deserialize;
use serde_json::json;

use super::{Context, Finished, Trouble, payload};

/// Calls of one sweep in one run. A service removes a bounded batch for each call; what is left waits for the next run.
const MAX_ROUNDS: usize = 100;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wish {
    dry_run: bool,
}

pub(super) async fn sessions(context: &Context) -> Result<Finished, Trouble> {
    let wish: Wish = payload(&context.leased.job.payload)?;
    let api = &context.clients.api;
    let sessions = repeat(context, &wish, |sweep| api.expire_sessions(sweep)).await?;
    Ok(Finished::Done(json!({ "dryRun": wish.dry_run, "sessions": sessions })))
}

/// Uploads first: a video whose upload has just been removed is ended in the same run.
pub(super) async fn uploads(context: &Context) -> Result<Finished, Trouble> {
    let wish: Wish = payload(&context.leased.job.payload)?;
    let (api, stream) = (&context.clients.api, &context.clients.stream);
    let uploads = repeat(context, &wish, |sweep| stream.expire_uploads(sweep)).await?;
    let videos = repeat(context, &wish, |sweep| api.expire_videos(sweep)).await?;
    Ok(Finished::Done(
        json!({ "dryRun": wish.dry_run, "uploads": uploads, "videos": videos }),
    ))
}

/// Sweeps until nothing is left; a dry run looks once.
async fn repeat<F, Fut>(context: &Context, wish: &Wish, sweep: F) -> Result<u64, Trouble>
where
    F: Fn(Sweep) -> Fut,
    Fut: Future<Output = Result<Swept, ClientError>>,
{
    let mut total = 0;
    for _ in 0..MAX_ROUNDS {
        context.hold.check_long()?;
        let swept = sweep(Sweep { dry_run: wish.dry_run }).await?;
        total += swept.count;
        if swept.count == 0 || wish.dry_run {
            break;
        }
    }
    Ok(total)
}
