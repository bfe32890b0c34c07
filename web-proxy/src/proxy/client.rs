//! The connections of one worker thread to the services.

use std::time::Duration;

use common::connect::Connector;
use common::error::{ApiError, Code};
use common::replicas::Replica;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::client::legacy::{Client as Pool, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::Outgoing;
use super::headers::{Head, Length};
use super::relay;

/// Idle connections kept to each replica by each worker.
pub const MAX_IDLE: usize = 64;
/// Well below the 75 s for which a service keeps one, so that it is rarely closed under a request.
pub const IDLE: Duration = Duration::from_secs(15);
/// Read buffer of a connection, in bytes; also the bound of a service's answer head.
pub const READ_BUFFER: usize = 128 * 1024;

pub struct Client(Pool<Connector, Outgoing>);

impl Client {
    pub fn new(connector: HttpConnector) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(READ_BUFFER)
            // The public Host goes on as it came.
            .set_host(false)
            .build(Connector(connector));
        Client(pool)
    }

    /// Sends a request of [`request`]. Dropping the future ends the connection that it used.
    pub async fn call(&self, mut request: Request<Outgoing>) -> Result<Response<Incoming>, Error> {
        let connection = capture_connection(&mut request);
        let answer = self.0.request(request).await?;
        if relay::declared(answer.headers()).is_err()
            && let Some(connection) = connection.connection_metadata().as_ref()
        {
            // What follows such an answer may be a part of it.
            connection.poison();
        }
        Ok(answer)
    }
}

/// `head` as hyper sends it to `replica`.
pub fn request(replica: &Replica, head: &Head<'_>, body: Outgoing) -> Result<Request<Outgoing>, ApiError> {
    let mut request = Request::new(body);
    let mut uri = hyper::http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(replica.authority().clone());
    let target = match head.query {
        None => head.path.parse(),
        Some(query) => format!("{}?{query}", head.path).parse(),
    };
    uri.path_and_query = Some(target.map_err(|_| unreadable("The address"))?);
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| unreadable("The address"))?;
    *request.method_mut() =
        Method::from_bytes(head.method.as_str().as_bytes()).map_err(|_| unreadable("The method"))?;
    let headers = request.headers_mut();
    for (name, value) in &head.fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable("A header field"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| unreadable("A header field"))?;
        headers.append(name, value);
    }
    // To the service it is HTTP/1.1, which needs one.
    if !head.has_host()
        && let Ok(host) = replica.authority().as_str().parse()
    {
        headers.insert(HOST, host);
    }
    if head.length == Length::Unknown {
        // hyper takes a GET for one without a body where nobody says so.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    // A method that means a body says that there is none (RFC 9110 section 8.6).
    let means_body = matches!(head.method.as_str(), "POST" | "PUT" | "PATCH");
    if means_body && head.length == Length::None {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(request)
}

fn unreadable(what: &str) -> ApiError {
    ApiError::new(Code::BadRequest, format!("{what} can't be passed on."))
}

/// How connections to services are opened.
pub fn connector(connect: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect));
    connector.set_nodelay(true);
    connector
}
