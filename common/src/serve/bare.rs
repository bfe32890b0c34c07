//! What the framework answers by itself, before there is a request: a head that can't be read (400), is too large (431)
//! or too slow (408). It is bare; here it gets the form and the headers of all other failures.

use actix_web::http::header::{HeaderName, HeaderValue};

use super::answer;
use crate::error::{ApiError, Code};
use crate::operation::{self, OperationId};

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
    let answer = operation::scope_sync(id.clone(), || answer::failure(&error, headers, &id));
    Some(answer)
}

fn status(bare: &[u8]) -> Option<u16> {
    let line = bare
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| bare.strip_prefix(b"HTTP/1.0 "))?;
    let status: u16 = std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()?;
    (400..600).contains(&status).then_some(status)
}
