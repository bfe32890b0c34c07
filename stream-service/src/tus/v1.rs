//! How tus 1.0.0 writes its heads.

use super::{
    fields::{self, Checksum, Concat},
    request::{Append, Body, Create, End, bad, declared, one, wrong_type},
};
use actix_web::http::header::HeaderMap;
use common::error::{ApiError, Code};

pub const BYTES: &str = "application/offset+octet-stream";

pub fn create(headers: &HeaderMap) -> Result<Create, ApiError> {
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
        _ => Err(wrong_type(BYTES)),
    }
}

pub fn append(headers: &HeaderMap) -> Result<Append, ApiError> {
    if one(headers, "content-type")? != Some(BYTES) {
        return Err(wrong_type(BYTES));
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
    let checksum = one(headers, "upload-checksum")?
        .map(Checksum::parse)
        .transpose()
        .map_err(bad)?;
    Ok(Body {
        declared: declared(headers)?,
        checksum,
        end: End::AtLength,
    })
}
