//! The 429 answers: the code, and what draft-ietf-httpapi-ratelimit-headers says about the limit that was reached.

use crate::{
    limit::{
        client::ClientKey,
        conn::Refused,
        headers::{Policy, refused},
    },
    state::State,
};
use common::error::{ApiError, Code};
use std::time::Instant;

/// Takes one token of the client's bucket.
pub fn take_token(state: &State, client: ClientKey) -> Result<(), ApiError> {
    let Err(wait) = state.limits.rate.take(client, Instant::now()) else {
        return Ok(());
    };
    state.metrics.refused.inc();
    let policy = Policy::rate(&state.limits.rate.quota());
    Err(refused(
        Code::TooManyRequests,
        "This client asks too often.",
        &policy,
        Some(wait),
    ))
}

pub fn streams(state: &State, reached: Refused) -> ApiError {
    concurrent(state, Code::TooManyStreams, "streams", reached)
}

pub fn uploads(state: &State, reached: Refused) -> ApiError {
    concurrent(state, Code::TooManyUploads, "uploads", reached)
}

fn concurrent(state: &State, code: Code, name: &'static str, reached: Refused) -> ApiError {
    state.metrics.refused.inc();
    let (detail, most) = match reached {
        Refused::Client(most) => (
            format!("You have {most} of at most {most} {name} under way already."),
            most,
        ),
        Refused::Total(most) => (format!("This service is at its maximum of {name}."), most),
    };
    refused(code, detail, &Policy::concurrent(name, most), None)
}
