//! HEAD: where an upload is, which stays true until the next request. When all bytes are here and the video is not (a crash was
//! between), it is made first.

use super::{
    complete::{all_left, complete},
    plan::{Known, Plan, decide},
    receive::Held,
    request::Request,
    rows,
    serve::{Asker, Looked, find, look, permit, say},
};
use crate::{
    state::State,
    store::ObjectKey,
    upload::{on_its_own, sink::Sink},
};
use actix_web::HttpResponse;
use common::{
    db::DbError,
    error::{ApiError, Code},
    ids::Id,
};
use std::time::Duration;
use tokio::time::Instant;

/// How often the video is begun that others take away meanwhile.
const TRIES: usize = 3;

/// How long whoever has taken it gets to finish it, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(200);

/// Where this upload is. Another copy may have a newer request, which takes the upload while its video is made here and gets no
/// further itself: a request of a connection that was cut long ago, for example. Then it is looked at again. A refusal would be
/// read as the end of the upload: tus-js-client begins a new one after a HEAD that is answered with 4xx.
pub async fn tell(state: &State, asker: &Asker, key: &ObjectKey) -> Result<HttpResponse, ApiError> {
    for _ in 0..TRIES {
        let (ticket, holder, known) = match look(state, asker, key).await? {
            Looked::Over(known) => return Ok(say(&asker.terms, &plan(asker, &known)?)),
            Looked::Taken(ticket, holder, known) => (ticket, holder, known),
        };
        let upload = match plan(asker, &known)? {
            Plan::Complete(upload) => upload,
            plan => return Ok(say(&asker.terms, &plan)),
        };
        let held = Held {
            key: key.clone(),
            by: asker.granted.by.clone(),
            holder: holder.clone(),
            upload,
            protocol: asker.terms.protocol,
            ticket,
        };
        match end(state, asker, held).await {
            Err(error) if error.code() == Code::Conflict && !holds(state, key, holder).await? => {
                let known = until_over(state, key).await?;
                if !unfinished(&known) {
                    return Ok(say(&asker.terms, &plan(asker, &known)?));
                }
            }
            ended => return ended,
        }
    }
    let busy = "Other requests are still finishing this upload.";
    Err(ApiError::new(Code::Overloaded, busy).retry_after(Duration::from_secs(1)))
}

/// Leaves it to whoever has it now, and says what has become of it.
async fn until_over(state: &State, key: &ObjectKey) -> Result<Known, ApiError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let known = find(state, key).await?;
        if Instant::now() >= until || !unfinished(&known) {
            return Ok(known);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn unfinished(known: &Known) -> bool {
    matches!(known, Known::Is(upload) if !upload.finished)
}

fn plan(asker: &Asker, known: &Known) -> Result<Plan, ApiError> {
    decide(asker.terms.protocol, Request::Tell, known, asker.terms.max_bytes)
}

async fn holds(state: &State, key: &ObjectKey, holder: Id) -> Result<bool, ApiError> {
    let object = key.object.clone();
    let holds = state
        .db
        .read(move |conn| Ok::<_, DbError>(rows::holds(conn, &object, &holder)?));
    Ok(holds.await?)
}

/// Makes the video, and says so.
async fn end(state: &State, asker: &Asker, held: Held) -> Result<HttpResponse, ApiError> {
    // Its whole file is read.
    let permit = permit(state, asker)?;
    let task = state.clone();
    let received = on_its_own(state, move |_| async move {
        let _permit = permit;
        let at = held.upload.offset;
        let left = all_left(&task, &held.key, at).await?;
        let sink = Sink::resume(&task, &held.key, left, at, None).await?;
        complete(&task, held, sink).await
    });
    let plan = Plan::Tell(received.await?.upload);
    Ok(say(&asker.terms, &plan))
}
