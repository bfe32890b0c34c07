//! The connections of one worker thread to the services.

use std::time::Duration;

use common::connect::Connector;
use common::replicas::Replica;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue};
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

    /// Sends `head` with `body` to `replica`. Dropping the future ends the connection that it used.
    pub async fn call(&self, replica: &Replica, head: &Head, body: Outgoing) -> Result<Response<Incoming>, Error> {
        let mut request = request(replica, head, body);
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
pub fn request(replica: &Replica, head: &Head, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    let mut uri = hyper::http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(replica.authority().clone());
    uri.path_and_query = Some(head.target.clone());
    *request.uri_mut() = Uri::from_parts(uri).expect("scheme, authority and path are a URI");
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    let headers = request.headers_mut();
    // Only HTTP/1.0 comes without one; to the service it is HTTP/1.1, which needs it.
    if !headers.contains_key(HOST)
        && let Ok(host) = replica.authority().as_str().parse()
    {
        headers.insert(HOST, host);
    }
    // A method that means a body says that there is none (RFC 9110 section 8.6).
    let means_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    if means_body && head.length == Length::None {
        request
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    request
}

/// How connections to services are opened.
pub fn connector(connect: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect));
    connector.set_nodelay(true);
    connector
}
