//! The checks of the limits, and the 429 answers: code, words, and what draft-ietf-httpapi-ratelimit-headers says about the
//! limit that was reached. Every refusal is counted and shown to operators.
//!
//! A request for media asks twice: [`take_token`] before anything else, and [`stream`] once it is clear that bytes are to be
//! sent. Whatever sends them (the App's handler, the fast path before it) asks these two and nothing else.

use crate::{
    limit::{
        client::ClientKey,
        conn::{self, Permit, Whose},
        egress::{Account, Day, until_tomorrow},
        headers::{Policy, refused},
        meter::Meter,
        refusals::{Reason, Refused},
        rows,
        told::{EgressLeft, Told, egress_policy},
    },
    state::State,
};
use common::{
    error::{ApiError, Code},
    ids::VideoId,
    operation,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Longest wait for the database to say what a client has used today. Without an answer it is let through, and asked for again
/// soon: an account that can't be looked up is no reason to send nobody anything.
const ASK_AT_MOST: Duration = Duration::from_secs(1);

/// A stream that may begin now.
pub struct Admission {
    /// To be held until the last byte is sent or the viewer leaves.
    pub permit: Permit,
    /// For whoever sends the bytes.
    pub meter: Meter,
}

/// Takes one token of the client's bucket. What is left of it goes with the answer.
pub fn take_token(state: &State, client: ClientKey) -> Result<Told, ApiError> {
    let rate = &state.limits.rate;
    let quota = rate.quota();
    match rate.take(client, Instant::now()) {
        Ok(tokens) => Ok(Told::new(state.limits.policy(client), tokens)),
        Err(wait) => {
            let burst = quota.burst().into();
            note(state, client, Reason::Rate, (burst, burst), None);
            let detail = "This client asks too often.";
            let policy = Policy::rate(&quota);
            Err(refused(Code::TooManyRequests, detail, &policy, Some(wait)))
        }
    }
}

/// Whether this client may have a stream of this video now: a place, and budget left for today. What is left of both goes with
/// the answer.
pub async fn stream(state: &State, client: ClientKey, video: &VideoId, told: &mut Told) -> Result<Admission, ApiError> {
    let permit = state.limits.streams.try_acquire_for(client, video);
    let permit = permit.map_err(|reached| streams(state, client, video, reached))?;
    told.streams = Some(permit.left());
    let account = account(state, client).await;
    if let Some(account) = &account {
        told.egress = egress_left(state, account, video)?;
    }
    let meter = Meter::new(&permit, video, account, &state.limits.refusals);
    Ok(Admission { permit, meter })
}

/// One upload more.
pub fn upload(state: &State, client: ClientKey, video: &VideoId) -> Result<Permit, ApiError> {
    let permit = state.limits.uploads.try_acquire_for(client, video);
    permit.map_err(|reached| {
        let reason = match reached.whose {
            Whose::Client => Reason::UploadsOfUser,
            Whose::Everybodys => Reason::Uploads,
        };
        note(
            state,
            client,
            reason,
            (reached.held as u64, reached.most as u64),
            Some(video),
        );
        concurrent(Code::TooManyUploads, ["uploads", "all-uploads"], reached)
    })
}

fn streams(state: &State, client: ClientKey, video: &VideoId, reached: conn::Refused) -> ApiError {
    let reason = match reached.whose {
        Whose::Client => Reason::StreamsOfClient,
        Whose::Everybodys => Reason::Streams,
    };
    note(
        state,
        client,
        reason,
        (reached.held as u64, reached.most as u64),
        Some(video),
    );
    concurrent(Code::TooManyStreams, ["streams", "all-streams"], reached)
}

/// `names`: of the policy for a client, and of that for all together.
fn concurrent(code: Code, names: [&'static str; 2], reached: conn::Refused) -> ApiError {
    let conn::Refused { whose, held, most } = reached;
    let (name, detail) = match whose {
        Whose::Client => (
            names[0],
            format!("You have {held} of at most {most} {} under way already.", names[0]),
        ),
        Whose::Everybodys => (
            names[1],
            format!("This service is at its maximum of {most} {}.", names[0]),
        ),
    };
    refused(code, detail, &Policy::concurrent(name, most), None)
}

/// The client's account of today; `None` when it has no budget.
async fn account(state: &State, client: ClientKey) -> Option<Arc<Account>> {
    let egress = &state.limits.egress;
    if egress.most(client) == 0 {
        return None;
    }
    if let Some(account) = egress.find(client) {
        return Some(account);
    }
    Some(Box::pin(opened(state, client)).await)
}

/// An account that nobody has used of late.
async fn opened(state: &State, client: ClientKey) -> Arc<Account> {
    let egress = &state.limits.egress;
    let day = Day::of(egress.now());
    let asked = state.db.read(move |conn| rows::egress::used(conn, day, client));
    let used = match tokio::time::timeout(ASK_AT_MOST, asked).await {
        Ok(Ok(bytes)) => Some((day, bytes)),
        Ok(Err(error)) => {
            log::warn!("What {client} used of its egress budget could not be asked: {error}");
            None
        }
        Err(_) => {
            log::warn!("What {client} used of its egress budget was not told within {ASK_AT_MOST:?}");
            None
        }
    };
    egress.open(client, used)
}

fn egress_left(state: &State, account: &Account, video: &VideoId) -> Result<Option<EgressLeft>, ApiError> {
    let most = account.most();
    if most == 0 {
        return Ok(None);
    }
    let until = until_tomorrow(state.limits.egress.now());
    match account.left() {
        Ok(left) => Ok(Some(EgressLeft { left, until })),
        Err(used) => {
            let client = account.client();
            note(state, client, Reason::Egress, (used, most), Some(video));
            let whose = if client.is_user() { "you" } else { "your network" };
            let detail = format!(
                "Today {used} bytes were sent to {whose}, of at most {most} a day. The next day begins at 00:00 UTC."
            );
            Err(refused(Code::BudgetSpent, detail, &egress_policy(most), Some(until)))
        }
    }
}

fn note(state: &State, client: ClientKey, reason: Reason, (reached, most): (u64, u64), video: Option<&VideoId>) {
    state.limits.refusals.note(Refused {
        client,
        reason,
        reached,
        most,
        video,
        operation: operation::current(),
    });
}
