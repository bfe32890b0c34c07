//! What the outbox tells api-service.

use common::{
    clients::{ApiClient, ClientError},
    ids::VideoId,
    messages::{MediaFailed, MediaReady},
    outbox::{Delivery, Entry},
};
use log::{info, warn};

pub const MEDIA_READY: &str = "media-ready";
pub const MEDIA_FAILED: &str = "media-failed";

/// Delivers one message. What api-service refuses for good (the video is unknown or purged) is done; the reconciler deals
/// with media that nobody wants.
pub async fn deliver(api: &ApiClient, entry: Entry) -> Delivery {
    let Ok(video) = entry.key.parse::<VideoId>() else {
        warn!("Outbox: {} is not a video", entry.key);
        return Delivery::Done;
    };
    let told = match entry.kind.as_str() {
        MEDIA_READY => match serde_json::from_str::<MediaReady>(&entry.payload) {
            Ok(media) => api.media_ready(&video, &media).await,
            Err(error) => return unreadable(&entry, &error),
        },
        MEDIA_FAILED => match serde_json::from_str::<MediaFailed>(&entry.payload) {
            Ok(failure) => api.media_failed(&video, &failure).await,
            Err(error) => return unreadable(&entry, &error),
        },
        other => {
            // Written by a newer version that runs beside this one: it will deliver it.
            return Delivery::Retry(format!("this version does not know the message {other}"));
        }
    };
    match told {
        Ok(()) => Delivery::Done,
        Err(ClientError::Refused {
            status: status @ (404 | 409 | 410),
            code,
            ..
        }) => {
            info!(video_id = video; "api-service wants no {} of video {video}: {status} {code}", entry.kind);
            Delivery::Done
        }
        Err(error) => Delivery::from(error),
    }
}

fn unreadable(entry: &Entry, error: &serde_json::Error) -> Delivery {
    warn!("Outbox: {} of {} can't be read: {error}", entry.kind, entry.key);
    Delivery::Done
}
