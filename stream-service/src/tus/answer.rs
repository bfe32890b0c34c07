//! How a plan that was carried out is answered, in the words of the protocol that asked.

use super::{
    EXTENSIONS, VERSION, draft,
    fields::Fields,
    plan::{Plan, Upload},
    request::{Body, End, Protocol},
    v1,
};
use actix_web::http::header::{HeaderName, HeaderValue};
use common::{
    error::{ApiError, Code},
    time::Timestamp,
};
use std::time::{Duration, SystemTime};

/// What an answer depends on beside the upload.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub protocol: Protocol,
    /// The most that the grant and the service allow.
    pub max_bytes: u64,
    pub now: Timestamp,
}

impl Terms {
    /// The status when all goes well.
    pub fn status(&self, plan: &Plan) -> u16 {
        match (plan, self.protocol) {
            (Plan::Create(_) | Plan::Join { .. }, _) => 201,
            (Plan::Tell(_) | Plan::Complete(_), Protocol::Tus) => 200,
            // The answer of a whole upload has a body.
            (Plan::Append { upload, body, .. }, Protocol::Draft) if body.end == End::Here && !upload.partial() => 200,
            _ => 204,
        }
    }

    /// The fields of the answer as far as they are known before the work is done: not the address of a new upload, and not
    /// the offset after bytes that come in chunks.
    pub fn fields(&self, plan: &Plan) -> Fields {
        match plan {
            Plan::Describe => self.described(),
            Plan::Tell(upload) => self.told(upload),
            Plan::Complete(upload) => {
                let mut then = upload.clone();
                then.finished = true;
                self.told(&then)
            }
            Plan::Append { upload, .. } if upload.finished => self.after(upload),
            Plan::Append { upload, body, .. } => match body.declared {
                Some(declared) => self.after(&appended(upload.clone(), declared, body)),
                None => Vec::new(),
            },
            Plan::Create(create) => match &create.body {
                Some(Body {
                    declared: Some(declared),
                    ..
                }) => vec![("upload-offset", declared.to_string())],
                _ => Vec::new(),
            },
            Plan::Join { .. } | Plan::Terminate => Vec::new(),
        }
    }

    /// OPTIONS is answered in both protocols: tus clients don't say that they are.
    fn described(&self) -> Fields {
        vec![
            ("tus-version", VERSION.into()),
            ("tus-extension", EXTENSIONS.into()),
            ("tus-checksum-algorithm", "sha1,sha256".into()),
            ("tus-max-size", self.max_bytes.to_string()),
            ("accept-patch", format!("{}, {}", v1::BYTES, draft::BYTES)),
            ("upload-limit", draft::limits(self.max_bytes, None)),
        ]
    }

    /// HEAD.
    pub fn told(&self, upload: &Upload) -> Fields {
        if self.protocol == Protocol::Draft {
            return draft::told(upload, self.max_bytes, self.now);
        }
        let mut fields = vec![("cache-control", "no-store".to_owned())];
        fields.extend(self.after(upload));
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
    pub fn after(&self, upload: &Upload) -> Fields {
        if self.protocol == Protocol::Draft {
            return draft::state(upload, self.max_bytes, self.now);
        }
        let mut fields = vec![("upload-offset", upload.offset.to_string())];
        if !upload.finished {
            fields.push(("upload-expires", http_date(upload.expires)));
        }
        fields
    }

    /// What belongs to every refusal: in tus the version, in the draft the limits where one is reached (section 4.1.4).
    pub fn refused(&self, error: ApiError) -> ApiError {
        match self.protocol {
            Protocol::Tus => error.header(
                HeaderName::from_static("tus-resumable"),
                HeaderValue::from_static(VERSION),
            ),
            Protocol::Draft if error.code() == Code::BodyTooLarge => {
                let limits = draft::limits(self.max_bytes, None);
                let value = HeaderValue::from_str(&limits).expect("digits and ASCII");
                error.header(HeaderName::from_static("upload-limit"), value)
            }
            Protocol::Draft => error,
        }
    }
}

/// The upload after all bytes of a declared body.
fn appended(mut upload: Upload, declared: u64, body: &Body) -> Upload {
    upload.offset += declared;
    upload.complete = match body.end {
        End::AtLength => upload.whole(),
        End::Here => true,
        End::Later => false,
    };
    upload.finished = upload.complete && !upload.partial();
    upload
}

/// RFC 9110 section 5.6.7, as the expiration extension asks for.
pub fn http_date(time: Timestamp) -> String {
    let since = Duration::from_millis(u64::try_from(time.millis()).unwrap_or(0));
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since)
}
