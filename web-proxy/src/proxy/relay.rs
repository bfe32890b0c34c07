//! A service's answer on its way to the client: read no faster than the client takes it, with a deadline between two
//! pieces. When the service dies in the middle, the client's connection is cut, so that it knows.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use common::error::{ApiError, Code};
use common::plain::{Answer, Body};
use common::replicas::Turn;
use hyper::Response;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use tokio::time::{Instant, Sleep, sleep};

use super::body::Upload;
use super::headers::{Head, Returning};

/// Why an answer ended early. It reaches nobody but the framework, which cuts the connection.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the service's answer broke off: {0}")]
    Service(#[from] hyper::Error),
    #[error("the service sent no byte for {0:?}")]
    Stalled(Duration),
}

/// The answer for the client.
pub fn answer(
    head: &Head<'_>,
    from: Response<Incoming>,
    turn: Turn,
    upload: Upload,
    wait: Duration,
) -> Result<Answer, ApiError> {
    let status = match StatusCode::from_u16(from.status().as_u16()) {
        Ok(status) if !status.is_informational() => status,
        _ => return Err(unusable(format!("status {}", from.status()))),
    };
    let length = declared(from.headers())?;
    let fields = returned(from.headers()).ok_or_else(|| unusable("a field of its head is none".to_owned()))?;
    let body = if never_has_body(status) {
        bodyless(status, length)
    } else if *head.method == Method::HEAD {
        Body::Empty { length }
    } else {
        let size = length.map_or(BodySize::Stream, BodySize::Sized);
        let relay = Relay::new(from.into_body(), turn, size, upload, status, wait);
        Body::Copied {
            length,
            body: BoxBody::new(relay),
        }
    };
    Ok(Answer {
        status,
        fields: fields.into(),
        body,
    })
}

/// The fields for the client; `None` when one is none.
fn returned(fields: &HeaderMap) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let returning = Returning::but(fields.get_all(CONNECTION).iter().map(|value| value.as_bytes()));
    let passing = fields
        .iter()
        .filter(|(name, _)| returning.passes(name.as_str().as_bytes()));
    passing
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        })
        .collect()
}

/// RFC 9110 sections 15.3.5 and 15.4.5.
pub fn never_has_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// For an answer whose status has no body; 304 may say the length that the body of a 200 would have.
pub fn bodyless(status: StatusCode, declared: Option<u64>) -> Body {
    let length = declared.filter(|_| status == StatusCode::NOT_MODIFIED);
    Body::Empty { length }
}

/// The length that an answer says. One whose end two readers could find at two places is refused (RFC 9112 section 6.3),
/// although hyper reads some of them.
pub fn declared(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (length, second) = (lengths.next(), lengths.next());
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let (coding, other) = (codings.next(), codings.next());
    if second.is_some() || other.is_some() || (length.is_some() && coding.is_some()) {
        return Err(unusable("its length is said twice".to_owned()));
    }
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(unusable(format!("its transfer coding is {coding:?}")));
    }
    let Some(length) = length else { return Ok(None) };
    let digits = length
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(length) => Ok(Some(length)),
        None => Err(unusable(format!("its length is {length:?}"))),
    }
}

fn unusable(cause: String) -> ApiError {
    ApiError::new(Code::BadGateway, "A service behind this one gave no usable answer.").because(cause)
}

struct Relay {
    from: Incoming,
    /// The copy is busy with this until the end.
    _turn: Turn,
    size: BodySize,
    upload: Upload,
    /// Whether the rest of the request is still wanted: a refusal ends it, but its channel stays open until the answer
    /// is through, because closing it would end the service's connection.
    uploading: bool,
    wait: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether `timer` runs: only while the service is waited for, never while the client is.
    waiting: bool,
}

impl Relay {
    fn new(from: Incoming, turn: Turn, size: BodySize, upload: Upload, status: StatusCode, wait: Duration) -> Self {
        Relay {
            from,
            _turn: turn,
            size,
            uploading: upload.is_running() && status.is_success(),
            upload,
            wait,
            timer: Box::pin(sleep(wait)),
            waiting: false,
        }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if !self.uploading {
            return;
        }
        if let Poll::Ready(moved) = self.upload.poll_run(cx) {
            self.uploading = false;
            if let Err(error) = moved {
                log::info!("A request body was cut while its answer was sent: {error}");
            }
        }
    }
}

impl MessageBody for Relay {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        this.poll_upload(cx);
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.from).poll_frame(cx) else {
                break;
            };
            this.waiting = false;
            match frame {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => {
                    // Trailers end at this hop.
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error.into())))),
            }
        }
        if !this.waiting {
            this.waiting = true;
            this.timer.as_mut().reset(Instant::now() + this.wait);
        }
        ready!(this.timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(broken(Broken::Stalled(this.wait)))))
    }
}

/// Told once, here: the framework has no way to answer any more.
fn broken(why: Broken) -> Box<dyn std::error::Error> {
    log::warn!("An answer was cut: {why}");
    why.into()
}
