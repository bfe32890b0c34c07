//! Answers written without the framework: where it answers by itself (see `bare`) and where a connection leaves it (see
//! `upgrade`).

use actix_web::ResponseError;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};

use crate::error::ApiError;
use crate::operation::{OperationId, REQUEST_ID_HEADER};

/// A failure as it goes out: it ends the connection.
pub struct Head {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl Head {
    /// Takes the operation id of the calling task.
    pub fn of(error: &ApiError) -> Head {
        let response = error.error_response();
        let status = response.status();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // Error responses hold their body in memory.
        let body = response.into_body().try_into_bytes().unwrap_or_default().to_vec();
        Head { status, headers, body }
    }

    pub fn write(&self, default: &[(HeaderName, HeaderValue)], operation: &OperationId) -> Vec<u8> {
        let mut out = status_line(self.status);
        field(&mut out, "connection", b"close");
        field(&mut out, "content-length", self.body.len().to_string().as_bytes());
        fields(&mut out, &self.headers, default, operation);
        out.extend_from_slice(&self.body);
        out
    }
}

/// `101 Switching Protocols` with `headers`.
pub fn switching(
    headers: &[(HeaderName, HeaderValue)],
    default: &[(HeaderName, HeaderValue)],
    operation: &OperationId,
) -> Vec<u8> {
    let mut out = status_line(StatusCode::SWITCHING_PROTOCOLS);
    field(&mut out, "connection", b"upgrade");
    fields(&mut out, headers, default, operation);
    out
}

fn status_line(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("Error");
    format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes()
}

/// The rest of a head, with its empty line.
fn fields(
    out: &mut Vec<u8>,
    own: &[(HeaderName, HeaderValue)],
    default: &[(HeaderName, HeaderValue)],
    operation: &OperationId,
) {
    field(out, REQUEST_ID_HEADER, operation.as_str().as_bytes());
    let unsaid = default
        .iter()
        .filter(|(name, _)| !own.iter().any(|(said, _)| said == name));
    for (name, value) in own.iter().chain(unsaid) {
        field(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
