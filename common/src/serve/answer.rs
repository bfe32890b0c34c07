//! Answers written without the framework: on the fast path, where it answers by itself (see `bare`), and where a connection leaves
//! it (see `upgrade`).

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use crate::error::ApiError;
use crate::operation::{OperationId, REQUEST_ID_HEADER};
use crate::plain::{Answer, Body};

/// Room for the head of an answer about media, which has some 900 bytes.
const USUAL: usize = 1024;

/// The head of `answer`, with its empty line; `close`: the connection ends with it.
pub fn head(answer: &Answer, close: bool, default: &[(HeaderName, HeaderValue)], operation: &OperationId) -> Vec<u8> {
    let mut out = status_line(answer.status);
    if close {
        field(&mut out, b"connection", b"close");
    }
    match answer.body.length() {
        Some(length) => field(
            &mut out,
            b"content-length",
            itoa::Buffer::new().format(length).as_bytes(),
        ),
        None if matches!(answer.body, Body::Copied { .. }) => field(&mut out, b"transfer-encoding", b"chunked"),
        None => {}
    }
    fields(&mut out, answer.fields.iter(), default, operation);
    out
}

/// A failure, whole; the connection ends with it. Takes the operation id of the calling task.
pub fn failure(error: &ApiError, default: &[(HeaderName, HeaderValue)], operation: &OperationId) -> Vec<u8> {
    let answer = Answer::from(error);
    let mut out = head(&answer, true, default, operation);
    if let Body::Bytes(bytes) = &answer.body {
        out.extend_from_slice(bytes);
    }
    out
}

/// `101 Switching Protocols` with `headers`.
pub fn switching(
    headers: &[(HeaderName, HeaderValue)],
    default: &[(HeaderName, HeaderValue)],
    operation: &OperationId,
) -> Vec<u8> {
    let mut out = status_line(StatusCode::SWITCHING_PROTOCOLS);
    field(&mut out, b"connection", b"upgrade");
    let own = headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    fields(&mut out, own, default, operation);
    out
}

fn status_line(status: StatusCode) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL);
    let reason = status.canonical_reason().unwrap_or("Error");
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out
}

/// The rest of a head, with its empty line.
fn fields<'a>(
    out: &mut Vec<u8>,
    own: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    default: &[(HeaderName, HeaderValue)],
    operation: &OperationId,
) {
    let mut unsaid: Vec<_> = default.iter().collect();
    // The lengths of their names, a bit for each: most fields have another one, and are compared with none.
    let lengths = unsaid
        .iter()
        .fold(0u64, |lengths, (name, _)| lengths | length(name.as_str()));
    let mut dated = false;
    for (name, value) in own {
        let is = |other: &str| other.as_bytes().eq_ignore_ascii_case(name);
        if is(REQUEST_ID_HEADER) {
            continue;
        }
        // An answer from elsewhere has its own.
        dated |= is(header::DATE.as_str());
        if lengths & length(name) != 0 {
            unsaid.retain(|(other, _)| !is(other.as_str()));
        }
        field(out, name, value);
    }
    field(out, REQUEST_ID_HEADER.as_bytes(), operation.as_str().as_bytes());
    if !dated {
        date(|now| field(out, b"date", now.as_bytes()));
    }
    for (name, value) in unsaid {
        field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn length(name: impl AsRef<[u8]>) -> u64 {
    1 << (name.as_ref().len() % 64)
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `Date` (RFC 9110 section 6.6.1), made once in a second.
fn date(write: impl FnOnce(&str)) {
    thread_local! {
        static MADE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now().max(UNIX_EPOCH);
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    MADE.with_borrow_mut(|(made, text)| {
        if *made != second || text.is_empty() {
            (*made, *text) = (second, httpdate::fmt_http_date(now));
        }
        write(text);
    });
}
