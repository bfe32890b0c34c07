//! Resumable Uploads for HTTP, the successor of tus at the IETF: draft-ietf-httpbis-resumable-upload-11, interop version 8. The
//! numbers of sections here are those of that draft.
//!
//! What differs from tus: the length may never be told, because a request says whether its bytes are the last ones
//! (`Upload-Complete`, section 4.1.2); an upload whose offset is its length is not complete by that alone; the answer to the
//! last bytes is that of a whole upload; headers are structured fields (RFC 9651), and one of another form counts as not
//! being there (sections 4.1.1 to 4.1.3), so that only what is needed and missing is refused.
//!
//! `104 (Upload Resumption Supported)` tells the address of an upload before its bytes, where the connection can carry it: not
//! over TLS and not through a proxy that makes requests of its own. Left out: interim responses that tell progress, which
//! clients must do without anyway, and `Repr-Digest` of requests (section 10.1).

use super::{
    fields::{Checksum, Fields},
    plan::Upload,
    request::{Append, Body, Create, End, bad, declared, wrong_type},
};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{
    error::{ApiError, Code},
    time::Timestamp,
};
use sfv::{BareItem, Dictionary, FieldType, Item, ListEntry, Parser};

/// Appendix B: every request of a client of the draft has it.
pub const INTEROP: &str = "upload-draft-interop-version";

/// The version that we announce, and the oldest whose requests mean the same. Since 6 (drafts -04 and -05) only answers have
/// changed: `expires` became `max-age`, and what had to be told in each answer need not be any more; we tell it.
pub const INTEROP_VERSION: u64 = 8;
const OLDEST: u64 = 6;

/// Section 6.
pub const BYTES: &str = "application/partial-upload";

const MISMATCHING_OFFSET: &str = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";
const COMPLETED: &str = "https://iana.org/assignments/http-problem-types#completed-upload";
const INCONSISTENT_LENGTH: &str = "https://iana.org/assignments/http-problem-types#inconsistent-upload-length";

/// Refuses what is written for a version that would misunderstand us.
pub fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    if interop_version(headers).is_some_and(|version| (OLDEST..=INTEROP_VERSION).contains(&version)) {
        return Ok(());
    }
    let refused = ApiError::new(
        Code::PreconditionFailed,
        "This address speaks interop version 8 of the draft Resumable Uploads for HTTP.",
    );
    Err(refused.header(HeaderName::from_static(INTEROP), HeaderValue::from(INTEROP_VERSION)))
}

/// As the request says it, if it can be read.
pub fn interop_version(headers: &HeaderMap) -> Option<u64> {
    number(headers, INTEROP)
}

/// Section 4.2: a request with any content may begin an upload. The type of its content is the file's, which is found out from
/// its bytes in the end.
pub fn create(headers: &HeaderMap) -> Result<Create, ApiError> {
    let body = body(headers)?;
    let (told, implied) = (number(headers, "upload-length"), body.length_from(0));
    if let (Some(told), Some(implied)) = (told, implied)
        && told != implied
    {
        return Err(inconsistent_length(
            "Upload-Length and Content-Length contradict each other.",
        ));
    }
    let nothing_comes = body.end == End::Later && body.declared == Some(0);
    Ok(Create {
        length: told.or(implied),
        metadata: String::new(),
        concat: None,
        body: (!nothing_comes).then_some(body),
    })
}

/// Section 4.4.
pub fn append(headers: &HeaderMap) -> Result<Append, ApiError> {
    let typed = headers.get("content-type").and_then(|value| value.to_str().ok());
    let essence = typed.and_then(|text| text.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(BYTES)) {
        return Err(wrong_type(BYTES));
    }
    let offset = number(headers, "upload-offset");
    Ok(Append {
        offset: offset.ok_or_else(|| bad("Upload-Offset is needed, as an Integer of RFC 9651."))?,
        length: number(headers, "upload-length"),
        body: body(headers)?,
    })
}

fn body(headers: &HeaderMap) -> Result<Body, ApiError> {
    let last = match item(headers, "upload-complete") {
        Some(BareItem::Boolean(last)) => last,
        _ => return Err(bad("Upload-Complete is needed, as a Boolean of RFC 9651: ?1 or ?0.")),
    };
    Ok(Body {
        declared: declared(headers)?,
        checksum: content_digest(headers),
        end: if last { End::Here } else { End::Later },
    })
}

/// Whether a request says that its content is not a whole file, whatever else it is.
pub fn says_incomplete(headers: &HeaderMap) -> bool {
    item(headers, "upload-complete") == Some(BareItem::Boolean(false))
}

/// Section 10.2 and RFC 9530 section 2. Algorithms that we don't know are none of our business.
fn content_digest(headers: &HeaderMap) -> Option<Checksum> {
    let digests: Dictionary = field(headers, "content-digest")?;
    match digests.get("sha-256")? {
        ListEntry::Item(Item {
            bare_item: BareItem::ByteSequence(digest),
            ..
        }) => digest.as_slice().try_into().ok().map(Checksum::Sha256),
        _ => None,
    }
}

/// A non-negative Integer.
fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    match item(headers, name)? {
        BareItem::Integer(number) => u64::try_from(i64::from(number)).ok(),
        _ => None,
    }
}

/// The value of an Item; its parameters mean nothing here.
fn item(headers: &HeaderMap, name: &str) -> Option<BareItem> {
    field::<Item>(headers, name).map(|item| item.bare_item)
}

/// Several lines are one value (RFC 9651 section 4.2). `None` also for what can't be read.
fn field<T: FieldType>(headers: &HeaderMap, name: &str) -> Option<T> {
    let mut lines = headers.get_all(name).peekable();
    lines.peek()?;
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    Parser::new(&lines.join(b", ".as_slice())).parse().ok()
}

/// Section 4.4.2: 409 with the true offset; section 7.1 has the members.
pub fn mismatching_offset(refused: ApiError, expected: u64, provided: u64) -> ApiError {
    refused
        .kind(MISMATCHING_OFFSET)
        .with("expected-offset", expected)
        .with("provided-offset", provided)
}

/// Section 7.3.
pub fn inconsistent_length(text: &str) -> ApiError {
    ApiError::new(Code::BadRequest, text).kind(INCONSISTENT_LENGTH)
}

/// Bytes for an upload that is complete contradict its length; none at all are refused in words of their own (section 4.4.2).
pub fn completed(body: &Body) -> ApiError {
    if body.declared == Some(0) {
        return ApiError::new(Code::BadRequest, "This upload is complete already.").kind(COMPLETED);
    }
    inconsistent_length("This upload is complete; no bytes can be appended.")
}

/// Section 4.1.4. What is finished waits for nothing and has no age.
pub fn limits(max_bytes: u64, waiting: Option<(Timestamp, Timestamp)>) -> String {
    match waiting {
        Some((now, expires)) => {
            let seconds = expires.since(now).as_secs();
            format!("max-size={max_bytes}, max-age={seconds}")
        }
        None => format!("max-size={max_bytes}"),
    }
}

/// RFC 9530 section 3, from the digest in hex.
pub fn repr_digest(sha256: &str) -> Option<String> {
    let byte = |at| u8::from_str_radix(sha256.get(at..at + 2)?, 16).ok();
    let digest: Option<Vec<u8>> = (0..sha256.len()).step_by(2).map(byte).collect();
    Some(format!("sha-256=:{}:", STANDARD.encode(digest?)))
}

/// What every answer about an upload tells.
pub fn state(upload: &Upload, max_bytes: u64, now: Timestamp) -> Fields {
    let closed = upload.closed();
    vec![
        ("upload-complete", if closed { "?1" } else { "?0" }.to_owned()),
        ("upload-offset", upload.offset.to_string()),
        (
            "upload-limit",
            limits(max_bytes, (!closed).then_some((now, upload.expires))),
        ),
    ]
}

/// Section 5: the head of `104 (Upload Resumption Supported)`.
pub fn interim(fields: &Fields) -> String {
    let mut head = format!("HTTP/1.1 104 Upload Resumption Supported\r\n{INTEROP}: {INTEROP_VERSION}\r\n");
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    head + "\r\n"
}

/// Section 4.3.2: the answer to HEAD.
pub fn told(upload: &Upload, max_bytes: u64, now: Timestamp) -> Fields {
    let mut fields = state(upload, max_bytes, now);
    fields.push(("cache-control", "no-store".to_owned()));
    if let Some(length) = upload.length {
        fields.push(("upload-length", length.to_string()));
    }
    fields
}
