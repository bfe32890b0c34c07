//! What surrounds every request on every listener: its operation id, the deadline of its body, the catch of a panic, the
//! form of every failure, the default headers, one log line and the metrics.

mod body;
mod failure;
mod plain;

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{ConnectionType, Request, RequestHead, Response};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};
use futures_util::{FutureExt, TryFutureExt};

use crate::capture::{self, Claim};
use crate::config::Secret;
use crate::drain::Drain;
use crate::error::{ApiError, Code};
use crate::http::same_secret;
use crate::metrics::Metrics;
use crate::operation::{self, OperationId, REQUEST_ID_HEADER};
use crate::plain::{PlainHandler, PlainRequest};
use crate::serve::{Connection, Direct};
use crate::slot::SlotHandle;
use body::{LoggedBody, Origin};
pub(crate) use body::{RequestLog, Seen};
pub(crate) use failure::log_api_failure;
use failure::{log_failure, normalise};
pub(crate) use plain::serve_plain;

/// What a listener gives to its requests. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub metrics: Metrics,
    /// Headers for every answer that doesn't say its own.
    pub default_headers: Arc<[(HeaderName, HeaderValue)]>,
    /// When set, everything but the probes and metrics needs it as a bearer token.
    pub internal_token: Option<Secret>,
    /// Longest wait for the next piece of a request body.
    pub body_stall: Duration,
    /// A process that leaves ends each connection with its answer, so that the next request goes to another copy.
    pub drain: Drain,
}

/// A response that was made where no request is at hand any more.
#[derive(Debug)]
struct Ready {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    /// The connection ends with it.
    close: bool,
}

impl std::fmt::Display for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "answered {}", self.status)
    }
}

impl ResponseError for Ready {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for header in &self.headers {
            response.insert_header(header.clone());
        }
        if self.close {
            response.force_close();
        }
        response.body(self.body.clone())
    }
}

/// The middleware of every App (see `serve`).
pub async fn serve_one(
    context: Context,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = OperationId::from_headers(request.headers());
    let origin = Origin {
        connection: request.conn_data(),
        slot: request.conn_data(),
    };
    let log = RequestLog::begin(&request.head().into(), id.clone(), context.metrics.clone(), origin);
    let captured = capture::claim(&mut request);
    body::limit_stalls(&mut request, context.body_stall);
    operation::scope(id.clone(), async move {
        let answered = match admit(&context, request.head()) {
            Err(refused) => Ok(request.error_response(refused).map_into_boxed_body()),
            Ok(()) => guarded(async move { next.call(request).await })
                .await
                .map(|response| response.map_into_boxed_body()),
        };
        // Bytes that nobody took are left in the connection: nothing can follow them.
        let close = || captured.as_ref().is_some_and(Claim::unfinished);
        match answered {
            Ok(response) => {
                let (request, response) = response.into_parts();
                let mut response = finished(response, &id, &context, log);
                if close() {
                    response.head_mut().set_connection_type(ConnectionType::Close);
                }
                Ok(ServiceResponse::new(request, response))
            }
            Err(error) => {
                log_failure(Some(&error));
                let mut response = error.error_response();
                finish_head(response.headers_mut(), &id, &context);
                let mut log = log;
                log.answered(response.status());
                let mut ready = detached(response);
                ready.close = close() || context.drain.is_leaving();
                Err(ready.into())
            }
        }
    })
    .await
}

/// [`serve_one`] for a request that the App does not see.
pub(crate) async fn serve_direct(context: Rc<Context>, direct: Direct, request: Request) -> Response<BoxBody> {
    let id = OperationId::from_headers(&request.head().headers);
    let origin = Origin {
        connection: request.conn_data(),
        slot: request.conn_data(),
    };
    let log = RequestLog::begin(&request.head().into(), id.clone(), context.metrics.clone(), origin);
    operation::scope(id.clone(), async move {
        let answered = match admit(&context, request.head()) {
            Err(refused) => Err(refused.into()),
            Ok(()) => guarded(by(&*direct, &request).map_err(Error::from)).await,
        };
        let response = answered.unwrap_or_else(HttpResponse::from_error);
        finished(response, &id, &context, log).into()
    })
    .await
}

/// The answer of a plain handler, as the framework carries it.
async fn by(handler: &dyn PlainHandler, request: &Request) -> Result<HttpResponse, ApiError> {
    let plain = PlainRequest::from(request.head());
    if let Some(connection) = request.conn_data::<Connection>()
        && handler.outlasts_half_close(&plain)
    {
        connection.outlast_half_close();
    }
    let slot = request.conn_data::<SlotHandle>();
    let answer = handler.answer(plain, slot.is_some()).await?;
    Ok(answer.into_response(slot))
}

/// A panic is the failure of one request (promise 11).
pub(crate) async fn guarded<T, E: From<ApiError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(ApiError::internal(format!("panic: {}", panic_text(&*panic))).into()))
}

/// What every answer gets: the form of a failure, the headers, its line in the log and its place in the metrics.
fn finished(
    mut response: HttpResponse<BoxBody>,
    id: &OperationId,
    context: &Context,
    mut log: RequestLog,
) -> HttpResponse<BoxBody> {
    log_failure(response.error());
    normalise(&mut response);
    finish_head(response.headers_mut(), id, context);
    if context.drain.is_leaving() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    log.answered(response.status());
    response.map_body(|_, body| BoxBody::new(LoggedBody::new(body, log)))
}

/// Addresses of the internal listener that anybody may ask there, as they are spelled.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// One Host that is one, and the internal token where it is asked for: for every address but the open ones, so that no
/// other spelling of a protected one (`/%69nternal/…`) gets past.
fn admit(context: &Context, request: &RequestHead) -> Result<(), ApiError> {
    crate::net::host(request)?;
    let Some(token) = &context.internal_token else {
        return Ok(());
    };
    if OPEN.contains(&request.uri.path()) {
        return Ok(());
    }
    let given = crate::http::bearer(&request.headers).unwrap_or_default();
    if same_secret(given, token.expose()) {
        return Ok(());
    }
    Err(ApiError::new(
        Code::Unauthenticated,
        "Internal calls need the internal token.",
    ))
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

fn finish_head(headers: &mut header::HeaderMap, id: &OperationId, context: &Context) {
    let id = HeaderValue::from_str(id.as_str()).expect("an operation id is a header value");
    headers.insert(HeaderName::from_static(REQUEST_ID_HEADER), id);
    for (name, value) in context.default_headers.iter() {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// `response` as an error value, for the case in which the request was lost in a panic.
fn detached(response: HttpResponse) -> Ready {
    let status = response.status();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // Error responses hold their body in memory.
    let body = response
        .into_body()
        .try_into_bytes()
        .map(|bytes| bytes.to_vec())
        .unwrap_or_default();
    Ready {
        status,
        headers,
        body,
        close: false,
    }
}
