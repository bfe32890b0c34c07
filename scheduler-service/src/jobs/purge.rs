//! Removes a video for good: begin it in api-service (a restored video ends the job), delete every object in stream-service,
//! report the receipt. Each step answers the same when it is repeated, so a crash anywhere costs one lease and nothing else.

use common::clients::ClientError;
use common::ids::VideoId;
use common::messages::{Receipt, VideoState};
use serde_json::json;

use super::{Context, Finished, Trouble, lookup};

pub(super) async fn run(context: &Context) -> Result<Finished, Trouble> {
    let key = &context.leased.job.key;
    let Ok(video) = key.parse::<VideoId>() else {
        return Ok(Finished::Cancelled("The key is not the id of a video".into()));
    };
    let (api, stream) = (&context.clients.api, &context.clients.stream);

    context.hold.check()?;
    match api.purge_begin(&video).await {
        Ok(()) => {}
        Err(refused) if refused.status() == Some(409) => return not_now(context, &video, &refused).await,
        // The row is gone or purged already; what a crash left in the store still goes.
        Err(refused) if is_gone(&refused) => {}
        Err(other) => return Err(other.into()),
    }

    context.hold.check()?;
    let receipt = match stream.delete_media(&video).await {
        Ok(receipt) => receipt,
        Err(refused) if is_gone(&refused) => Receipt::default(),
        Err(other) => return Err(other.into()),
    };

    context.hold.check()?;
    match api.purge_done(&video, receipt).await {
        Ok(()) => {}
        Err(refused) if is_gone(&refused) => {}
        Err(other) => return Err(other.into()),
    }
    log::info!(video_id = video, objects = receipt.objects, bytes = receipt.bytes;
        "Purged video {video}: {} objects, {} bytes", receipt.objects, receipt.bytes);
    Ok(Finished::Done(json!(receipt)))
}

/// Restored, which ends the job; or in the trash and not due by the clock of api-service, which differs from ours (or the video
/// was restored and trashed again).
async fn not_now(context: &Context, video: &VideoId, refused: &ClientError) -> Result<Finished, Trouble> {
    context.hold.check()?;
    let record = lookup::video(context, video).await?;
    match record
        .filter(|record| record.state == VideoState::Trashed)
        .and_then(|record| record.purge_at)
    {
        Some(due) => Ok(Finished::Postponed(due.millis())),
        None => Ok(Finished::Cancelled(format!("The video is not to be purged: {refused}"))),
    }
}

fn is_gone(error: &ClientError) -> bool {
    matches!(error.status(), Some(404 | 410))
}
