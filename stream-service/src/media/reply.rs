//! The answer to a GET or HEAD of a stored file: preconditions, ranges, headers.

use super::{
    body::{FileBody, Part},
    job::StoredJob,
    open::open,
    playable::playable,
    registry::{Reader, Ticket},
};
use crate::{
    entries::Known,
    limit::{client::ClientKey, meter::Meter, told::Told},
    precondition::{self, Conditions, Outcome, Validators},
    range::{self, Plan, multipart::Multipart},
    refusal::{self, Admission},
    state::State,
};
use actix_web::{
    body::BoxBody,
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::Bytes,
};
use common::{
    error::{ApiError, Code},
    ids::VideoId,
    plain::{Answer, Body, Fields, PlainRequest},
};
use std::borrow::Cow;

/// No script of a stored file may run, should a browser ever be brought to show it as a page.
const CSP: &str = "sandbox; default-src 'none'";

/// One wanted file.
pub struct Wanted<'a> {
    pub request: &'a PlainRequest<'a>,
    /// The bytes can go past the framework.
    pub moves: bool,
    pub client: ClientKey,
    /// What is left of its limits.
    pub told: Told,
    pub video: &'a VideoId,
    /// The version of the grant.
    pub grant: i64,
    pub known: &'a Known,
    pub download: bool,
}

/// What becomes of a request before anything is asked for it.
enum Decided {
    /// There is nothing to send.
    Answered(Answer),
    Send(Plan),
}

pub async fn reply(state: &State, wanted: &mut Wanted<'_>) -> Result<Answer, ApiError> {
    let plan = match decide(wanted)? {
        Decided::Answered(answer) => return Ok(answer),
        Decided::Send(plan) => plan,
    };
    let Admission { permit, meter } = refusal::stream(state, wanted.client, wanted.video, &mut wanted.told).await?;
    let ticket = registered(state, wanted).await?;
    let content = open(state, wanted.video, &wanted.known.source, &plan, wanted.moves).await?;
    wanted.moves &= content.moves();
    let reader = ticket.open(content, permit).ok_or_else(taken_away)?;
    planned(state, plan, wanted, (reader, meter))
}

/// Preconditions, then ranges.
fn decide(wanted: &Wanted<'_>) -> Result<Decided, ApiError> {
    let (fields, known) = (wanted.request.fields, wanted.known);
    let size = known.source.size;
    let use_range = match preconditions(fields, known) {
        Outcome::Proceed { use_range } => use_range,
        Outcome::NotModified => {
            let body = Body::Empty { length: None };
            return Ok(Decided::Answered(answer(StatusCode::NOT_MODIFIED, wanted, [], body)));
        }
        Outcome::Failed => {
            return Err(ApiError::new(
                Code::PreconditionFailed,
                "The file is not the one that the request names.",
            ));
        }
    };
    if *wanted.request.method == Method::HEAD {
        let body = Body::Empty { length: Some(size) };
        let mime = (header::CONTENT_TYPE, known.type_header.clone());
        return Ok(Decided::Answered(answer(StatusCode::OK, wanted, [mime], body)));
    }
    let range = use_range.then(|| only_range(fields)).flatten();
    match range::plan(range, size) {
        Plan::Unsatisfiable => Err(unsatisfiable(size)),
        plan => Ok(Decided::Send(plan)),
    }
}

fn preconditions(fields: Fields<'_>, known: &Known) -> Outcome {
    // A player that asks for its next piece mostly has none.
    if !fields.iter().any(|(name, _)| is_condition(name)) {
        return Outcome::Proceed { use_range: true };
    }
    let conditions = [
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
    ]
    .map(|name| joined(fields, &name));
    let conditions = Conditions {
        if_match: conditions[0].as_deref(),
        if_unmodified_since: conditions[1].as_deref(),
        if_none_match: conditions[2].as_deref(),
        if_modified_since: conditions[3].as_deref(),
        if_range: conditions[4].as_deref(),
    };
    let validators = Validators {
        etag: &known.etag,
        modified: known.modified,
    };
    precondition::evaluate(&conditions, &validators)
}

/// Whether the name of a field is one of those of RFC 9110 section 13.1: all begin so.
fn is_condition(name: &str) -> bool {
    name.as_bytes()
        .get(..3)
        .is_some_and(|begin| begin.eq_ignore_ascii_case(b"if-"))
}

/// A stream that every later cut finds. What the request was checked against may have changed before, so it is asked for
/// once more (and mostly remembered).
async fn registered(state: &State, wanted: &Wanted<'_>) -> Result<Ticket, ApiError> {
    let ticket = state.streams.register(wanted.video, wanted.grant);
    match playable(state, wanted.video, wanted.grant).await? {
        Some(known) if known.source.object == wanted.known.source.object => Ok(ticket),
        _ => Err(taken_away()),
    }
}

fn taken_away() -> ApiError {
    ApiError::not_found("video").because("it was hidden or purged meanwhile")
}

/// The answer of a plan that can be served.
fn planned(state: &State, plan: Plan, wanted: &Wanted<'_>, stream: (Reader, Meter)) -> Result<Answer, ApiError> {
    let (size, mime) = (wanted.known.source.size, &wanted.known.type_header);
    let mime = (header::CONTENT_TYPE, mime.clone());
    Ok(match plan {
        Plan::One(range) => {
            let place = HeaderValue::try_from(range.content_range(size)).map_err(ApiError::internal)?;
            let body = one(state, wanted, stream, (range.start, range.end));
            let fields = [mime, (header::CONTENT_RANGE, place)];
            answer(StatusCode::PARTIAL_CONTENT, wanted, fields, body)
        }
        Plan::Many(ranges) => {
            let framing = Multipart::new(&ranges, size, &wanted.known.source.mime, unguessable());
            let mime = HeaderValue::try_from(framing.content_type()).map_err(ApiError::internal)?;
            let mut parts = Vec::new();
            for (text, range) in framing.parts() {
                parts.push(Part::Text(text.clone().into()));
                parts.push(Part::Stored {
                    start: range.start,
                    end: range.end,
                });
            }
            parts.push(Part::Text(framing.tail().into()));
            let body = copied(state, stream, parts);
            answer(
                StatusCode::PARTIAL_CONTENT,
                wanted,
                [(header::CONTENT_TYPE, mime)],
                body,
            )
        }
        Plan::Whole | Plan::Unsatisfiable => {
            let body = one(state, wanted, stream, (0, size));
            answer(StatusCode::OK, wanted, [mime], body)
        }
    })
}

/// One range: inside the kernel where the connection can.
fn one(state: &State, wanted: &Wanted<'_>, stream: (Reader, Meter), (start, end): (u64, u64)) -> Body {
    if !wanted.moves || start >= end {
        return copied(state, stream, vec![Part::Stored { start, end }]);
    }
    let job = StoredJob::new(stream, (start, end), state.limits.pace.clone(), state.metrics.clone());
    Body::Moved {
        length: end - start,
        first: Bytes::new(),
        job: Box::new(job),
    }
}

fn copied(state: &State, stream: (Reader, Meter), parts: Vec<Part>) -> Body {
    let body = FileBody::new(stream, parts, state.limits.pace.clone(), state.metrics.clone());
    Body::Copied {
        length: Some(body.length()),
        body: BoxBody::new(body),
    }
}

/// An answer with the fields that every one about a file has.
fn answer<const N: usize>(
    status: StatusCode,
    wanted: &Wanted<'_>,
    fields: [(HeaderName, HeaderValue); N],
    body: Body,
) -> Answer {
    let fixed = |text| HeaderValue::from_static(text);
    let common = [
        (header::ETAG, wanted.known.etag_header.clone()),
        (header::LAST_MODIFIED, wanted.known.modified_header.clone()),
        (header::ACCEPT_RANGES, fixed("bytes")),
        // Asked for again each time (and answered 304), so that a deleted video does not play from a cache.
        (header::CACHE_CONTROL, fixed("private, no-cache")),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::CONTENT_SECURITY_POLICY, fixed(CSP)),
        (header::CROSS_ORIGIN_RESOURCE_POLICY, fixed("same-origin")),
    ];
    let mut all = Vec::with_capacity(common.len() + N + 3);
    all.extend(common);
    all.extend(wanted.told.fields());
    all.extend(fields);
    if wanted.download {
        // The name is made from the id: no text of a user becomes a header.
        let name = format!(
            "attachment; filename=\"{}.{}\"",
            wanted.video,
            extension(&wanted.known.source.mime)
        );
        let name = HeaderValue::try_from(name).expect("an id and an extension are a header value");
        all.push((header::CONTENT_DISPOSITION, name));
    }
    Answer {
        status,
        fields: all.into(),
        body,
    }
}

fn unsatisfiable(size: u64) -> ApiError {
    let range = header::HeaderValue::try_from(format!("bytes */{size}"));
    let error = ApiError::new(Code::RangeNotSatisfiable, format!("The file has {size} bytes."))
        .header(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    match range {
        Ok(range) => error.header(header::CONTENT_RANGE, range),
        Err(cause) => error.because(cause),
    }
}

/// All lines of a header as one list; `None` when it is absent. Entity tags may hold bytes that are no text (RFC 9110 section
/// 8.8.3): no tag of ours does, so it is enough that they stay different.
fn joined<'a>(fields: Fields<'a>, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = fields.all(name).map(String::from_utf8_lossy);
    let first = lines.next()?;
    Some(lines.fold(first, |all, line| Cow::Owned(format!("{all}, {line}"))))
}

/// The Range, if there is one. It is no list: what stands in several lines is ignored as what can't be read is.
fn only_range(fields: Fields<'_>) -> Option<&[u8]> {
    let mut lines = fields.all(&header::RANGE);
    let only = lines.next()?;
    lines.next().is_none().then_some(only)
}

fn extension(mime: &str) -> &'static str {
    match mime {
        "video/webm" => "webm",
        "video/x-matroska" => "mkv",
        _ => "mp4",
    }
}

/// A boundary that nobody who made a file can know.
fn unguessable() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
