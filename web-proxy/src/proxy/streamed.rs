//! The carrier for everything: both bodies pass through buffers of ours, pieces at a time.

use std::error::Error as _;
use std::pin::pin;

use actix_web::web;
use common::error::ApiError;
use common::plain::Answer;
use common::replicas::Turn;
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use tokio::time::{Instant, sleep};

use super::body::{self, Source, Upload};
use super::client::{self, Client};
use super::exchange::{Exchange, Failure, chain};
use super::headers::Head;
use super::relay;

/// Passes a request with its body on, and the answer back.
pub async fn run(
    exchange: &Exchange<'_>,
    client: &Client,
    head: &Head<'_>,
    payload: Option<web::Payload>,
) -> Result<Answer, ApiError> {
    let (source, mut upload) = body::begin(head.length, payload, exchange.wait);
    let attempt = async |turn: &Turn| attempt(exchange, client, turn, head, &source, &mut upload).await;
    let (answer, turn) = exchange.run(head, || source.is_whole(), attempt).await?;
    relay::answer(head, answer, turn, upload, exchange.wait)
}

/// Sends the request and waits for the head of the answer. While the body moves, the service is not late.
async fn attempt(
    exchange: &Exchange<'_>,
    client: &Client,
    turn: &Turn,
    head: &Head<'_>,
    source: &Source,
    upload: &mut Upload,
) -> Result<(Response<Incoming>, Turn), Failure> {
    let request = client::request(turn, head, source.body()).map_err(Failure::Final)?;
    let mut call = pin!(client.call(request));
    let mut deadline = pin!(sleep(exchange.wait));
    loop {
        let uploading = upload.is_running();
        tokio::select! {
            biased;
            answer = &mut call => return answer.map(|answer| (answer, turn.clone())).map_err(|error| classify(&error)),
            moved = upload.run(), if uploading => {
                moved.map_err(Failure::Final)?;
                deadline.as_mut().reset(Instant::now() + exchange.wait);
            }
            () = &mut deadline, if !uploading => return Err(Failure::late(turn, exchange.wait)),
        }
    }
}

fn classify(error: &Error) -> Failure {
    if error.is_connect() {
        return Failure::Unreachable(chain(error));
    }
    let below = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    match below {
        Some(below) => Failure::of(below),
        None => Failure::Unusable(chain(error)),
    }
}
