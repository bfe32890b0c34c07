//! The answer to a GET or HEAD of a stored file: preconditions, ranges, headers.

use super::{
    body::{FileBody, NoBody, Part},
    file::StoredFile,
    job::FileJob,
    playable::playable,
    registry::{Reader, Stored, Ticket},
    remote::Remote,
};
use crate::{
    entries::Known,
    ledger::Source,
    limit::{client::ClientKey, meter::Meter, told::Told},
    precondition::{self, Conditions, Outcome, Validators},
    range::{self, Plan, multipart::Multipart},
    refusal::{self, Admission},
    state::State,
    store::{DiskStore, ObjectKey, Store, StoreError},
    upload::{blocking, store_error},
};
use actix_web::{
    HttpResponse, HttpResponseBuilder,
    dev::RequestHead,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use bytes::Bytes;
use common::{
    error::{ApiError, Code},
    ids::VideoId,
    slot::{SlotBody, SlotHandle},
};
use std::{borrow::Cow, ops::Range, sync::Arc};

/// No script of a stored file may run, should a browser ever be brought to show it as a page.
const CSP: &str = "sandbox; default-src 'none'";

/// One wanted file.
pub struct Wanted<'a> {
    pub head: &'a RequestHead,
    /// Where the bytes can go past the framework.
    pub slot: Option<&'a SlotHandle>,
    pub client: ClientKey,
    /// What is left of its limits.
    pub told: Told,
    pub video: &'a VideoId,
    /// The version of the grant.
    pub grant: i64,
    pub known: &'a Known,
    pub download: bool,
}

pub async fn reply(state: &State, mut wanted: Wanted<'_>) -> Result<HttpResponse, ApiError> {
    let (headers, known) = (&wanted.head.headers, wanted.known);
    let size = known.source.size;
    let fields = [
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
    ]
    .map(|name| joined(headers, &name));
    let conditions = Conditions {
        if_match: fields[0].as_deref(),
        if_unmodified_since: fields[1].as_deref(),
        if_none_match: fields[2].as_deref(),
        if_modified_since: fields[3].as_deref(),
        if_range: fields[4].as_deref(),
    };
    let validators = Validators {
        etag: &known.etag,
        modified: known.modified,
    };
    let use_range = match precondition::evaluate(&conditions, &validators) {
        Outcome::Proceed { use_range } => use_range,
        Outcome::NotModified => return Ok(head(StatusCode::NOT_MODIFIED, &wanted).finish()),
        Outcome::Failed => {
            return Err(ApiError::new(
                Code::PreconditionFailed,
                "The file is not the one that the request names.",
            ));
        }
    };
    if wanted.head.method == Method::HEAD {
        let mut response = head(StatusCode::OK, &wanted);
        return Ok(response
            .insert_header((header::CONTENT_TYPE, known.type_header.clone()))
            .no_chunking(size)
            .body(NoBody));
    }
    let range = use_range.then(|| only_range(headers)).flatten();
    let plan = range::plan(range.as_deref(), size);
    if plan == Plan::Unsatisfiable {
        return Err(unsatisfiable(size));
    }
    let Admission { permit, meter } = refusal::stream(state, wanted.client, wanted.video, &mut wanted.told).await?;
    let ticket = registered(state, &wanted).await?;
    let content = open(state, wanted.video, &known.source, &plan).await?;
    if !content.is_file() {
        wanted.slot = None;
    }
    let reader = ticket.open(content, permit).ok_or_else(taken_away)?;
    Ok(planned(state, plan, &wanted, (reader, meter)))
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
fn planned(state: &State, plan: Plan, wanted: &Wanted<'_>, stream: (Reader, Meter)) -> HttpResponse {
    let (size, mime) = (wanted.known.source.size, &wanted.known.type_header);
    match plan {
        Plan::One(range) => {
            let mut response = head(StatusCode::PARTIAL_CONTENT, wanted);
            response
                .insert_header((header::CONTENT_TYPE, mime.clone()))
                .insert_header((header::CONTENT_RANGE, range.content_range(size)));
            one(state, wanted, response, stream, (range.start, range.end))
        }
        Plan::Many(ranges) => {
            let framing = Multipart::new(&ranges, size, &wanted.known.source.mime, unguessable());
            let mut response = head(StatusCode::PARTIAL_CONTENT, wanted);
            response.content_type(framing.content_type());
            let mut parts = Vec::new();
            for (text, range) in framing.parts() {
                parts.push(Part::Text(text.clone().into()));
                parts.push(Part::Stored {
                    start: range.start,
                    end: range.end,
                });
            }
            parts.push(Part::Text(framing.tail().into()));
            response.body(copying(state, stream, parts))
        }
        Plan::Whole | Plan::Unsatisfiable => {
            let mut response = head(StatusCode::OK, wanted);
            response.insert_header((header::CONTENT_TYPE, mime.clone()));
            one(state, wanted, response, stream, (0, size))
        }
    }
}

/// One range: inside the kernel where the connection can.
fn one(
    state: &State,
    wanted: &Wanted<'_>,
    mut response: HttpResponseBuilder,
    stream: (Reader, Meter),
    (start, end): (u64, u64),
) -> HttpResponse {
    let Some(slot) = wanted.slot.filter(|_| start < end) else {
        return response.body(copying(state, stream, vec![Part::Stored { start, end }]));
    };
    let job = FileJob::new(stream, (start, end), state.limits.pace.clone(), state.metrics.clone());
    response
        .no_chunking(end - start)
        .body(SlotBody::new(slot, Bytes::new(), job))
}

fn copying(state: &State, stream: (Reader, Meter), parts: Vec<Part>) -> FileBody {
    FileBody::new(stream, parts, state.limits.pace.clone(), state.metrics.clone())
}

/// The headers that every answer about a file has.
fn head(status: StatusCode, wanted: &Wanted<'_>) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    let fixed = |text| HeaderValue::from_static(text);
    response
        .insert_header((header::ETAG, wanted.known.etag_header.clone()))
        .insert_header((header::LAST_MODIFIED, wanted.known.modified_header.clone()))
        .insert_header((header::ACCEPT_RANGES, fixed("bytes")))
        // Asked for again each time (and answered 304), so that a deleted video does not play from a cache.
        .insert_header((header::CACHE_CONTROL, fixed("private, no-cache")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")))
        .insert_header((header::CONTENT_SECURITY_POLICY, fixed(CSP)))
        .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, fixed("same-origin")));
    for field in wanted.told.fields() {
        response.insert_header(field);
    }
    if wanted.download {
        // The name is made from the id: no text of a user becomes a header.
        let name = format!(
            "attachment; filename=\"{}.{}\"",
            wanted.video,
            extension(&wanted.known.source.mime)
        );
        response.insert_header((header::CONTENT_DISPOSITION, name));
    }
    response
}

/// For a stream that is registered (see [`crate::entries`]).
async fn open(state: &State, video: &VideoId, source: &Source, plan: &Plan) -> Result<Stored, ApiError> {
    let key = ObjectKey {
        video: video.clone(),
        object: source.object.clone(),
    };
    let opened = match &state.store {
        Store::Disk(disk) => open_file(state, disk, key, source.size).await?,
        Store::S3(bucket) => {
            let name = bucket.names().object(&key);
            let remote = Remote::open(bucket.client(), name, first(plan, source.size)).await;
            let opened = remote.map(|remote| (remote.size(), Stored::Remote(Box::new(remote))));
            opened.map_err(StoreError::from)
        }
    };
    match opened {
        Ok((size, content)) if size == source.size => Ok(content),
        Ok((size, _)) => Err(ApiError::internal(format!(
            "{video}: {size} bytes stored, the ledger says {}",
            source.size
        ))),
        Err(StoreError::Missing) => {
            // Purged since the ledger was asked, or lost: the reconciler tells them apart.
            state.entries.evict(video);
            Err(ApiError::not_found("video").because("its file is not in the store"))
        }
        Err(error) => Err(store_error(error)),
    }
}

/// Opened once for many requests that come at the same time.
async fn open_file(
    state: &State,
    disk: &DiskStore,
    key: ObjectKey,
    expected: u64,
) -> Result<Result<(u64, Stored), StoreError>, ApiError> {
    let asked = match state.entries.file(&key.video, &key.object) {
        Ok(file) => return Ok(Ok((file.size(), Stored::File(file)))),
        Err(asked) => asked,
    };
    let (disk, wanted) = (disk.clone(), key.clone());
    let opened = blocking(move || disk.open(&wanted)).await?;
    Ok(opened.map(|(file, size)| {
        let file = Arc::new(StoredFile::new(file, size));
        if size == expected {
            state.entries.keep_file(&key.video, &key.object, &file, asked);
        }
        (size, Stored::File(file))
    }))
}

/// The first range that will be sent.
fn first(plan: &Plan, size: u64) -> Range<u64> {
    match plan {
        Plan::One(range) => range.start..range.end,
        Plan::Many(ranges) => ranges.first().map_or(0..0, |range| range.start..range.end),
        Plan::Whole | Plan::Unsatisfiable => 0..size,
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
fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers
        .get_all(name)
        .map(|line| String::from_utf8_lossy(line.as_bytes()));
    let first = lines.next()?;
    Some(lines.fold(first, |all, line| Cow::Owned(format!("{all}, {line}"))))
}

/// The Range, if there is one. It is no list: what stands in several lines is ignored as what can't be read is.
fn only_range(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut lines = headers.get_all(header::RANGE);
    let only = lines.next().filter(|_| lines.next().is_none())?;
    Some(String::from_utf8_lossy(only.as_bytes()))
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
