//! The answer to a GET or HEAD of a stored file: preconditions, ranges, headers.

use super::{
    body::{FileBody, NoBody, Part},
    playable::playable,
    registry::{Reader, Ticket},
};
use crate::{
    ledger::Source,
    limit::client::ClientKey,
    precondition::{self, Conditions, Outcome, Validators},
    range::{self, Plan, multipart::Multipart},
    refusal,
    state::State,
    store::{ObjectKey, StoreError},
    upload::blocking,
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{Method, StatusCode, header},
};
use common::{
    error::{ApiError, Code},
    ids::VideoId,
};
use std::{
    fs::File,
    time::{Duration, SystemTime},
};

/// No script of a stored file may run, should a browser ever be brought to show it as a page.
const CSP: &str = "sandbox; default-src 'none'";

/// One wanted file.
pub struct Wanted<'a> {
    pub request: &'a HttpRequest,
    pub client: ClientKey,
    pub video: &'a VideoId,
    /// The version of the grant.
    pub grant: i64,
    pub source: &'a Source,
    pub download: bool,
}

pub async fn reply(state: &State, wanted: Wanted<'_>) -> Result<HttpResponse, ApiError> {
    let Wanted { request, source, .. } = wanted;
    let etag = format!("\"{}\"", source.sha256);
    let modified = whole_seconds(source);
    let get = |name| joined(request, name);
    let fields = [
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
    ]
    .map(get);
    let conditions = Conditions {
        if_match: fields[0].as_deref(),
        if_unmodified_since: fields[1].as_deref(),
        if_none_match: fields[2].as_deref(),
        if_modified_since: fields[3].as_deref(),
        if_range: fields[4].as_deref(),
    };
    let use_range = match precondition::evaluate(&conditions, &Validators { etag: &etag, modified }) {
        Outcome::Proceed { use_range } => use_range,
        Outcome::NotModified => return Ok(head(StatusCode::NOT_MODIFIED, &wanted, &etag, modified).finish()),
        Outcome::Failed => {
            return Err(ApiError::new(
                Code::PreconditionFailed,
                "The file is not the one that the request names.",
            ));
        }
    };
    if request.method() == Method::HEAD {
        let mut response = head(StatusCode::OK, &wanted, &etag, modified);
        return Ok(response
            .content_type(source.mime.as_str())
            .no_chunking(source.size)
            .body(NoBody));
    }
    let range = if use_range {
        joined(request, header::RANGE)
    } else {
        None
    };
    let plan = range::plan(range.as_deref(), source.size);
    if plan == Plan::Unsatisfiable {
        return Err(unsatisfiable(source.size));
    }
    let permit = state
        .limits
        .streams
        .try_acquire(wanted.client)
        .map_err(|refused| refusal::streams(state, refused))?;
    let ticket = registered(state, &wanted).await?;
    let file = open(state, wanted.video, source).await?;
    let reader = ticket.open(file, permit).ok_or_else(taken_away)?;
    let (mut response, parts) = planned(plan, &wanted, &etag, modified);
    let body = body(state, reader, parts);
    Ok(response.body(body))
}

/// A stream that every later cut finds. What the request was checked against may have changed before, so it is asked for
/// once more (and mostly remembered).
async fn registered(state: &State, wanted: &Wanted<'_>) -> Result<Ticket, ApiError> {
    let ticket = state.streams.register(wanted.video, wanted.grant);
    match playable(state, wanted.video, wanted.grant).await? {
        Some(source) if source.object == wanted.source.object => Ok(ticket),
        _ => Err(taken_away()),
    }
}

fn taken_away() -> ApiError {
    ApiError::not_found("video").because("it was hidden or purged meanwhile")
}

/// Status, headers and parts of a plan that can be served.
fn planned(plan: Plan, wanted: &Wanted<'_>, etag: &str, modified: SystemTime) -> (HttpResponseBuilder, Vec<Part>) {
    let (size, mime) = (wanted.source.size, wanted.source.mime.as_str());
    match plan {
        Plan::One(range) => {
            let mut response = head(StatusCode::PARTIAL_CONTENT, wanted, etag, modified);
            response
                .content_type(mime)
                .insert_header((header::CONTENT_RANGE, range.content_range(size)));
            (
                response,
                vec![Part::File {
                    start: range.start,
                    end: range.end,
                }],
            )
        }
        Plan::Many(ranges) => {
            let framing = Multipart::new(&ranges, size, mime, unguessable());
            let mut response = head(StatusCode::PARTIAL_CONTENT, wanted, etag, modified);
            response.content_type(framing.content_type());
            let mut parts = Vec::new();
            for (text, range) in framing.parts() {
                parts.push(Part::Text(text.clone().into()));
                parts.push(Part::File {
                    start: range.start,
                    end: range.end,
                });
            }
            parts.push(Part::Text(framing.tail().into()));
            (response, parts)
        }
        Plan::Whole | Plan::Unsatisfiable => {
            let mut response = head(StatusCode::OK, wanted, etag, modified);
            response.content_type(mime);
            (response, vec![Part::File { start: 0, end: size }])
        }
    }
}

/// The headers that every answer about a file has.
fn head(status: StatusCode, wanted: &Wanted<'_>, etag: &str, modified: SystemTime) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::LAST_MODIFIED, httpdate::fmt_http_date(modified)))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        // Asked for again each time (and answered 304), so that a deleted video does not play from a cache.
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CSP))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"));
    if wanted.download {
        // The name is made from the id: no text of a user becomes a header.
        let name = format!(
            "attachment; filename=\"{}.{}\"",
            wanted.video,
            extension(&wanted.source.mime)
        );
        response.insert_header((header::CONTENT_DISPOSITION, name));
    }
    response
}

fn body(state: &State, reader: Reader, parts: Vec<Part>) -> FileBody {
    FileBody::new(reader, parts, state.limits.pace.clone(), state.metrics.clone())
}

async fn open(state: &State, video: &VideoId, source: &Source) -> Result<File, ApiError> {
    let key = ObjectKey {
        video: video.clone(),
        object: source.object.clone(),
    };
    let store = state.store.clone();
    match blocking(move || store.open(&key)).await? {
        Ok((file, size)) if size == source.size => Ok(file),
        Ok((_, size)) => Err(ApiError::internal(format!(
            "{video}: {size} bytes stored, the ledger says {}",
            source.size
        ))),
        Err(StoreError::Missing) => {
            // Purged since the ledger was asked, or lost: the reconciler tells them apart.
            state.entries.evict(video);
            Err(ApiError::not_found("video").because("its file is not in the store"))
        }
        Err(error) => Err(ApiError::internal(error)),
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

/// All lines of a header as one list; `None` when it is absent or not text.
fn joined(request: &HttpRequest, name: header::HeaderName) -> Option<String> {
    let lines: Result<Vec<&str>, _> = request.headers().get_all(&name).map(|value| value.to_str()).collect();
    lines
        .ok()
        .filter(|lines| !lines.is_empty())
        .map(|lines| lines.join(", "))
}

/// HTTP dates have whole seconds.
fn whole_seconds(source: &Source) -> SystemTime {
    let seconds = u64::try_from(source.stored_at.millis() / 1000).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
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
