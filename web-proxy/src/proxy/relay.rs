//! A service's answer on its way to the client: read no faster than the client takes it, with a deadline between two
//! pieces. When the service dies in the middle, the client's connection is cut, so that it knows.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::{ConnectionType, StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use common::error::{ApiError, Code};
use common::replicas::Turn;
use hyper::Response;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use tokio::time::{Instant, Sleep, sleep};

use super::body::Upload;
use super::headers::{self, Head};

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
    head: &Head,
    from: Response<Incoming>,
    turn: Turn,
    upload: Upload,
    wait: Duration,
) -> Result<HttpResponse, ApiError> {
    let status = match StatusCode::from_u16(from.status().as_u16()) {
        Ok(status) if !status.is_informational() => status,
        _ => return Err(unusable(format!("status {}", from.status()))),
    };
    let declared = declared(from.headers())?;
    let mut response = HttpResponse::build(status);
    headers::returning(|| headers::fields(from.headers()), &mut response);
    if never_has_body(status) {
        return Ok(bodyless(status, declared, response));
    }
    let without_body = head.method == hyper::Method::HEAD;
    let size = match declared {
        Some(length) => BodySize::Sized(length),
        None if without_body => BodySize::None,
        None => BodySize::Stream,
    };
    let mut response = if without_body {
        response.body(BoxBody::new(Bodyless(size)))
    } else {
        response.body(BoxBody::new(Relay::new(
            from.into_body(),
            turn,
            size,
            upload,
            status,
            wait,
        )))
    };
    if head.old_client && size == BodySize::Stream {
        // HTTP/1.0 has no chunks: the end of the connection ends the body.
        response.head_mut().no_chunking(true);
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// RFC 9110 sections 15.3.5 and 15.4.5.
pub fn never_has_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// An answer whose status has no body; 304 may say the length that the body of a 200 would have.
pub fn bodyless(status: StatusCode, declared: Option<u64>, mut response: HttpResponseBuilder) -> HttpResponse {
    if let (StatusCode::NOT_MODIFIED, Some(length)) = (status, declared) {
        response.insert_header((header::CONTENT_LENGTH, u64::to_string(&length)));
    }
    response.finish()
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

/// The length of a body that HEAD does not send.
struct Bodyless(BodySize);

impl MessageBody for Bodyless {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
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
