//! What the framework answers by itself, before there is a request: a head that can't be read (400), is too large (431)
//! or too slow (408). It is bare; here it gets the form and the headers of all other failures.

use actix_web::http::header::{HeaderName, HeaderValue};

use crate::error::{ApiError, Code, PROBLEM_JSON};
use crate::operation::{self, OperationId, REQUEST_ID_HEADER};

/// The answer in place of `bare`; `None` when that is no failure of ours to dress. It ends the connection, as `bare` does.
pub fn dressed(bare: &[u8], headers: &[(HeaderName, HeaderValue)]) -> Option<Vec<u8>> {
    let status = status(bare)?;
    let id = OperationId::mint();
    let code = Code::from_status(status);
    let error = ApiError::new(
        code,
        "The head of the request can't be read, is too large or took too long.",
    );
    log::info!(operation_id = id.as_str(), status = status; "A request was refused before its head was read: {status}");
    let problem = operation::scope_sync(id.clone(), || error.problem());
    let body = serde_json::to_vec(&problem).expect("a problem document is plain data");
    let entry = code.entry();
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\nconnection: close\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\n{REQUEST_ID_HEADER}: {id}\r\n",
        entry.status,
        reason(entry.status),
        body.len(),
    )
    .into_bytes();
    for (name, value) in headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(&body);
    Some(answer)
}

fn status(bare: &[u8]) -> Option<u16> {
    let line = bare
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| bare.strip_prefix(b"HTTP/1.0 "))?;
    let status: u16 = std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()?;
    (400..600).contains(&status).then_some(status)
}

fn reason(status: u16) -> &'static str {
    actix_web::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}
