//! From a request to its answer: who asks and may they, what is known, the plan, its execution.

use super::{
    VERSION,
    answer::Terms,
    begin::{begin, location},
    complete, draft,
    fields::Fields,
    plan::{Known, Plan, Upload, decide},
    receive::{self, Held, Received},
    request::{Body, Place, Protocol, Request, read},
    rows,
    tell::tell,
};
use crate::{
    handlers::uploads::{Granted, check_session},
    ledger,
    limit::{client::ClientKey, conn::Permit},
    refusal,
    state::State,
    store::ObjectKey,
    upload::{Stored, barred, check_room, finish, on_its_own, registry::Ticket, source::Raw},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, Version, header::HeaderName},
    web,
};
use common::{
    db::DbError,
    error::{ApiError, Code},
    http::bearer,
    ids::Id,
    slot::SlotHandle,
    time::Timestamp,
};
use std::time::Duration;

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");

/// How long a request waits for the one before it: that saves what it has, which takes a moment, or finishes the video, which
/// takes as long as its file takes to be read.
const TAKE_OVER: Duration = Duration::from_secs(30);

/// One granted request.
pub struct Asker {
    pub granted: Granted,
    pub client: ClientKey,
    pub terms: Terms,
    /// Takes interim responses, if the client and its connection do.
    pub informed: Option<SlotHandle>,
}

impl Asker {
    /// Tells the address of a new upload before its bytes are here (section 5 of the draft), so that a client whose connection
    /// breaks can go on. `false` when that can't be done.
    pub fn told(&self, held: &Held) -> bool {
        let Some(slot) = &self.informed else { return false };
        let mut fields = self.terms.after(&held.upload);
        fields.retain(|(name, _)| *name == "upload-limit");
        fields.push(("location", location(&held.key)));
        slot.inform(draft::interim(&fields));
        true
    }
}

/// What a proxy adds to the requests it passes on.
const PROXIED: [&str; 3] = ["forwarded", "via", "x-forwarded-for"];

/// Interim responses are for HTTP/1.1, and 104 is for those who know the draft in our version (appendix B). A proxy keeps 104
/// to itself, ours too: behind one the client never has the address.
fn informed(request: &HttpRequest, protocol: Protocol) -> Option<SlotHandle> {
    let headers = request.headers();
    let knows = protocol == Protocol::Draft
        && request.version() == Version::HTTP_11
        && draft::interop_version(headers) == Some(draft::INTEROP_VERSION)
        && !PROXIED.iter().any(|name| headers.contains_key(*name));
    request.conn_data::<SlotHandle>().filter(|_| knows).cloned()
}

/// Answers a request to `/uploads` (without an id) or `/uploads/{id}`.
pub async fn serve(
    state: &State,
    request: &HttpRequest,
    id: Option<&str>,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let mut terms = Terms {
        protocol: Protocol::of(request.headers()),
        max_bytes: state.max_upload,
        now: Timestamp::now(),
    };
    let body = Raw::of(request, body);
    let answered = answer(state, request, id, body, &mut terms).await;
    answered.map_err(|error| terms.refused(error))
}

async fn answer(
    state: &State,
    request: &HttpRequest,
    id: Option<&str>,
    body: Raw,
    terms: &mut Terms,
) -> Result<HttpResponse, ApiError> {
    let (grant, client) = state.identify(&request.head().into(), bearer(request.headers()));
    refusal::take_token(state, client)?;
    let place = if id.is_some() { Place::Upload } else { Place::Collection };
    let (protocol, asked) = read(request.method(), place, request.headers())?;
    terms.protocol = protocol;
    if asked == Request::Describe {
        let plan = Plan::Describe;
        return Ok(respond(terms, terms.status(&plan), terms.fields(&plan), None));
    }
    let granted = Granted::new(state, grant?)?;
    terms.max_bytes = granted.max_bytes;
    check_session(state, &granted.by.session).await?;
    let asker = Asker {
        granted,
        client,
        terms: *terms,
        informed: informed(request, protocol),
    };
    match id {
        None => begin(state, asker, asked, body).await,
        Some(id) => {
            let object: Id = id.parse().map_err(|_| ApiError::not_found("upload"))?;
            let key = ObjectKey {
                video: asker.granted.video.clone(),
                object,
            };
            match asked {
                Request::Tell => tell(state, &asker, &key).await,
                asked => go_on(state, asker, key, asked, body).await,
            }
        }
    }
}

/// What is stored is told in the draft, where the answer to the last byte is that of a whole upload (section 4.4.2), with its
/// hash in words of RFC 9530; in tus it has no content.
pub fn respond(terms: &Terms, status: u16, fields: Fields, stored: Option<Stored>) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("a plan has a good status");
    let mut response = HttpResponse::build(status);
    for field in fields {
        response.insert_header(field);
    }
    match (terms.protocol, stored) {
        (Protocol::Tus, _) => response.insert_header((RESUMABLE, VERSION)).finish(),
        (Protocol::Draft, Some(stored)) => {
            if let Some(digest) = draft::repr_digest(&stored.sha256) {
                response.insert_header(("repr-digest", digest));
            }
            response.json(stored)
        }
        (Protocol::Draft, None) => response.finish(),
    }
}

pub fn permit(state: &State, asker: &Asker) -> Result<Permit, ApiError> {
    refusal::upload(state, asker.client, &asker.granted.video)
}

/// A request about an upload that exists, or not.
async fn go_on(
    state: &State,
    asker: Asker,
    key: ObjectKey,
    asked: Request,
    body: Raw,
) -> Result<HttpResponse, ApiError> {
    let terms = asker.terms;
    let (ticket, holder, known) = match look(state, &asker, &key).await? {
        Looked::Over(known) => {
            let plan = decide(terms.protocol, asked, &known, terms.max_bytes)?;
            return Ok(say(&terms, &plan));
        }
        Looked::Taken(ticket, holder, known) => (ticket, holder, known),
    };
    let plan = decide(terms.protocol, asked, &known, terms.max_bytes)?;
    let held = |upload| Held {
        key: key.clone(),
        by: asker.granted.by.clone(),
        holder,
        upload,
        protocol: terms.protocol,
        ticket,
    };
    let status = terms.status(&plan);
    match plan {
        Plan::Append {
            upload,
            body: announced,
            most,
        } if !upload.finished => {
            still_open(state, &key).await?;
            let permit = permit(state, &asker)?;
            check_room(state, announced.declared.unwrap_or(0)).await?;
            let received = append(state, held(upload), (announced, most, permit), body, true).await?;
            Ok(respond(&terms, status, terms.after(&received.upload), received.stored))
        }
        Plan::Terminate => {
            // Not cut short by a client that leaves: half of a removal would wait for the next sweep.
            let (task, held) = (state.clone(), held(UNNEEDED));
            on_its_own(
                state,
                move |_| async move { complete::terminate(&task, &held.key).await },
            )
            .await?;
            Ok(respond(&terms, status, Vec::new(), None))
        }
        plan => Ok(say(&terms, &plan)),
    }
}

/// The answer of a plan that is one in itself.
pub fn say(terms: &Terms, plan: &Plan) -> HttpResponse {
    respond(terms, terms.status(plan), terms.fields(plan), None)
}

/// What is known of an upload that is asked about.
pub enum Looked {
    /// It has ended, or never was: nobody's place is taken.
    Over(Known),
    /// This request holds it, under this id.
    Taken(Ticket, Id, Known),
}

pub async fn look(state: &State, asker: &Asker, key: &ObjectKey) -> Result<Looked, ApiError> {
    let known = find(state, key).await?;
    if !matches!(&known, Known::Is(upload) if !upload.finished) {
        return Ok(Looked::Over(known));
    }
    let ticket = take_over(state, key, &asker.granted.by.session).await?;
    let (holder, known) = take(state, key).await?;
    Ok(Looked::Taken(ticket, holder, known))
}

/// What a termination needs to know of its upload: nothing.
const UNNEEDED: Upload = Upload {
    offset: 0,
    length: None,
    metadata: String::new(),
    concat: None,
    complete: false,
    finished: false,
    expires: Timestamp(0),
};

/// `known`: the client has the address of the upload. If it hasn't, what is left of a broken request is of no use to anybody.
pub async fn append(
    state: &State,
    held: Held,
    (announced, most, permit): (Body, u64, Permit),
    body: Raw,
    known: bool,
) -> Result<Received, ApiError> {
    let (task, key) = (state.clone(), held.key.clone());
    // Where the draft has the last word on an upload that goes beyond its end (section 4.4.2).
    let ends = held.protocol == Protocol::Draft && held.upload.length == Some(most);
    on_its_own(state, move |gone| async move {
        let received = receive::append(&task, held, (announced, most, permit), body, gone).await;
        match received {
            Err(error) if ends && error.code() == Code::BodyTooLarge => {
                finish::remove(&task, &key).await;
                Err(draft::inconsistent_length(
                    "The bytes go beyond the length of this upload, which has ended by that.",
                ))
            }
            Err(error) if !known => {
                finish::remove(&task, &key).await;
                Err(error)
            }
            received => received,
        }
    })
    .await
}

pub async fn find(state: &State, key: &ObjectKey) -> Result<Known, ApiError> {
    let key = key.clone();
    let known = state.db.read(move |conn| Ok::<_, DbError>(rows::find(conn, &key)?));
    Ok(known.await?)
}

/// Whoever runs this upload in this process is stopped, saves what it has, and is waited for.
pub async fn take_over(state: &State, key: &ObjectKey, session: &Id) -> Result<Ticket, ApiError> {
    let ticket = state.uploads.take_over(key, session, TAKE_OVER).await;
    ticket.ok_or_else(|| {
        ApiError::new(Code::Overloaded, "The request before this one is still being finished.")
            .retry_after(Duration::from_secs(1))
    })
}

/// The row names this request from now on, and what it says stays true until the next one.
pub async fn take(state: &State, key: &ObjectKey) -> Result<(Id, Known), ApiError> {
    let (holder, row_key, keep) = (Id::now(), key.clone(), state.upload_expiry);
    let row_holder = holder.clone();
    let known = state
        .db
        .write(move |conn| Ok::<_, DbError>(rows::take(conn, &row_key, &row_holder, keep)?));
    Ok((holder, known.await?))
}

/// More bytes for a video that has its file already, or none any more, would be for nothing.
async fn still_open(state: &State, key: &ObjectKey) -> Result<(), ApiError> {
    let video = key.video.clone();
    let open = state
        .db
        .read(move |conn| Ok::<_, DbError>(ledger::check_open(conn, &video)?));
    open.await?.map_err(barred)
}
