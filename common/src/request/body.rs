//! Bodies on their way: the request's with a deadline that moves while bytes move, the response's with a count of bytes
//! and the log line at its true end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use futures_util::Stream;
use log::{Level, log, log_enabled};
use tokio::time::Sleep;

use crate::metrics::Metrics;
use crate::net;
use crate::operation::OperationId;
use crate::plain::PlainRequest;
use crate::serve::{Connection, Serving};
use crate::slot::SlotHandle;

/// Makes the body of `request` fail when no byte of it arrives for `stall`.
pub(super) fn limit_stalls(request: &mut ServiceRequest, stall: Duration) {
    let payload = match request.take_payload() {
        Payload::None => Payload::None,
        payload => {
            let timer = Box::pin(tokio::time::sleep(stall));
            let payload: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(StallingPayload {
                payload,
                stall,
                timer,
                waiting: false,
            });
            Payload::Stream { payload }
        }
    };
    request.set_payload(payload);
}

struct StallingPayload {
    payload: Payload,
    stall: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether `timer` runs: from the first poll that found nothing on. Time before that is the handler's own.
    waiting: bool,
}

impl Stream for StallingPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Poll::Ready(item) = Pin::new(&mut this.payload).poll_next(cx) {
            this.waiting = false;
            return Poll::Ready(item);
        }
        if !this.waiting {
            this.waiting = true;
            this.timer.as_mut().reset(tokio::time::Instant::now() + this.stall);
        }
        ready!(this.timer.as_mut().poll(cx));
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the body stopped arriving");
        Poll::Ready(Some(Err(PayloadError::Io(error))))
    }
}

/// A request whose connection leaves HTTP: one log line and one count, when it is answered.
pub(crate) struct Seen {
    id: OperationId,
    method: Method,
    path: String,
    client: String,
    started: Instant,
}

impl Seen {
    pub(crate) fn begin(
        request: &actix_http::Request,
        peer: Option<SocketAddr>,
        id: OperationId,
        started: Instant,
    ) -> Self {
        Seen {
            id,
            method: request.method().clone(),
            path: loggable_path(request.path()),
            client: net::shown(peer),
            started,
        }
    }

    pub(crate) fn answered(&self, metrics: &Metrics, status: u16) {
        metrics.http.answered(&self.method, status, self.started.elapsed());
        let (method, path) = (&self.method, &self.path);
        log!(
            target: ACCESS, Level::Info,
            operation_id = self.id.as_str(), client = self.client.as_str(), status = status,
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            "{method} {path} {status}"
        );
    }
}

/// The connection of a request; tests without a server have none.
pub(super) struct Origin<'a> {
    pub connection: Option<&'a Connection>,
    pub slot: Option<&'a SlotHandle>,
}

/// What is known of a request when its last byte is sent or the client has left.
pub(crate) struct RequestLog {
    id: OperationId,
    method: Method,
    line: Option<Line>,
    started: Instant,
    status: StatusCode,
    bytes: u64,
    complete: bool,
    metrics: Metrics,
    /// Counts the bytes that go past the framework.
    slot: Option<SlotHandle>,
    _serving: Option<Serving>,
}

impl RequestLog {
    /// From here on the connection serves this request.
    pub(super) fn begin(request: &PlainRequest<'_>, id: OperationId, metrics: Metrics, on: Origin<'_>) -> Self {
        metrics.http.in_flight.inc();
        let slot = on.slot.cloned();
        // What an answer before this one sent is in its own line.
        slot.as_ref().map(SlotHandle::take_sent);
        RequestLog {
            id,
            method: request.method.clone(),
            line: Line::of(request),
            started: Instant::now(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            bytes: 0,
            complete: false,
            metrics,
            slot,
            _serving: on.connection.map(Connection::begin_request),
        }
    }

    /// Its head is about to leave.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status;
        let http = &self.metrics.http;
        http.answered(&self.method, status.as_u16(), self.started.elapsed());
    }

    pub(crate) fn id(&self) -> &OperationId {
        &self.id
    }

    /// Bytes that were sent of the body of an answer that the framework does not carry.
    pub(crate) fn sent(&mut self) -> &mut u64 {
        &mut self.bytes
    }

    /// Such an answer is over; `complete`: all of it was sent.
    pub(crate) fn ended(&mut self, complete: bool) {
        self.complete = complete;
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        self.metrics.http.in_flight.dec();
        let Some(line) = &self.line else { return };
        let probe = matches!(line.path.as_str(), "/healthz" | "/readyz" | "/metrics");
        let level = if probe { Level::Debug } else { Level::Info };
        let (method, path, status) = (&self.method, &line.path, self.status.as_u16());
        let bytes = self.bytes + self.slot.as_ref().map_or(0, SlotHandle::take_sent);
        log!(
            target: ACCESS, level,
            operation_id = self.id.as_str(), client = line.client.as_str(), status = status, bytes = bytes,
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX), complete = self.complete;
            "{method} {path} {status}"
        );
    }
}

/// Of the log lines about requests.
const ACCESS: &str = "access";

/// The texts of a log line.
struct Line {
    path: String,
    client: String,
}

impl Line {
    /// `None` when nobody wants it.
    fn of(request: &PlainRequest<'_>) -> Option<Line> {
        log_enabled!(target: ACCESS, Level::Info).then(|| Line {
            path: loggable_path(request.path),
            client: net::shown(request.peer),
        })
    }
}

/// Segments longer than this are not shown: no id or name of ours is, and a grant always is.
const MAX_SEGMENT: usize = 40;

/// The path without what may not stand in a log: the grant of a media address, wherever and however it is spelled.
fn loggable_path(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    if segments.len() > 2 && segments[1] == "media" {
        segments[2] = "-";
    }
    for segment in &mut segments {
        if segment.len() > MAX_SEGMENT {
            *segment = "-";
        }
    }
    segments.join("/")
}

/// A response body that counts its bytes and logs the request when it is dropped.
pub(super) struct LoggedBody {
    body: BoxBody,
    log: RequestLog,
}

impl LoggedBody {
    pub(super) fn new(body: BoxBody, mut log: RequestLog) -> Self {
        log.complete = matches!(body.size(), BodySize::None | BodySize::Sized(0));
        LoggedBody { body, log }
    }
}

impl MessageBody for LoggedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let item = ready!(Pin::new(&mut this.body).poll_next(cx));
        match &item {
            Some(Ok(bytes)) => this.log.bytes += bytes.len() as u64,
            Some(Err(_)) => {}
            None => this.log.complete = true,
        }
        if let BodySize::Sized(size) = this.body.size() {
            this.log.complete |= this.log.bytes >= size;
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use super::loggable_path;

    #[test]
    fn a_grant_never_reaches_the_log() {
        assert_eq!(
            loggable_path("/media/secret.grant/0123456789ab/file"),
            "/media/-/0123456789ab/file"
        );
        assert_eq!(loggable_path("/media/secret"), "/media/-");
        let grant = "k1.eyJrIjoicGxheSIsInYiOiIwMTIzNDU2Nzg5YWIifQ.c2lnbmF0dXJl";
        for path in [
            "/%6dedia/GRANT/0123456789ab/file",
            "//media/GRANT/0123456789ab/file",
            "/x/y/z/GRANT",
        ] {
            assert!(!loggable_path(&path.replace("GRANT", grant)).contains("eyJ"), "{path}");
        }
        assert_eq!(loggable_path("/api/v1/videos"), "/api/v1/videos");
    }
}
