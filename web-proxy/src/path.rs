//! What a request path names, decided once and strictly, so that the edge and a service behind it can't read the same
//! bytes differently. A path that some reader might take for another one is refused; all others are passed on as they
//! are.

use std::borrow::Cow;

use common::error::{ApiError, Code};

/// Longest path and query, in bytes. A media address with its grant has about 300.
const MAX_TARGET: usize = 8 * 1024;

/// Splits a raw path into its segments, percent-decoded once (RFC 3986 section 3.3). Refused: dot segments, empty
/// segments but the last, encoded slashes and backslashes, control characters, broken percent-encoding, bytes that may
/// not stand in a path.
pub fn segments(path: &str) -> Result<Vec<Cow<'_, [u8]>>, ApiError> {
    if path.len() > MAX_TARGET {
        return Err(ApiError::new(
            Code::UriTooLong,
            format!("An address may have {MAX_TARGET} bytes."),
        ));
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(refused("does not begin with a slash"));
    };
    // Not `all`: without an early end the compiler looks at many at a time.
    let simple = rest.bytes().fold(true, |simple, byte| simple & is_unreserved(byte));
    let mut segments = Vec::with_capacity(USUAL);
    let mut left = Some(rest.as_bytes());
    while let Some(raw) = left {
        let (segment, after) = match memchr::memchr(b'/', raw) {
            Some(at) => (&raw[..at], Some(&raw[at + 1..])),
            None => (raw, None),
        };
        if segment.is_empty() && after.is_some() {
            return Err(refused("has an empty segment"));
        }
        segments.push(decode(segment, simple)?);
        left = after;
    }
    Ok(segments)
}

/// Room for the segments of a media address.
const USUAL: usize = 4;

/// RFC 3986 section 2.3, and the slash.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-'..=b'/' | b'_' | b'~')
}

/// The bounds of the query: its bytes are the service's business as long as they can be passed on.
pub fn check_query(query: Option<&str>) -> Result<(), ApiError> {
    let query = query.unwrap_or_default();
    if query.len() > MAX_TARGET {
        return Err(ApiError::new(
            Code::UriTooLong,
            format!("A query may have {MAX_TARGET} bytes."),
        ));
    }
    if query.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(refused("has a query with characters that must be percent-encoded"))
    }
}

/// `simple`: it is known to have unreserved characters only.
fn decode(segment: &[u8], simple: bool) -> Result<Cow<'_, [u8]>, ApiError> {
    let decoded = if simple {
        Cow::Borrowed(segment)
    } else if segment.contains(&b'%') {
        Cow::Owned(percent_decoded(segment)?)
    } else if segment.iter().copied().all(may_stand_in_a_path) {
        Cow::Borrowed(segment)
    } else {
        return Err(refused(BAD_CHARACTERS));
    };
    // Some servers cut parameters off first: `..;x` would become `..`.
    let name = match memchr::memchr(b';', &decoded) {
        Some(at) => &decoded[..at],
        None => &decoded,
    };
    if matches!(name, b"." | b"..") {
        return Err(refused("has a dot segment"));
    }
    Ok(decoded)
}

const BAD_CHARACTERS: &str = "has characters that must be percent-encoded";

fn percent_decoded(segment: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.iter().copied();
    while let Some(byte) = bytes.next() {
        let plain = if byte == b'%' {
            let digits =
                [bytes.next(), bytes.next()].map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
            let [Some(high), Some(low)] = digits else {
                return Err(refused("has a percent sign without two hexadecimal digits"));
            };
            let value = u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte");
            if matches!(value, b'/' | b'\\') {
                return Err(refused("has an encoded slash"));
            }
            value
        } else if may_stand_in_a_path(byte) {
            byte
        } else {
            return Err(refused(BAD_CHARACTERS));
        };
        if plain.is_ascii_control() {
            return Err(refused("has a control character"));
        }
        decoded.push(plain);
    }
    Ok(decoded)
}

/// `pchar` of RFC 3986 without the percent sign.
const MAY_STAND_IN_A_PATH: [bool; 256] = {
    let mut may = [false; 256];
    let others = b"-._~!$&'()*+,;=:@";
    let mut at = 0;
    while at < others.len() {
        may[others[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0;
    while byte < 128 {
        may[byte] |= (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    may
};

fn may_stand_in_a_path(byte: u8) -> bool {
    MAY_STAND_IN_A_PATH[usize::from(byte)]
}

fn refused(what: &str) -> ApiError {
    ApiError::new(Code::BadRequest, format!("The address {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&[&str]>) {
        let found = segments(path).ok();
        let expected = expected.map(|names| names.iter().map(|name| Cow::from(name.as_bytes())).collect::<Vec<_>>());
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn paths_have_one_reading_or_are_refused() {
        check("/", Some(&[""]));
        check("/api/v1/videos", Some(&["api", "v1", "videos"]));
        check("/api/v1/", Some(&["api", "v1", ""]));
        check("/%61pi/v%31/x", Some(&["api", "v1", "x"]));
        check("/v/a%20b", Some(&["v", "a b"]));
        check("/v/%E8%A7%86", Some(&["v", "视"]));
        check("/v/...", Some(&["v", "..."]));
        check("/v/.well-known", Some(&["v", ".well-known"]));
        check("/v/a;b=1,2", Some(&["v", "a;b=1,2"]));
        check("/v/%252e%252e", Some(&["v", "%2e%2e"]));
        for path in [
            "",
            "*",
            "x",
            "//",
            "//x",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/.",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/%2e/b",
            "/a/..;/b",
            "/a/..%3b/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00b",
            "/a%0d%0ab",
            "/a%7fb",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a b",
            "/a\"b",
            "/a<b",
            "/a|b",
            "/a{b}",
            "/a^b",
            "/a`b",
            "/ü",
            "/a#b",
            "/a[b]",
        ] {
            check(path, None);
        }
        assert!(segments(&format!("/{}", "x".repeat(MAX_TARGET))).is_err());
    }

    #[test]
    fn queries_are_passed_on_when_they_can_be() {
        for query in [
            None,
            Some(""),
            Some("a=b&c='d'"),
            Some("x=%zz"),
            Some("../..//"),
            Some("a={}|^`[]\\"),
        ] {
            assert!(check_query(query).is_ok(), "{query:?}");
        }
        for query in ["a b", "ü", "a\tb", "a\u{0}b"] {
            assert!(check_query(Some(query)).is_err(), "{query:?}");
        }
    }
}
