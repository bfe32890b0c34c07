//! The 429 answers: the code, and what draft-ietf-httpapi-ratelimit-headers says about the limit that was reached.

use crate::{
    limit::{client::ClientKey, conn::Refused, headers::Policy},
    state::State,
};
use actix_web::http::header::{HeaderName, HeaderValue};
use common::error::{ApiError, Code};
use std::time::{Duration, Instant};

/// When to try again after a maximum of concurrent things was reached: nobody knows when one of them ends.
const A_PLACE_IS_FREE: Duration = Duration::from_secs(2);

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

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

fn refused(code: Code, detail: impl Into<String>, policy: &Policy, wait: Option<Duration>) -> ApiError {
    let mut error = ApiError::new(code, detail).retry_after(wait.unwrap_or(A_PLACE_IS_FREE));
    for (name, text) in [(POLICY, policy.policy_value()), (LIMIT, policy.limit_value(0, wait))] {
        error = match HeaderValue::try_from(text) {
            Ok(value) => error.header(name, value),
            Err(cause) => error.because(cause),
        };
    }
    error
}
