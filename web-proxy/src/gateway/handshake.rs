//! The opening handshake (RFC 6455 section 4.2): what a client must bring, checked in the order of gateway.md. Everything
//! here reads the head only; who the token belongs to is asked after it.

use actix_web::http::header::{
    CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use actix_web::http::{Method, Uri, Version};
use actix_web::web::Query;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::error::{ApiError, Code};
use common::http::{CookieName, bearer};
use common::operation::OperationId;
use common::serve::UpgradeRequest;
use serde::Deserialize;
use sha1::{Digest, Sha1};

use super::platform::Platform;

/// RFC 6455 section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The subprotocol we speak; a browser that brings its token as a second one must be answered with it.
const PROTOCOL: &str = "sluice.v1";

/// Longest accepted token, in bytes; ours have 43.
const MAX_TOKEN_LEN: usize = 256;

/// Where a token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Header,
    Protocol,
    Query,
    Cookie,
}

/// What a client brings.
pub struct Asked {
    pub token: String,
    pub source: Source,
    /// The name of the user whose token it should be.
    pub send_id: String,
    pub platform: Platform,
    pub operation: OperationId,
    accept: HeaderValue,
    protocol: bool,
}

/// What the configuration says about handshakes.
pub struct Rules {
    /// This site's own origin, when it is configured.
    pub public_url: String,
    pub origins: Vec<String>,
    pub query_token: bool,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default, rename = "sendID")]
    send_id: String,
    #[serde(default, rename = "platformID")]
    platform: String,
    #[serde(default, rename = "operationID")]
    operation: String,
    #[serde(default)]
    token: String,
}

/// Reads the head. 400 for what is missing or malformed, then 403 for a page of another site.
pub fn read(request: &UpgradeRequest, rules: &Rules) -> Result<Asked, ApiError> {
    let host = request.host()?;
    if request.version() < Version::HTTP_11 {
        return Err(bad("A WebSocket begins with HTTP/1.1."));
    }
    let asked = parse(
        request.method(),
        request.uri(),
        request.headers(),
        rules,
        &request.operation,
    )?;
    check_origin(request.headers(), host, rules)?;
    Ok(asked)
}

fn parse(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    rules: &Rules,
    operation: &OperationId,
) -> Result<Asked, ApiError> {
    let key = check_protocol(method, headers)?;
    let parameters = Query::<Parameters>::from_query(uri.query().unwrap_or_default())
        .map_err(|error| bad("The parameters can't be read.").because(error))?
        .into_inner();
    let (token, source) = token(headers, &parameters, rules)
        .ok_or_else(|| bad("A session token is missing: bring the cookie, `Authorization: Bearer …`, or the subprotocols `sluice.v1, bearer.<token>`."))?;
    if token.len() > MAX_TOKEN_LEN {
        return Err(bad("The session token is too long."));
    }
    if parameters.send_id.is_empty() {
        return Err(bad("`sendID` is missing: the username that the token belongs to."));
    }
    if parameters.platform.is_empty() {
        return Err(bad("`platformID` is missing: 1 to 9, 5 for the web."));
    }
    let platform =
        Platform::parse(&parameters.platform).ok_or_else(|| bad("`platformID` is none of 1 to 9; 5 is the web."))?;
    let operation = match parameters.operation.as_str() {
        "" => operation.clone(),
        text => {
            OperationId::parse(text).ok_or_else(|| bad("`operationID` has 1 to 64 characters of A-Z a-z 0-9 . _ -"))?
        }
    };
    let offered = protocols(headers);
    Ok(Asked {
        token,
        source,
        send_id: parameters.send_id,
        platform,
        operation,
        accept: accept(key),
        protocol: offered.contains(&PROTOCOL),
    })
}

impl Asked {
    /// The headers of the 101.
    pub fn answer(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_ACCEPT, self.accept.clone()),
        ];
        if self.protocol {
            headers.push((SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL)));
        }
        headers
    }
}

/// The key, when it is a WebSocket handshake of version 13.
fn check_protocol<'a>(method: &Method, headers: &'a HeaderMap) -> Result<&'a [u8], ApiError> {
    if *method != Method::GET {
        return Err(bad("A WebSocket begins with GET."));
    }
    let lists = |name: &HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(wanted))
    };
    if !lists(&CONNECTION, "upgrade") || !lists(&UPGRADE, "websocket") {
        return Err(bad(
            "A WebSocket handshake says `Connection: Upgrade` and `Upgrade: websocket`.",
        ));
    }
    let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION);
    if versions.next().map(HeaderValue::as_bytes) != Some(b"13") || versions.next().is_some() {
        return Err(bad("The version of the WebSocket protocol is 13.")
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY);
    match (keys.next(), keys.next()) {
        (Some(key), None) if STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16) => Ok(key.as_bytes()),
        _ => Err(bad("`Sec-WebSocket-Key` is 16 bytes in base64.")),
    }
}

/// `Sec-WebSocket-Accept` (RFC 6455 section 4.2.2).
fn accept(key: &[u8]) -> HeaderValue {
    let digest = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    HeaderValue::from_str(&STANDARD.encode(digest)).expect("base64 is a header value")
}

fn protocols(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect()
}

/// The token, from where a program puts it on purpose before the cookie that a browser always sends.
fn token(headers: &HeaderMap, parameters: &Parameters, rules: &Rules) -> Option<(String, Source)> {
    if let Some(token) = bearer(headers).filter(|token| !token.is_empty()) {
        return Some((token.to_owned(), Source::Header));
    }
    let in_protocol = protocols(headers)
        .into_iter()
        .find_map(|protocol| protocol.strip_prefix("bearer."))
        .filter(|token| !token.is_empty());
    if let Some(token) = in_protocol {
        return Some((token.to_owned(), Source::Protocol));
    }
    if rules.query_token && !parameters.token.is_empty() {
        return Some((parameters.token.clone(), Source::Query));
    }
    let name = CookieName::of(&rules.public_url);
    headers
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(key, value)| *key == name.as_str() && !value.is_empty())
        .map(|(_, value)| (value.to_owned(), Source::Cookie))
}

/// A browser says which site's page opens the socket; programs say nothing.
fn check_origin(headers: &HeaderMap, host: Option<&str>, rules: &Rules) -> Result<(), ApiError> {
    let mut given = headers.get_all(ORIGIN);
    let Some(origin) = given.next() else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    let allowed = given.next().is_none()
        && (rules
            .origins
            .iter()
            .any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
            || (!rules.public_url.is_empty() && origin.eq_ignore_ascii_case(&rules.public_url))
            || authority.is_some_and(|authority| host.is_some_and(|host| host.eq_ignore_ascii_case(authority))));
    if allowed {
        return Ok(());
    }
    Err(ApiError::new(
        Code::Forbidden,
        "Pages of this origin may not connect; `gateway.origins` names those that may.",
    ))
}

fn bad(detail: &str) -> ApiError {
    ApiError::new(Code::BadRequest, detail)
}
