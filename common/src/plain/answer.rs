//! An answer, before it is the framework's or bytes on the wire.

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::AnswerFields;
use crate::error::ApiError;
use crate::slot::{Job, SlotBody, SlotHandle};

pub struct Answer {
    pub status: StatusCode,
    /// Without the framing, which the body says.
    pub fields: AnswerFields,
    pub body: Body,
}

/// How the bytes behind the head come.
pub enum Body {
    /// There are none: the status says so, or the answer is one to HEAD. A length may be said all the same.
    Empty {
        length: Option<u64>,
    },
    Bytes(Bytes),
    /// Past the framework, see [`crate::slot`]: the `first` bytes are here already.
    Moved {
        length: u64,
        first: Bytes,
        job: Box<dyn Job>,
    },
    /// Piece by piece; without a length in chunks.
    Copied {
        length: Option<u64>,
        body: BoxBody,
    },
}

impl Body {
    /// What `Content-Length` says.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Body::Empty { length } | Body::Copied { length, .. } => *length,
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Moved { length, .. } => Some(*length),
        }
    }
}

impl Answer {
    /// The same as the framework's; `slot` takes [`Body::Moved`], and is there where that may come.
    #[must_use]
    pub fn into_response(self, slot: Option<&SlotHandle>) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for field in self.fields.into_named() {
            response.append_header(field);
        }
        match (self.body, slot) {
            (Body::Empty { length: None }, _) => response.body(body::None::new()),
            (Body::Empty { length: Some(length) }, _) => response.no_chunking(length).body(NoBody),
            (Body::Bytes(bytes), _) => response.body(bytes),
            (Body::Copied { body, .. }, _) => response.body(body),
            (Body::Moved { length, first, job }, Some(slot)) => {
                response.no_chunking(length).body(SlotBody::boxed(slot, first, job))
            }
            (Body::Moved { .. }, None) => ApiError::internal("a body can't be moved here").error_response(),
        }
    }
}

impl From<&ApiError> for Answer {
    fn from(error: &ApiError) -> Self {
        let response = error.error_response();
        let fields = response.headers().iter();
        let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
        Answer {
            status: response.status(),
            fields: AnswerFields::Named(fields.collect()),
            // Failures hold their body in memory.
            body: Body::Bytes(response.into_body().try_into_bytes().unwrap_or_default()),
        }
    }
}

/// The body of an answer to HEAD: it has a length only in its head. (A sized body would be asked for its bytes.)
struct NoBody;

impl MessageBody for NoBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
