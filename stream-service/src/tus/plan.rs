//! What is to be done, decided without a socket, a clock or a database: a request that could be read, and what is known of
//! the upload it names, give a [`Plan`] or a refusal. A table of vectors holds it to the protocol.

use super::{
    EXTENSIONS, VERSION,
    fields::Concat,
    request::{Append, Body, Create, Place, Request, read},
};
use crate::upload::too_large;
use actix_web::http::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use common::{
    error::{ApiError, Code},
    ids::Id,
    time::Timestamp,
};
use std::time::{Duration, SystemTime};

/// What is known of the upload that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// There is none, or it is another video's: which of the two is nobody's business.
    Nothing,
    /// Expired, terminated, refused when it was whole, or purged with its video.
    Gone,
    Is(Upload),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Acknowledged: these bytes are durable.
    pub offset: u64,
    pub length: Option<u64>,
    /// As it was given, empty when it was not.
    pub metadata: String,
    pub concat: Option<Concat>,
    /// The video is stored; never true of a partial upload.
    pub finished: bool,
    pub expires: Timestamp,
}

impl Upload {
    /// All its bytes are here.
    pub fn whole(&self) -> bool {
        self.length == Some(self.offset)
    }

    pub fn partial(&self) -> bool {
        self.concat == Some(Concat::Partial)
    }
}

/// What to do, and how to answer when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// 204 with what is built.
    Describe,
    /// 201, after the bytes that come with it.
    Create(Create),
    /// 201, after the parts have become a video.
    Join { parts: Vec<Id>, create: Create },
    /// 200 with where it is.
    Tell(Upload),
    /// All bytes are acknowledged and the video is not stored yet: a crash was between. Do it, then 200 as above.
    Complete(Upload),
    /// 204 with the offset after the bytes; they may not go beyond `most`.
    Append { upload: Upload, body: Body, most: u64 },
    /// 204.
    Terminate,
}

/// Both steps at once, for tests; the service looks the upload up between them.
pub fn plan(
    method: &Method,
    place: Place,
    headers: &HeaderMap,
    known: &Known,
    max_bytes: u64,
) -> Result<Plan, ApiError> {
    decide(read(method, place, headers)?, known, max_bytes)
}

/// `max_bytes` is the most that the grant and the service allow.
pub fn decide(request: Request, known: &Known, max_bytes: u64) -> Result<Plan, ApiError> {
    match request {
        Request::Describe => Ok(Plan::Describe),
        Request::Create(create) => decide_create(create, max_bytes),
        Request::Tell => {
            let upload = existing(known)?;
            Ok(if upload.whole() && !upload.finished && !upload.partial() {
                Plan::Complete(upload)
            } else {
                Plan::Tell(upload)
            })
        }
        Request::Append(append) => decide_append(append, existing(known)?, max_bytes),
        Request::Terminate => {
            if existing(known)?.finished {
                return Err(ApiError::new(
                    Code::Conflict,
                    "This upload has become a video; it is the video that can be deleted.",
                ));
            }
            Ok(Plan::Terminate)
        }
    }
}

fn existing(known: &Known) -> Result<Upload, ApiError> {
    match known {
        Known::Nothing => Err(ApiError::not_found("upload")),
        Known::Gone => Err(ApiError::new(Code::Gone, "This upload has ended; begin a new one.")),
        Known::Is(upload) => Ok(upload.clone()),
    }
}

fn decide_create(create: Create, max_bytes: u64) -> Result<Plan, ApiError> {
    if create.length.is_some_and(|length| length > max_bytes) {
        return Err(too_large(max_bytes));
    }
    if let Some(Concat::Final(parts)) = &create.concat {
        return Ok(Plan::Join {
            parts: parts.clone(),
            create,
        });
    }
    if let Some(body) = &create.body {
        fits(0, body, create.length.unwrap_or(max_bytes))?;
    }
    Ok(Plan::Create(create))
}

fn decide_append(append: Append, mut upload: Upload, max_bytes: u64) -> Result<Plan, ApiError> {
    if matches!(upload.concat, Some(Concat::Final(_))) {
        return Err(ApiError::new(
            Code::Forbidden,
            "A final upload takes no bytes of its own.",
        ));
    }
    if append.offset != upload.offset {
        return Err(offset_mismatch(upload.offset));
    }
    match (append.length, upload.length) {
        (Some(now), Some(before)) if now != before => {
            return Err(ApiError::new(
                Code::BadRequest,
                "The length of this upload is known and stays.",
            ));
        }
        (Some(now), _) if now < upload.offset => {
            return Err(ApiError::new(
                Code::BadRequest,
                "Upload-Length is less than what is here.",
            ));
        }
        (Some(now), _) if now > max_bytes => return Err(too_large(max_bytes)),
        (now, before) => upload.length = before.or(now),
    }
    let most = upload.length.unwrap_or(max_bytes).min(max_bytes);
    fits(upload.offset, &append.body, most)?;
    Ok(Plan::Append {
        upload,
        body: append.body,
        most,
    })
}

/// A declared body that goes beyond the end is refused before it is read.
fn fits(offset: u64, body: &Body, most: u64) -> Result<(), ApiError> {
    match body.declared {
        Some(declared) if offset.saturating_add(declared) > most => Err(too_large(most)),
        _ => Ok(()),
    }
}

/// 409 with the true offset, also as the header that a client knows it by.
pub fn offset_mismatch(offset: u64) -> ApiError {
    ApiError::new(Code::OffsetMismatch, format!("This upload continues at {offset}."))
        .with("offset", offset)
        .header(HeaderName::from_static("upload-offset"), HeaderValue::from(offset))
}

pub type Fields = Vec<(&'static str, String)>;

impl Plan {
    /// The status when all goes well.
    pub fn status(&self) -> u16 {
        match self {
            Self::Create(_) | Self::Join { .. } => 201,
            Self::Tell(_) | Self::Complete(_) => 200,
            Self::Describe | Self::Append { .. } | Self::Terminate => 204,
        }
    }

    /// The fields of the answer as far as they are known before the work is done: not the address of a new upload, and not
    /// the offset after bytes that come in chunks.
    pub fn fields(&self, max_upload: u64) -> Fields {
        match self {
            Self::Describe => vec![
                ("tus-version", VERSION.into()),
                ("tus-extension", EXTENSIONS.into()),
                ("tus-checksum-algorithm", "sha1,sha256".into()),
                ("tus-max-size", max_upload.to_string()),
            ],
            Self::Tell(upload) | Self::Complete(upload) => told(upload),
            Self::Append { upload, .. } if upload.finished => after(upload, upload.offset),
            Self::Append { upload, body, .. } => match body.declared {
                Some(declared) => {
                    let mut then = upload.clone();
                    then.offset += declared;
                    then.finished = then.whole() && !then.partial();
                    let offset = then.offset;
                    after(&then, offset)
                }
                None => Vec::new(),
            },
            Self::Create(create) => match &create.body {
                Some(Body {
                    declared: Some(declared),
                    ..
                }) => vec![("upload-offset", declared.to_string())],
                _ => Vec::new(),
            },
            Self::Join { .. } | Self::Terminate => Vec::new(),
        }
    }
}

/// HEAD.
fn told(upload: &Upload) -> Fields {
    let mut fields = vec![("cache-control", "no-store".to_owned())];
    fields.extend(after(upload, upload.offset));
    match upload.length {
        Some(length) => fields.push(("upload-length", length.to_string())),
        None => fields.push(("upload-defer-length", "1".to_owned())),
    }
    if !upload.metadata.is_empty() {
        fields.push(("upload-metadata", upload.metadata.clone()));
    }
    if let Some(concat) = &upload.concat {
        fields.push(("upload-concat", concat.text()));
    }
    fields
}

/// The offset, and until when the upload waits for more. A stored video doesn't expire.
pub fn after(upload: &Upload, offset: u64) -> Fields {
    let mut fields = vec![("upload-offset", offset.to_string())];
    if !upload.finished {
        fields.push(("upload-expires", http_date(upload.expires)));
    }
    fields
}

/// RFC 9110 section 5.6.7, as the expiration extension asks for.
pub fn http_date(time: Timestamp) -> String {
    let since = Duration::from_millis(u64::try_from(time.millis()).unwrap_or(0));
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since)
}
