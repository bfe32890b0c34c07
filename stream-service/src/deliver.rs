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

/// Delivers one message. What api-service refuses for good (the video is purged, or elsewhere by now) is done. A 404 may come
/// from a wrong address or an older version, so it is tried again; a purge takes the messages of its video with it.
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
    outcome(&entry.kind, &video, told)
}

fn outcome(kind: &str, video: &VideoId, told: Result<(), ClientError>) -> Delivery {
    match told {
        Ok(()) => Delivery::Done,
        Err(ClientError::Refused {
            status: status @ (409 | 410),
            code,
            ..
        }) => {
            info!(video_id = video; "api-service wants no {kind} of video {video}: {status} {code}");
            Delivery::Done
        }
        Err(error) => Delivery::from(error),
    }
}

fn unreadable(entry: &Entry, error: &serde_json::Error) -> Delivery {
    warn!("Outbox: {} of {} can't be read: {error}", entry.kind, entry.key);
    Delivery::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Delivery {
        let error = ClientError::Refused {
            service: "api-service",
            status,
            code: "x".into(),
            detail: "x".into(),
        };
        outcome(MEDIA_READY, &VideoId::random(), Err(error))
    }

    #[test]
    fn only_a_conflict_or_a_purge_settles_a_message() {
        assert_eq!((refused(409), refused(410)), (Delivery::Done, Delivery::Done));
        for status in [400, 401, 404, 413, 429, 500, 503] {
            assert_ne!(refused(status), Delivery::Done, "{status}");
        }
    }
}
