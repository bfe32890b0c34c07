//! Removes a video for good: begin it in api-service (a restored video ends the job), delete every object in stream-service,
//! report the receipt. Each step answers the same when it is repeated, so a crash anywhere costs one lease and nothing else.

use common::clients::ClientError;
use common::ids::VideoId;
use common::messages::VideoState;
use common::messages::batch::Done;
use serde_json::json;

use super::{Context, Finished, Trouble, lookup};

pub(super) async fn run(context: &Context) -> Result<Finished, Trouble> {
    let key = &context.leased.job.key;
    let Ok(video) = key.parse::<VideoId>() else {
        return Ok(Finished::Cancelled("The key is not the id of a video".into()));
    };
    let (calls, hold) = (&context.purges, &context.hold);

    match calls.begin(hold, &video).await? {
        Ok(Done {}) => {}
        Err(refused) if refused.status() == Some(409) => return not_now(context, &video, &refused).await,
        // Purged already; what a crash left in the store still goes. Nothing else lets the deletion go on without the
        // compare-and-set in api-service.
        Err(refused) if refused.status() == Some(410) => {}
        Err(refused) if refused.status() == Some(404) => return Err(unknown("internal.api", &refused)),
        Err(other) => return Err(other.into()),
    }

    let mut deleted = calls.delete(hold, &video).await?;
    if matches!(&deleted, Err(late) if late.status() == Some(503)) {
        // It takes longer than those it came with, and has all the time that there is now.
        hold.check()?;
        deleted = context.clients.stream.delete_media(&video).await;
    }
    let receipt = match deleted {
        Ok(receipt) => receipt,
        // A receipt for what was not deleted would be a lie.
        Err(refused) if refused.status() == Some(404) => return Err(unknown("internal.stream", &refused)),
        Err(other) => return Err(other.into()),
    };

    match calls.done(hold, &video, receipt).await? {
        Ok(Done {}) => {}
        Err(refused) if refused.status() == Some(410) => {}
        Err(refused) if refused.status() == Some(404) => return Err(unknown("internal.api", &refused)),
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

/// A service that is asked at the wrong address, or a replica of another version, answers 404 as well: nothing follows from it.
fn unknown(address: &str, refused: &ClientError) -> Trouble {
    Trouble::Failed(format!(
        "{refused}: the service knows neither the video nor, perhaps, the call; look at {address} and at replicas of an older \
         version. Media that no video belongs to is removed by the reconciler"
    ))
}
