//! What a request asks for, read from its head alone: neither the row of the upload nor a byte of the body is needed to
//! refuse what is malformed.

use super::{
    VERSION, draft,
    fields::{self, Checksum, Concat},
    v1,
};
use actix_web::http::{
    Method,
    header::{ALLOW, HeaderMap, HeaderName, HeaderValue},
};
use common::error::{ApiError, Code};

/// Where a request is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/uploads`
    Collection,
    /// `/uploads/{id}`
    Upload,
}

impl Place {
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::Collection => "OPTIONS, POST",
            Self::Upload => "OPTIONS, HEAD, PATCH, DELETE",
        }
    }
}

/// In which protocol a request is written. Both speak of the same uploads: what is begun in one can be continued in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// tus 1.0.0: `Tus-Resumable`.
    Tus,
    /// Resumable Uploads for HTTP, see [`draft`]: `Upload-Draft-Interop-Version`.
    Draft,
}

impl Protocol {
    /// The words in which a request is answered, also when it can't be read.
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(draft::INTEROP) && !headers.contains_key("tus-resumable") {
            Self::Draft
        } else {
            Self::Tus
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Describe,
    Create(Create),
    Tell,
    Append(Append),
    Terminate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// `None`: the length comes later.
    pub length: Option<u64>,
    pub metadata: String,
    pub concat: Option<Concat>,
    /// Bytes come with it.
    pub body: Option<Body>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    pub offset: u64,
    /// The length that was put off.
    pub length: Option<u64>,
    pub body: Body,
}

/// Whether the bytes of a request are the last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// When the offset is the length then.
    AtLength,
    /// They are, wherever they end.
    Here,
    /// They are not, whatever the length is.
    Later,
}

/// What the head says of the bytes that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// `None`: in chunks.
    pub declared: Option<u64>,
    pub checksum: Option<Checksum>,
    pub end: End,
}

impl Body {
    /// The length of the upload that these bytes imply when they go to `offset`.
    pub fn length_from(&self, offset: u64) -> Option<u64> {
        let declared = self.declared.filter(|_| self.end == End::Here);
        declared.map(|declared| offset.saturating_add(declared))
    }
}

/// Reads a head. `method` is the one of the request line; `X-HTTP-Method-Override` goes before it, as tus has it for clients
/// that can't send PATCH.
pub fn read(method: &Method, place: Place, headers: &HeaderMap) -> Result<(Protocol, Request), ApiError> {
    let overridden = one(headers, "x-http-method-override")?;
    let method = overridden.unwrap_or(method.as_str());
    if method == "OPTIONS" {
        return Ok((Protocol::of(headers), Request::Describe));
    }
    let known = match place {
        Place::Collection => method == "POST",
        Place::Upload => matches!(method, "HEAD" | "PATCH" | "DELETE"),
    };
    if !known {
        let refused = ApiError::new(Code::MethodNotAllowed, "The header `Allow` names the methods that are.");
        return Err(refused.header(ALLOW, HeaderValue::from_static(place.allowed())));
    }
    let protocol = protocol(headers)?;
    let asked = match (method, protocol) {
        ("POST", Protocol::Tus) => Request::Create(v1::create(headers)?),
        ("POST", Protocol::Draft) => Request::Create(draft::create(headers)?),
        ("PATCH", Protocol::Tus) => Request::Append(v1::append(headers)?),
        ("PATCH", Protocol::Draft) => Request::Append(draft::append(headers)?),
        ("HEAD", _) => Request::Tell,
        _ => Request::Terminate,
    };
    Ok((protocol, asked))
}

fn protocol(headers: &HeaderMap) -> Result<Protocol, ApiError> {
    let tus = one(headers, "tus-resumable")?;
    if headers.contains_key(draft::INTEROP) {
        if tus.is_some() {
            return Err(bad(
                "A request is written in one protocol: `Tus-Resumable` or `Upload-Draft-Interop-Version`.",
            ));
        }
        draft::check_version(headers)?;
        return Ok(Protocol::Draft);
    }
    if tus == Some(VERSION) {
        return Ok(Protocol::Tus);
    }
    let refused = ApiError::new(
        Code::PreconditionFailed,
        "This address speaks tus 1.0.0 (`Tus-Resumable: 1.0.0`) and the IETF's draft (`Upload-Draft-Interop-Version: 8`); say which.",
    );
    Err(refused.header(
        HeaderName::from_static("tus-version"),
        HeaderValue::from_static(VERSION),
    ))
}

/// The bytes that a head declares; `None`: they come in chunks.
pub fn declared(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    if headers.contains_key("transfer-encoding") {
        return Ok(None);
    }
    let declared = one(headers, "content-length")?.map(|text| fields::size("Content-Length", text));
    Ok(Some(declared.transpose().map_err(bad)?.unwrap_or(0)))
}

/// The value of a field that may stand there once at most.
pub fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad(format!("The header {name} stands there more than once.")));
    }
    let text = value
        .to_str()
        .map_err(|_| bad(format!("The header {name} is not ASCII.")))?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

pub fn bad(text: impl Into<String>) -> ApiError {
    ApiError::new(Code::BadRequest, text)
}

/// `wanted`: the type that the bytes come in.
pub fn wrong_type(wanted: &str) -> ApiError {
    ApiError::new(
        Code::UnsupportedMedia,
        format!("The bytes of an upload come as `{wanted}`."),
    )
}
