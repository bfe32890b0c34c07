//! Both messages re-serialised (promise 10): what belongs to one hop stays on it (RFC 9110 section 7.6.1), what only we
//! may say is dropped and said anew, the framing is ours.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpResponseBuilder;
use actix_web::dev::RequestHead;
use actix_web::http::header as web_header;
use common::error::{ApiError, Code};
use common::net::TrustedProxies;
use common::operation::{self, OPERATION_ID_HEADER};
use common::plain::Fields;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields of one hop, whether `Connection` names them or not, and the framing.
const ONE_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "host",
    // Answered here: the framework sends the 100.
    "expect",
];

/// Fields by which a client could say who it is or where it is.
const OURS: [&str; 4] = ["forwarded", "x-real-ip", OPERATION_ID_HEADER, "x-original-url"];
const OURS_BY_PREFIX: [&str; 3] = ["x-forwarded-", "x-sluice-", PROXY];
/// Fields that speak to the next proxy.
const PROXY: &str = "proxy-";

/// How long the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    None,
    Known(u64),
    /// Chunked: it was not said before.
    Unknown,
}

/// A request as it goes on to a service.
#[derive(Debug)]
pub struct Head {
    pub method: hyper::Method,
    /// Byte for byte as it came.
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    pub length: Length,
    /// The client speaks HTTP/1.0, which has no chunks.
    pub old_client: bool,
}

/// The request for a service. The public Host is kept, because services compare Origin with it.
pub fn outgoing(request: &RequestHead, trusted: &TrustedProxies, https: bool) -> Result<Head, ApiError> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 4);
    let named = named_by_connection(
        request
            .headers
            .get_all(web_header::CONNECTION)
            .map(|value| value.as_bytes()),
    );
    for (name, value) in &request.headers {
        if stays(name.as_str(), &named) || is_ours(name.as_str()) {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).map_err(unreadable)?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(unreadable)?;
        headers.append(name, value);
    }
    if let Some(host) = common::net::host(request)? {
        let host = HeaderValue::from_str(host).map_err(unreadable)?;
        headers.insert(header::HOST, host.clone());
        headers.insert(FORWARDED_HOST, host);
    }
    let peer = request
        .peer_addr
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let client = trusted.client(peer, Fields::Map(&request.headers)).to_string();
    headers.insert(FORWARDED_FOR, HeaderValue::from_str(&client).map_err(unreadable)?);
    headers.insert(
        FORWARDED_PROTO,
        HeaderValue::from_static(scheme(request, trusted.trusts(peer), https)),
    );
    let operation = operation::current_or_mint();
    headers.insert(
        HeaderName::from_static(OPERATION_ID_HEADER),
        HeaderValue::from_str(operation.as_str()).map_err(unreadable)?,
    );
    Ok(Head {
        method: hyper::Method::from_bytes(request.method.as_str().as_bytes())
            .map_err(|_| ApiError::new(Code::BadRequest, "The method can't be passed on."))?,
        target: target(request)?,
        headers,
        length: length(request)?,
        old_client: request.version < actix_web::http::Version::HTTP_11,
    })
}

fn unreadable<E>(_: E) -> ApiError {
    ApiError::new(Code::BadRequest, "A header field can't be passed on.")
}

/// The fields of a service's answer for the client, however they are spelled. The framing and the end of the connection are
/// said by the framework.
pub fn returning<'a, I>(fields: impl Fn() -> I, answer: &mut HttpResponseBuilder)
where
    I: Iterator<Item = (&'a str, &'a [u8])>,
{
    let connection = fields().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let named = named_by_connection(connection.map(|(_, value)| value));
    for (name, value) in fields() {
        let of_proxies = name
            .get(..PROXY.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PROXY));
        if !of_proxies && !stays(name, &named) {
            answer.append_header((name, value));
        }
    }
}

/// The fields of a parsed answer, as [`returning`] takes them.
pub fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn target(request: &RequestHead) -> Result<PathAndQuery, ApiError> {
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    target
        .parse()
        .map_err(|_| ApiError::new(Code::BadRequest, "The address can't be passed on."))
}

/// The framework has refused every request whose length can be read in two ways; what is left says it once.
fn length(request: &RequestHead) -> Result<Length, ApiError> {
    let headers = &request.headers;
    let declared = headers.get(web_header::CONTENT_LENGTH);
    let chunked = headers.contains_key(web_header::TRANSFER_ENCODING);
    let upgrade = headers.contains_key(web_header::UPGRADE);
    if upgrade && (chunked || declared.is_some_and(|value| value.as_bytes() != b"0")) {
        return Err(ApiError::new(Code::BadRequest, "A request to upgrade has no body."));
    }
    if chunked {
        return Ok(Length::Unknown);
    }
    let Some(declared) = declared else {
        return Ok(Length::None);
    };
    match declared.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        Some(0) => Ok(Length::None),
        Some(length) => Ok(Length::Known(length)),
        None => Err(ApiError::new(
            Code::BadRequest,
            "The header `Content-Length` is not a number.",
        )),
    }
}

/// `https` when the site is, or when a trusted proxy in front says so.
fn scheme(request: &RequestHead, trusted: bool, https: bool) -> &'static str {
    let said = request
        .headers
        .get("x-forwarded-proto")
        .and_then(|value| value.to_str().ok());
    if https || (trusted && said == Some("https")) {
        "https"
    } else {
        "http"
    }
}

fn named_by_connection<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    fields
        .flat_map(|field| field.split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

fn stays(name: &str, named: &[String]) -> bool {
    let is_name = |other: &str| other.eq_ignore_ascii_case(name);
    ONE_HOP.iter().any(|other| is_name(other)) || named.iter().any(|other| is_name(other))
}

/// Some servers read `_` as `-`, so both are the same name here.
fn is_ours(name: &str) -> bool {
    let name = name.replace('_', "-");
    OURS.contains(&name.as_str())
        || OURS_BY_PREFIX.iter().any(|prefix| name.starts_with(prefix))
        || ONE_HOP.contains(&name.as_str())
}
