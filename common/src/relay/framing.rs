//! Where an answer ends (RFC 9112 section 6.3), when that can be read in one way only.

use actix_web::http::StatusCode;

/// More digits than this are no length of a file; fewer fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// What a head says about the bytes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    pub status: StatusCode,
    /// As said; some answers say none.
    pub length: Option<u64>,
    /// Whether the connection may be used again.
    pub keep: bool,
}

impl Framing {
    /// `None` for what is not HTTP/1.1, not final, has a transfer coding, or says its length twice or unreadably.
    pub fn of(head: &httparse::Response<'_, '_>) -> Option<Self> {
        let status = StatusCode::from_u16(head.code?).ok()?;
        if head.version != Some(1) || status.is_informational() || status.as_u16() >= 600 {
            return None;
        }
        let (mut length, mut keep) = (None, true);
        for field in &*head.headers {
            if field.name.eq_ignore_ascii_case("transfer-encoding") {
                return None;
            } else if field.name.eq_ignore_ascii_case("content-length") {
                if length.is_some() {
                    return None;
                }
                length = Some(digits(field.value)?);
            } else if field.name.eq_ignore_ascii_case("connection") {
                let mut options = field.value.split(|byte| *byte == b',');
                keep &= !options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
        }
        Some(Framing { status, length, keep })
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    let fits = (1..=MAX_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    fits.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
