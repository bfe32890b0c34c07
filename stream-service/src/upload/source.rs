//! The forms in which a video comes: as the body itself, which may have passed the framework by, or as the field `file` of a form.

use super::sink::Sink;
use actix_multipart::{Multipart, MultipartError};
use actix_web::{HttpRequest, web};
use common::{
    capture::{self, Captured},
    error::{ApiError, Code},
    http::payload_error,
};
use futures_util::{Stream, StreamExt};
use std::time::Duration;

/// Bytes that the fields of a form beside `file` may have together; none of them is used.
const MAX_OTHER_FIELDS: usize = 64 << 10;

/// Fields of a form that are looked at; more is no form of ours.
const MAX_FIELDS: usize = 32;

pub enum Body {
    Raw(Raw),
    Form(Multipart),
}

/// Bytes that are the body as they come.
pub enum Raw {
    /// Through the framework: small ones, in chunks, over TLS.
    Payload(web::Payload),
    /// Still in the socket.
    Captured(Captured),
}

impl Raw {
    /// The body of this request.
    pub fn of(request: &HttpRequest, payload: web::Payload) -> Self {
        match capture::take(request) {
            Some(captured) => Self::Captured(captured),
            None => Self::Payload(payload),
        }
    }

    /// Takes what comes next; `false` at the end. `stall` is the longest wait for it. Cancel safe.
    pub async fn read_some(&mut self, sink: &mut Sink, stall: Duration) -> Result<bool, ApiError> {
        match self {
            Self::Payload(payload) => match next(payload, stall).await? {
                Some(piece) => {
                    let piece = piece.map_err(|error| payload_error(&error))?;
                    sink.push(&piece).await.map(|()| true)
                }
                None => Ok(false),
            },
            Self::Captured(captured) => sink.pull(captured, stall).await,
        }
    }
}

impl Body {
    /// Reads to the very end. `stall` is the longest wait for the next piece.
    pub async fn read_into(&mut self, sink: &mut Sink, stall: Duration) -> Result<(), ApiError> {
        match self {
            Self::Raw(body) => {
                while body.read_some(sink, stall).await? {}
                Ok(())
            }
            Self::Form(form) => read_form(form, sink, stall).await,
        }
    }
}

async fn read_form(form: &mut Multipart, sink: &mut Sink, stall: Duration) -> Result<(), ApiError> {
    let (mut found, mut other, mut fields) = (false, 0, 0);
    while let Some(field) = next(form, stall).await? {
        let mut field = field.map_err(|error| form_error(&error))?;
        fields += 1;
        if fields > MAX_FIELDS {
            return Err(ApiError::new(
                Code::BadRequest,
                format!("The form has more than {MAX_FIELDS} fields."),
            ));
        }
        let is_file = field.name() == Some("file");
        if is_file && found {
            return Err(ApiError::new(
                Code::BadRequest,
                "The form has more than one field `file`.",
            ));
        }
        found |= is_file;
        // The name and type that the client gives the file are not looked at: they are text of a user.
        while let Some(piece) = next(&mut field, stall).await? {
            let piece = piece.map_err(|error| form_error(&error))?;
            if is_file {
                sink.push(&piece).await?;
                continue;
            }
            other += piece.len();
            if other > MAX_OTHER_FIELDS {
                return Err(ApiError::new(
                    Code::BadRequest,
                    "The fields beside `file` are too large.",
                ));
            }
        }
    }
    if found {
        Ok(())
    } else {
        Err(ApiError::new(Code::BadRequest, "The form has no field `file`."))
    }
}

pub async fn next<S: Stream + Unpin>(stream: &mut S, stall: Duration) -> Result<Option<S::Item>, ApiError> {
    tokio::time::timeout(stall, stream.next()).await.map_err(|_| stalled())
}

pub fn stalled() -> ApiError {
    ApiError::new(Code::RequestTimeout, "The body stopped arriving.")
}

fn form_error(error: &MultipartError) -> ApiError {
    match error {
        MultipartError::Payload(error) => payload_error(error),
        other => ApiError::new(Code::BadRequest, format!("The form can't be read: {other}.")),
    }
}
