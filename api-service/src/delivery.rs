//! Delivers the outbox: each kind of message is one internal call, which may be repeated and which its service has no
//! reason to refuse. A refusal (also 404: the address is wrong, or who answers is too old to know it) is therefore a fault
//! that passes or that somebody mends, and the message is tried again for as long as it takes.

use std::rc::Rc;

use common::clients::{ClientError, Clients, Together, carry};
use common::ids::VideoId;
use common::messages::batch::{Call, Done};
use common::messages::{MediaVisibility, NamedJob, Visibility};
use common::operation;
use common::outbox::{Delivery, Entry};
use futures_util::future::join_all;
use serde::de::DeserializeOwned;

use crate::ops::messages::{CANCEL_JOB, HIDE, PURGE_JOB, SHOW};

/// The scheduler's kind of the job that purges a video; its key is the video's id.
const PURGE: &str = "purge";

/// How messages are sent: of one thread, cheap to clone. A change of many videos (an account that is deleted) is many messages, and
/// one request carries those that are sent at the same time.
#[derive(Clone)]
pub struct Sender {
    clients: Clients,
    hides: Gathered<MediaVisibility>,
    jobs: Gathered<NamedJob>,
}

type Gathered<T> = Together<Call<T>, Result<Done, ClientError>>;

/// Requests of each sort under way at once. Those that hang hold up what goes to the same service in the same way (hiding and showing),
/// until their deadlines.
const REQUESTS: usize = 2;

impl Sender {
    #[must_use]
    pub fn new(clients: Clients) -> Self {
        let (many, alone) = (clients.stream.clone(), clients.stream.clone());
        let hides = gathered(
            async move |calls| many.set_hidden_many(calls).await,
            async move |MediaVisibility { video, visibility }| {
                alone.set_hidden(&video, visibility).await.map(|()| Done {})
            },
        );
        let (many, alone) = (clients.scheduler.clone(), clients.scheduler.clone());
        let jobs = gathered(
            async move |calls| many.put_jobs(calls).await,
            async move |NamedJob { kind, key, job }| alone.put_job(&kind, &key, &job).await.map(|()| Done {}),
        );
        Sender { clients, hides, jobs }
    }
}

fn gathered<T: Clone + 'static>(
    many: impl AsyncFn(Vec<Call<T>>) -> Result<Vec<Result<Done, ClientError>>, ClientError> + 'static,
    alone: impl AsyncFn(T) -> Result<Done, ClientError> + 'static,
) -> Gathered<T> {
    let ways = Rc::new((many, alone));
    Together::new(REQUESTS, move |calls| {
        let ways = ways.clone();
        async move {
            let (many, alone) = &*ways;
            if let Some(outcomes) = carry(&calls, many).await {
                return outcomes;
            }
            let each = |call: Call<T>| operation::scope(call.operation, alone(call.wanted));
            join_all(calls.into_iter().map(each)).await
        }
    })
}

async fn together<T: 'static>(calls: &Gathered<T>, wanted: T) -> Result<(), Failure> {
    let operation = operation::current_or_mint();
    match calls.call(Call { operation, wanted }).await {
        Some(outcome) => Ok(outcome.map(drop)?),
        None => Err(Failure::Lost),
    }
}

/// Sends one message.
pub async fn deliver(sender: &Sender, entry: Entry) -> Delivery {
    match send(sender, &entry).await {
        Ok(()) => Delivery::Done,
        Err(Failure::Call(error)) => Delivery::from(error),
        Err(Failure::Unreadable(reason)) => Delivery::Retry(reason),
        Err(Failure::Lost) => Delivery::Retry("the delivery panicked".into()),
    }
}

enum Failure {
    Call(ClientError),
    /// Written by another version than ours: one that knows it will deliver it.
    Unreadable(String),
    /// What carried it panicked.
    Lost,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Call(error)
    }
}

async fn send(sender: &Sender, entry: &Entry) -> Result<(), Failure> {
    let video: VideoId = entry
        .key
        .parse()
        .map_err(|error| Failure::Unreadable(format!("the key is not a video id: {error}")))?;
    match entry.kind.as_str() {
        HIDE | SHOW => {
            let visibility: Visibility = payload(entry)?;
            together(&sender.hides, MediaVisibility { video, visibility }).await?;
        }
        PURGE_JOB => {
            let (kind, key, job) = (PURGE.to_owned(), video.to_string(), payload(entry)?);
            together(&sender.jobs, NamedJob { kind, key, job }).await?;
        }
        CANCEL_JOB => sender.clients.scheduler.delete_job(PURGE, video.as_str()).await?,
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
