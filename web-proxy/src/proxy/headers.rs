//! Both messages re-serialised (promise 10): what belongs to one hop stays on it (RFC 9110 section 7.6.1), what only we
//! may say is dropped and said anew, the framing is ours.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::header;
use actix_web::http::{Method, Version};
use common::error::{ApiError, Code};
use common::net::TrustedProxies;
use common::operation::{self, OPERATION_ID_HEADER};
use common::plain::{Fields, PlainRequest};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

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

/// Room for the fields of a browser, with ours.
const USUAL: usize = 24;

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
pub struct Head<'a> {
    pub method: &'a Method,
    /// Byte for byte as they came.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Names in any case. None that we say comes from the client too.
    pub fields: Vec<(&'a str, Cow<'a, [u8]>)>,
    pub length: Length,
    /// The client speaks HTTP/1.0, which has no chunks.
    pub old_client: bool,
}

impl Head<'_> {
    /// Only HTTP/1.0 comes without.
    pub fn has_host(&self) -> bool {
        self.fields.iter().any(|(name, _)| *name == header::HOST.as_str())
    }
}

/// The request for a service, of which one good Host was checked. It is kept, because services compare Origin with it.
pub fn outgoing<'a>(request: &PlainRequest<'a>, trusted: &TrustedProxies, https: bool) -> Result<Head<'a>, ApiError> {
    let mut fields = Vec::with_capacity(USUAL);
    let named = named_by_connection(request.fields.all(&header::CONNECTION));
    for (name, value) in request.fields.iter() {
        if !stays(name.as_bytes(), &named) && !is_ours(name.as_bytes()) {
            fields.push((name, Cow::Borrowed(value)));
        }
    }
    let mut say = |name, value| fields.push((name, value));
    if let Some(host) = request.fields.text(&header::HOST) {
        say(header::HOST.as_str(), Cow::Borrowed(host.as_bytes()));
        say(FORWARDED_HOST, Cow::Borrowed(host.as_bytes()));
    }
    let peer = request.peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    say(
        FORWARDED_FOR,
        Cow::Owned(text_of(trusted.client(peer, request.fields)).into_bytes()),
    );
    let scheme = scheme(request.fields, trusted.trusts(peer), https);
    say(FORWARDED_PROTO, Cow::Borrowed(scheme.as_bytes()));
    let operation = operation::current_or_mint();
    say(OPERATION_ID_HEADER, Cow::Owned(operation.as_str().as_bytes().to_vec()));
    Ok(Head {
        method: request.method,
        path: request.path,
        query: request.query,
        fields,
        length: length(request.fields)?,
        old_client: request.version < Version::HTTP_11,
    })
}

/// Which fields of a service's answer the client gets, however they are spelled. The framing, the end of the connection and the
/// operation id are said by who serves it.
pub struct Returning<'a> {
    /// By the `Connection` of the answer.
    named: Vec<&'a [u8]>,
}

impl<'a> Returning<'a> {
    /// `connection`: the values of that field.
    pub fn but(connection: impl Iterator<Item = &'a [u8]>) -> Self {
        Returning {
            named: named_by_connection(connection),
        }
    }

    pub fn passes(&self, name: &[u8]) -> bool {
        !begins_with(name, PROXY) && !stays(name, &self.named)
    }
}

/// The length of a request's body. Who decoded it has refused every request whose length can be read in two ways; what is left says it once.
pub fn length(fields: Fields<'_>) -> Result<Length, ApiError> {
    let declared = fields.all(&header::CONTENT_LENGTH).next();
    let chunked = fields.has(&header::TRANSFER_ENCODING);
    let upgrade = fields.has(&header::UPGRADE);
    if upgrade && (chunked || declared.is_some_and(|value| value != b"0")) {
        return Err(ApiError::new(Code::BadRequest, "A request to upgrade has no body."));
    }
    if chunked {
        return Ok(Length::Unknown);
    }
    let Some(declared) = declared else {
        return Ok(Length::None);
    };
    match std::str::from_utf8(declared)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    {
        Some(0) => Ok(Length::None),
        Some(length) => Ok(Length::Known(length)),
        None => Err(ApiError::new(
            Code::BadRequest,
            "The header `Content-Length` is not a number.",
        )),
    }
}

/// As `Display` writes it, which takes ten times as long for what nearly every client has.
fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let (mut text, mut number) = (String::with_capacity("255.255.255.255".len()), itoa::Buffer::new());
    for (at, octet) in address.octets().into_iter().enumerate() {
        text.push_str(if at == 0 { "" } else { "." });
        text.push_str(number.format(octet));
    }
    text
}

/// `https` when the site is, or when a trusted proxy in front says so.
fn scheme(fields: Fields<'_>, trusted: bool, https: bool) -> &'static str {
    let said = || fields.text(&header::X_FORWARDED_PROTO);
    if https || (trusted && said() == Some("https")) {
        "https"
    } else {
        "http"
    }
}

fn named_by_connection<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    fields
        .flat_map(|field| field.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .collect()
}

fn stays(name: &[u8], named: &[&[u8]]) -> bool {
    is_of_one_hop(name) || named.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// The lengths of the names in [`ONE_HOP`], a bit for each: most others have none of them.
const ONE_HOP_LENGTHS: u64 = {
    let (mut lengths, mut at) = (0, 0);
    while at < ONE_HOP.len() {
        lengths |= 1 << ONE_HOP[at].len();
        at += 1;
    }
    lengths
};

fn is_of_one_hop(name: &[u8]) -> bool {
    name.len() < 64
        && ONE_HOP_LENGTHS >> name.len() & 1 == 1
        && ONE_HOP.iter().any(|other| other.as_bytes().eq_ignore_ascii_case(name))
}

fn is_ours(name: &[u8]) -> bool {
    let is = |other: &&str| name.len() == other.len() && begins_with(name, other);
    OURS.iter().any(is) || OURS_BY_PREFIX.iter().any(|prefix| begins_with(name, prefix)) || ONE_HOP.iter().any(is)
}

/// Some servers read `_` as `-`, so both are the same name here; `prefix` is lower-case, without `_`.
fn begins_with(name: &[u8], prefix: &str) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= prefix.len()
        && name
            .iter()
            .zip(prefix.bytes())
            .all(|(byte, other)| plain(byte) == other)
}
