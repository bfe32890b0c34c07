//! What is to be done, decided without a socket, a clock or a database: a request that could be read, and what is known of
//! the upload it names, give a [`Plan`] or a refusal. A table of vectors holds it to the protocol.

use super::{
    draft,
    fields::Concat,
    request::{Append, Body, Create, Place, Protocol, Request, read},
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
    /// The client has said that these bytes are all: by their number (tus), or in so many words (the draft).
    pub complete: bool,
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

    /// Nothing can be appended any more.
    pub fn closed(&self) -> bool {
        self.finished || (self.partial() && self.whole())
    }
}

/// What to do, and how to answer when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Say what is built.
    Describe,
    /// Begin, and take the bytes that come with it.
    Create(Create),
    /// Begin with the bytes of the parts, which makes a video.
    Join { parts: Vec<Id>, create: Create },
    /// Say where it is.
    Tell(Upload),
    /// All bytes are acknowledged and the video is not stored yet: a crash was between. Do it, then as above.
    Complete(Upload),
    /// Take the bytes; they may not go beyond `most`.
    Append { upload: Upload, body: Body, most: u64 },
    /// Remove it.
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
    let (protocol, request) = read(method, place, headers)?;
    decide(protocol, request, known, max_bytes)
}

/// `max_bytes` is the most that the grant and the service allow.
pub fn decide(protocol: Protocol, request: Request, known: &Known, max_bytes: u64) -> Result<Plan, ApiError> {
    match request {
        Request::Describe => Ok(Plan::Describe),
        Request::Create(create) => decide_create(protocol, create, max_bytes),
        Request::Tell => Ok(decide_tell(protocol, existing(known)?)),
        Request::Append(append) => decide_append(protocol, append, existing(known)?, max_bytes),
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

fn decide_create(protocol: Protocol, create: Create, max_bytes: u64) -> Result<Plan, ApiError> {
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
        fits(protocol, 0, body, (create.length, max_bytes))?;
    }
    Ok(Plan::Create(create))
}

/// In tus the length alone says that all is here, in the draft only the client (section 4.1.3).
fn decide_tell(protocol: Protocol, mut upload: Upload) -> Plan {
    let complete = match protocol {
        Protocol::Tus => upload.whole(),
        Protocol::Draft => upload.complete,
    };
    if complete && !upload.finished && !upload.partial() {
        upload.complete = true;
        Plan::Complete(upload)
    } else {
        Plan::Tell(upload)
    }
}

fn decide_append(protocol: Protocol, append: Append, mut upload: Upload, max_bytes: u64) -> Result<Plan, ApiError> {
    if matches!(upload.concat, Some(Concat::Final(_))) {
        return Err(ApiError::new(
            Code::Forbidden,
            "A final upload takes no bytes of its own.",
        ));
    }
    if append.offset != upload.offset {
        let refused = offset_mismatch(upload.offset);
        return Err(match protocol {
            Protocol::Tus => refused,
            Protocol::Draft => draft::mismatching_offset(refused, upload.offset, append.offset),
        });
    }
    if protocol == Protocol::Draft && upload.closed() {
        return Err(draft::completed(&append.body));
    }
    for now in [append.length, append.body.length_from(upload.offset)]
        .into_iter()
        .flatten()
    {
        if upload.length.is_some_and(|before| before != now) {
            return Err(contradiction(protocol, "The length of this upload is known and stays."));
        }
        if now < upload.offset {
            return Err(contradiction(protocol, "Upload-Length is less than what is here."));
        }
        if now > max_bytes {
            return Err(too_large(max_bytes));
        }
        upload.length = Some(now);
    }
    let most = upload.length.unwrap_or(max_bytes).min(max_bytes);
    fits(protocol, upload.offset, &append.body, (upload.length, most))?;
    Ok(Plan::Append {
        upload,
        body: append.body,
        most,
    })
}

fn contradiction(protocol: Protocol, text: &str) -> ApiError {
    match protocol {
        Protocol::Tus => ApiError::new(Code::BadRequest, text),
        Protocol::Draft => draft::inconsistent_length(text),
    }
}

/// A declared body that goes beyond the end is refused before it is read.
fn fits(protocol: Protocol, offset: u64, body: &Body, (length, most): (Option<u64>, u64)) -> Result<(), ApiError> {
    let Some(end) = body.declared.map(|declared| offset.saturating_add(declared)) else {
        return Ok(());
    };
    if protocol == Protocol::Draft && length.is_some_and(|length| end > length) {
        return Err(draft::inconsistent_length(
            "These bytes go beyond the length of this upload.",
        ));
    }
    let most = length.map_or(most, |length| length.min(most));
    if end > most { Err(too_large(most)) } else { Ok(()) }
}

/// 409 with the true offset, also as the header that a client knows it by.
pub fn offset_mismatch(offset: u64) -> ApiError {
    ApiError::new(Code::OffsetMismatch, format!("This upload continues at {offset}."))
        .with("offset", offset)
        .header(HeaderName::from_static("upload-offset"), HeaderValue::from(offset))
}
