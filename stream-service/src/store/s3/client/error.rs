//! What a store answers instead of doing it, and what that means to us.

use super::xml;
use hyper::StatusCode;

/// Texts of a store are shown in logs and messages up to this many characters.
const MAX_TEXT: usize = 300;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    #[error("no such object")]
    Missing,
    /// No room, or a quota is used up.
    #[error("the store is full: {0}")]
    Full(String),
    /// Credentials, rights, region or clock are not what the store wants.
    #[error("the store refuses: {code}: {text}")]
    Denied { code: String, text: String },
    #[error("there is no such bucket")]
    NoBucket,
    #[error("no such multipart upload")]
    NoSuchUpload,
    /// What arrived was not what was sent.
    #[error("bytes changed on the way: {0}")]
    BadDigest(String),
    /// A part that was named at the end is not there, is another, or is too small.
    #[error("a part is not as named: {0}")]
    InvalidPart(String),
    /// The object was replaced while it was read.
    #[error("the object is another one now")]
    Changed,
    /// Unreachable, too slow, overloaded or broken: another try may succeed.
    #[error("the store is away: {0}")]
    Away(String),
    #[error("the store answered {status} {code}: {text}")]
    Other { status: u16, code: String, text: String },
}

impl S3Error {
    /// Whether the same call may well succeed when it is repeated.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Away(_) | Self::BadDigest(_))
    }

    /// An answer that can't be understood.
    pub(super) fn unreadable(status: StatusCode, what: impl std::fmt::Display) -> Self {
        Self::Other {
            status: status.as_u16(),
            code: "unreadable".into(),
            text: shown(&what.to_string()),
        }
    }

    /// Of an answer that is not a success; `document` is its body (empty in answers to HEAD).
    pub(super) fn of(status: StatusCode, document: &[u8]) -> Self {
        let (code, text) = match xml::error(document) {
            Some(error) => (shown(&error.code), shown(&error.message)),
            None => (String::new(), shown(&String::from_utf8_lossy(document))),
        };
        match code.as_str() {
            "NoSuchKey" => return Self::Missing,
            "NoSuchBucket" => return Self::NoBucket,
            "NoSuchUpload" => return Self::NoSuchUpload,
            "BadDigest" | "InvalidDigest" | "IncompleteBody" | "XAmzContentChecksumMismatch" => {
                return Self::BadDigest(text);
            }
            "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" => {
                return Self::InvalidPart(format!("{code}: {text}"));
            }
            "PreconditionFailed" => return Self::Changed,
            "SlowDown" | "RequestTimeout" | "OperationAborted" | "TooManyRequests" => {
                return Self::Away(format!("{code}: {text}"));
            }
            "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" | "XMinioAdminBucketQuotaExceeded" => {
                return Self::Full(text);
            }
            // Garage has no code of its own for a full quota.
            "AccessDenied" if text.contains("quota") => return Self::Full(text),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError" => {
                return Self::Denied { code, text };
            }
            _ => {}
        }
        match status.as_u16() {
            401 | 403 => Self::Denied {
                code: if code.is_empty() {
                    status.as_u16().to_string()
                } else {
                    code
                },
                text,
            },
            404 => Self::Missing,
            412 => Self::Changed,
            507 => Self::Full(text),
            // Also what stands before a store has numbers of its own (520 to 530).
            408 | 425 | 429 | 500 | 502..=506 | 508..=599 => {
                Self::Away(format!("{} {code} {text}", status.as_u16()).trim_end().to_owned())
            }
            status => Self::Other { status, code, text },
        }
    }
}

/// One line of a bounded length, whatever a store says.
fn shown(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, code: &str, text: &str, expected: S3Error) {
        let document = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{text}</Message><StringToSign>s3cr3t</StringToSign></Error>"
        );
        let error = S3Error::of(StatusCode::from_u16(status).unwrap(), document.as_bytes());
        assert_eq!(error, expected, "{status} {code}");
        assert!(!error.to_string().contains("s3cr3t"));
    }

    #[test]
    fn codes_and_statuses_have_meanings() {
        let text = |text: &str| text.to_owned();
        let denied = |code: &str| S3Error::Denied {
            code: code.into(),
            text: "x".into(),
        };
        check(404, "NoSuchKey", "x", S3Error::Missing);
        check(404, "NoSuchBucket", "x", S3Error::NoBucket);
        check(404, "NoSuchUpload", "x", S3Error::NoSuchUpload);
        check(403, "SignatureDoesNotMatch", "x", denied("SignatureDoesNotMatch"));
        check(403, "InvalidAccessKeyId", "x", denied("InvalidAccessKeyId"));
        check(403, "RequestTimeTooSkewed", "x", denied("RequestTimeTooSkewed"));
        check(301, "PermanentRedirect", "x", denied("PermanentRedirect"));
        check(
            400,
            "AuthorizationHeaderMalformed",
            "x",
            denied("AuthorizationHeaderMalformed"),
        );
        check(403, "AccessDenied", "x", denied("AccessDenied"));
        check(
            403,
            "AccessDenied",
            "the size quota is reached",
            S3Error::Full(text("the size quota is reached")),
        );
        check(507, "Whatever", "x", S3Error::Full(text("x")));
        check(403, "QuotaExceeded", "x", S3Error::Full(text("x")));
        check(400, "BadDigest", "x", S3Error::BadDigest(text("x")));
        check(
            400,
            "EntityTooSmall",
            "x",
            S3Error::InvalidPart(text("EntityTooSmall: x")),
        );
        check(412, "PreconditionFailed", "x", S3Error::Changed);
        check(503, "SlowDown", "x", S3Error::Away(text("SlowDown: x")));
        check(400, "RequestTimeout", "x", S3Error::Away(text("RequestTimeout: x")));
        check(500, "InternalError", "x", S3Error::Away(text("500 InternalError x")));
        check(520, "", "x", S3Error::Away(text("520  x")));
        let other = S3Error::Other {
            status: 501,
            code: "NotImplemented".into(),
            text: "x".into(),
        };
        check(501, "NotImplemented", "x", other);
    }

    #[test]
    fn answers_without_a_document_are_told_by_their_status() {
        let of = |status: u16, body: &str| S3Error::of(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert_eq!(of(404, ""), S3Error::Missing);
        assert_eq!(
            of(403, ""),
            S3Error::Denied {
                code: "403".into(),
                text: String::new()
            }
        );
        assert_eq!(
            of(502, "<html>bad\r\n\u{7}gateway</html>"),
            S3Error::Away("502  <html>bad gateway</html>".into())
        );
        let S3Error::Other { text, .. } = of(418, &"x".repeat(9000)) else {
            panic!("a teapot is none of the others");
        };
        assert_eq!(text.len(), MAX_TEXT);
    }
}
