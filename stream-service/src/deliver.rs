//! What the outbox tells api-service.

use common::{
    clients::{ApiClient, ClientError},
    ids::VideoId,
    messages::{MediaFailed, MediaReady},
    outbox::{Delivery, Entry},
};
use log::{error, info, warn};

pub const MEDIA_READY: &str = "media-ready";
pub const MEDIA_FAILED: &str = "media-failed";

/// How often a 404 is taken for a wrong address or an older version behind it: with the waits of the outbox, a quarter of an
/// hour. Then the video is unknown indeed.
const NOT_FOUND_ATTEMPTS: i64 = 20;

/// Delivers one message. What api-service refuses for good (the video is purged, or elsewhere by now) is done; the reconciler
/// deals with media that nobody wants.
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
    outcome(&entry.kind, entry.attempts, &video, told)
}

/// `attempts` were made before this one.
fn outcome(kind: &str, attempts: i64, video: &VideoId, told: Result<(), ClientError>) -> Delivery {
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
        Err(ClientError::Refused { status: 404, .. }) if attempts + 1 >= NOT_FOUND_ATTEMPTS => {
            error!(video_id = video; "api-service knows no video {video}: {kind} is given up");
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

    fn refused(status: u16, attempts: i64) -> Delivery {
        let error = ClientError::Refused {
            service: "api-service",
            status,
            code: "x".into(),
            detail: "x".into(),
        };
        outcome(MEDIA_READY, attempts, &VideoId::random(), Err(error))
    }

    #[test]
    fn a_404_counts_after_many_tries_and_a_conflict_or_a_purge_at_once() {
        for attempts in [0, 1, NOT_FOUND_ATTEMPTS - 2] {
            assert!(matches!(refused(404, attempts), Delivery::Retry(_)));
        }
        assert_eq!(refused(404, NOT_FOUND_ATTEMPTS - 1), Delivery::Done);
        assert_eq!((refused(409, 0), refused(410, 0)), (Delivery::Done, Delivery::Done));
        for status in [400, 401, 413, 429, 500, 503] {
            assert_ne!(refused(status, 1000), Delivery::Done, "{status}");
        }
    }
}
