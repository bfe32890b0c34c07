//! The operation id: one name for everything that happens because of one request, through services, jobs and logs.
//!
//! It is taken from `X-Operation-Id`, else from the trace id of `traceparent` (W3C Trace Context section 3.2), when well
//! formed, and minted otherwise. It is known to the task that serves the request ([`current`]), so that errors, log lines
//! and internal calls carry it without being handed it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use crate::plain::Fields;

/// Answer header that carries the id.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// Request header that carries the id from client to edge and from service to service.
pub const OPERATION_ID_HEADER: &str = "x-operation-id";

const OPERATION_ID: HeaderName = HeaderName::from_static(OPERATION_ID_HEADER);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId(Arc<str>);

impl OperationId {
    /// A fresh id, sortable by time.
    #[must_use]
    pub fn mint() -> Self {
        let mut text = [0; 32];
        OperationId(Arc::from(&*uuid::Uuid::now_v7().simple().encode_lower(&mut text)))
    }

    /// `None` when `text` is not well formed: such an id would let a client write into our logs.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        well_formed.then(|| OperationId(Arc::from(text)))
    }

    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_fields(Fields::Map(headers))
    }

    /// [`OperationId::from_headers`] for fields that the framework has not decoded.
    #[must_use]
    pub fn from_fields(fields: Fields<'_>) -> Self {
        fields
            .text(&OPERATION_ID)
            .and_then(Self::parse)
            .or_else(|| fields.text(&TRACEPARENT).and_then(trace_id))
            .unwrap_or_else(Self::mint)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The trace id of a version-00 `traceparent`; all zeros is invalid by the specification.
fn trace_id(header: &str) -> Option<OperationId> {
    let mut parts = header.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let valid = version.len() == 2
        && trace.len() == 32
        && trace.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && trace.bytes().any(|b| b != b'0');
    if valid { OperationId::parse(trace) } else { None }
}

impl TryFrom<String> for OperationId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not an operation id")
    }
}

impl From<OperationId> for String {
    fn from(id: OperationId) -> String {
        id.as_str().to_owned()
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

tokio::task_local! {
    static CURRENT: OperationId;
}

/// The id of the operation this task works for; `None` outside of one. It does not follow into `spawn` or
/// `spawn_blocking`: take it before and use [`scope`] inside.
#[must_use]
pub fn current() -> Option<OperationId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// [`current`], or a fresh id where work begins by itself (a schedule, a start).
#[must_use]
pub fn current_or_mint() -> OperationId {
    current().unwrap_or_else(OperationId::mint)
}

/// Runs `future` as part of operation `id`.
pub fn scope<F: Future>(id: OperationId, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(id, future)
}

/// [`scope`] for work that does not wait.
pub fn scope_sync<T>(id: OperationId, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(id, work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn check(name: &'static str, value: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        let id = OperationId::from_headers(&headers);
        match expected {
            Some(expected) => assert_eq!(id.as_str(), expected),
            None => assert_ne!(id.as_str(), value, "{value} must be replaced"),
        }
    }

    #[test]
    fn taken_when_well_formed_minted_otherwise() {
        check("x-operation-id", "abc-1.2_Z", Some("abc-1.2_Z"));
        check("x-operation-id", "a b", None);
        check("x-operation-id", "", None);
        check("x-operation-id", &"a".repeat(65), None);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        check("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace));
        check(
            "traceparent",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            None,
        );
    }
}
