//! What a request asks for, read from its head alone: neither the row of the upload nor a byte of the body is needed to
//! refuse what is malformed.

use super::{
    VERSION,
    fields::{self, Checksum, Concat},
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

/// What the head says of the bytes that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// `None`: in chunks.
    pub declared: Option<u64>,
    pub checksum: Option<Checksum>,
}

const BYTES: &str = "application/offset+octet-stream";

/// Reads a head. `method` is the one of the request line; `X-HTTP-Method-Override` goes before it, as the protocol has it
/// for clients that can't send PATCH.
pub fn read(method: &Method, place: Place, headers: &HeaderMap) -> Result<Request, ApiError> {
    let overridden = one(headers, "x-http-method-override")?;
    let method = overridden.unwrap_or(method.as_str());
    if method == "OPTIONS" {
        return Ok(Request::Describe);
    }
    let known = match place {
        Place::Collection => method == "POST",
        Place::Upload => matches!(method, "HEAD" | "PATCH" | "DELETE"),
    };
    if !known {
        let refused = ApiError::new(Code::MethodNotAllowed, "The header `Allow` names the methods that are.");
        return Err(refused.header(ALLOW, HeaderValue::from_static(place.allowed())));
    }
    if one(headers, "tus-resumable")? != Some(VERSION) {
        let refused = ApiError::new(
            Code::PreconditionFailed,
            "This address speaks tus 1.0.0; say so in the header `Tus-Resumable`.",
        );
        return Err(refused.header(
            HeaderName::from_static("tus-version"),
            HeaderValue::from_static(VERSION),
        ));
    }
    match method {
        "POST" => create(headers).map(Request::Create),
        "HEAD" => Ok(Request::Tell),
        "PATCH" => append(headers).map(Request::Append),
        _ => Ok(Request::Terminate),
    }
}

fn create(headers: &HeaderMap) -> Result<Create, ApiError> {
    let concat = one(headers, "upload-concat")?
        .map(Concat::parse)
        .transpose()
        .map_err(bad)?;
    let metadata = one(headers, "upload-metadata")?
        .map(fields::metadata)
        .transpose()
        .map_err(bad)?;
    let length = length(headers)?;
    let deferred = match one(headers, "upload-defer-length")? {
        None => false,
        Some("1") => true,
        Some(_) => return Err(bad("Upload-Defer-Length is 1 or not there.")),
    };
    let body = created_with(headers)?;
    if matches!(concat, Some(Concat::Final(_))) {
        if length.is_some() || deferred || body.is_some() {
            return Err(bad(
                "A final upload has the length and the bytes of its parts, and none of its own.",
            ));
        }
    } else if length.is_some() && deferred {
        return Err(bad("Upload-Length and Upload-Defer-Length exclude each other."));
    } else if length.is_none() && !deferred {
        return Err(ApiError::new(
            Code::LengthRequired,
            "Upload-Length is needed, or Upload-Defer-Length: 1.",
        ));
    }
    Ok(Create {
        length,
        metadata: metadata.unwrap_or_default(),
        concat,
        body,
    })
}

/// The bytes that come with a creation, if any do.
fn created_with(headers: &HeaderMap) -> Result<Option<Body>, ApiError> {
    let body = body(headers)?;
    let typed = one(headers, "content-type")?;
    match (typed, body.declared) {
        (Some(BYTES), _) => Ok(Some(body)),
        // Clients name some type also when they send nothing.
        (_, Some(0)) if body.checksum.is_none() => Ok(None),
        (_, Some(0)) => Err(bad("Upload-Checksum is for bytes, and none come.")),
        _ => Err(wrong_type()),
    }
}

fn append(headers: &HeaderMap) -> Result<Append, ApiError> {
    if one(headers, "content-type")? != Some(BYTES) {
        return Err(wrong_type());
    }
    let offset = one(headers, "upload-offset")?.ok_or_else(|| bad("Upload-Offset is needed."))?;
    Ok(Append {
        offset: fields::size("Upload-Offset", offset).map_err(bad)?,
        length: length(headers)?,
        body: body(headers)?,
    })
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let text = one(headers, "upload-length")?;
    text.map(|text| fields::size("Upload-Length", text))
        .transpose()
        .map_err(bad)
}

fn body(headers: &HeaderMap) -> Result<Body, ApiError> {
    let chunked = headers.contains_key("transfer-encoding");
    let declared = one(headers, "content-length")?
        .map(|text| fields::size("Content-Length", text))
        .transpose()
        .map_err(bad)?;
    let checksum = one(headers, "upload-checksum")?
        .map(Checksum::parse)
        .transpose()
        .map_err(bad)?;
    Ok(Body {
        declared: if chunked { None } else { Some(declared.unwrap_or(0)) },
        checksum,
    })
}

/// The value of a field that may stand there once at most.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
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

fn bad(text: impl Into<String>) -> ApiError {
    ApiError::new(Code::BadRequest, text)
}

fn wrong_type() -> ApiError {
    ApiError::new(
        Code::UnsupportedMedia,
        format!("The bytes of an upload come as `{BYTES}`."),
    )
}
