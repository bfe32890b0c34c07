//! Removes a video for good: begin it in api-service (a restored video ends the job), delete every object in stream-service,
//! report the receipt. Each step answers the same when it is repeated, so a crash anywhere costs one lease and nothing else.

use common::clients::ClientError;
use common::ids::VideoId;
use common::messages::Receipt;
use serde_json::json;

use super::{Context, Finished, Trouble};

pub(super) async fn run(context: &Context) -> Result<Finished, Trouble> {
    let key = &context.leased.job.key;
    let Ok(video) = key.parse::<VideoId>() else {
        return Ok(Finished::Cancelled("The key is not the id of a video".into()));
    };
    let (api, stream) = (&context.clients.api, &context.clients.stream);

    context.hold.check()?;
    match api.purge_begin(&video).await {
        Ok(()) => {}
        Err(refused) if refused.status() == Some(409) => {
            return Ok(Finished::Cancelled(format!("The video is not to be purged: {refused}")));
        }
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

fn is_gone(error: &ClientError) -> bool {
    matches!(error.status(), Some(404 | 410))
}
