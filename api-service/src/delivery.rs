//! Delivers the outbox: each kind of message is one internal call, which may be repeated and which its service has no
//! reason to refuse. A refusal (also 404: the address is wrong, or who answers is too old to know it) is therefore a fault
//! that passes or that somebody mends, and the message is tried again for as long as it takes.

use common::clients::{ClientError, Clients};
use common::ids::VideoId;
use common::messages::{JobRequest, Visibility};
use common::outbox::{Delivery, Entry};
use serde::de::DeserializeOwned;

use crate::ops::messages::{CANCEL_JOB, HIDE, PURGE_JOB, SHOW};

/// The scheduler's kind of the job that purges a video; its key is the video's id.
const PURGE: &str = "purge";

/// Sends one message.
pub async fn deliver(clients: &Clients, entry: Entry) -> Delivery {
    match send(clients, &entry).await {
        Ok(()) => Delivery::Done,
        Err(Failure::Call(error)) => Delivery::from(error),
        Err(Failure::Unreadable(reason)) => Delivery::Retry(reason),
    }
}

enum Failure {
    Call(ClientError),
    /// Written by another version than ours: one that knows it will deliver it.
    Unreadable(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Call(error)
    }
}

async fn send(clients: &Clients, entry: &Entry) -> Result<(), Failure> {
    let video: VideoId = entry
        .key
        .parse()
        .map_err(|error| Failure::Unreadable(format!("the key is not a video id: {error}")))?;
    match entry.kind.as_str() {
        HIDE | SHOW => {
            let visibility: Visibility = payload(entry)?;
            clients.stream.set_hidden(&video, visibility).await?;
        }
        PURGE_JOB => {
            let job: JobRequest = payload(entry)?;
            clients.scheduler.put_job(PURGE, video.as_str(), &job).await?;
        }
        CANCEL_JOB => clients.scheduler.delete_job(PURGE, video.as_str()).await?,
        other => {
            return Err(Failure::Unreadable(format!(
                "`{other}` is not a kind this version knows"
            )));
        }
    }
    Ok(())
}

fn payload<T: DeserializeOwned>(entry: &Entry) -> Result<T, Failure> {
    serde_json::from_str(&entry.payload)
        .map_err(|error| Failure::Unreadable(format!("the payload can't be read: {error}")))
}
