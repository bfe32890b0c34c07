//! Where a request head ends, and where its body: the same answer as actix-http's decoder, or none.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{LEAST, is_upload};

/// Fields of a head; actix-http takes as many.
const MAX_FIELDS: usize = 96;

/// Bytes of a head that is not refused by actix-http for its size.
const MAX_HEAD: usize = 128 << 10;

/// Digits of a length: more can't be one, and 19 fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// What the bytes at the beginning of a request are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet a whole head.
    Partial,
    /// Nothing that is to be understood here, now or later on this connection.
    Raw,
    Head(Head),
}

/// A whole head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its bytes, to the end of the empty line.
    pub length: usize,
    /// Bytes of the body behind it.
    pub body: u64,
    /// Where the digits of the Content-Length stand, if the body is to be captured.
    pub captured: Option<Range<usize>>,
}

/// Looks at what a client sent since the last request.
#[must_use]
pub fn classify(bytes: &[u8]) -> Verdict {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => match framing(bytes, &request) {
            Some((body, captured)) => Verdict::Head(Head { length, body, captured }),
            None => Verdict::Raw,
        },
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Verdict::Partial,
        Ok(httparse::Status::Partial) | Err(_) => Verdict::Raw,
    }
}

/// The length of the body, and what of it is to be overwritten; `None` for everything that is not plain.
fn framing(bytes: &[u8], request: &httparse::Request<'_, '_>) -> Option<(u64, Option<Range<usize>>)> {
    let (method, target) = (request.method?, request.path?);
    if request.version != Some(1) || method == "CONNECT" {
        return None;
    }
    let (mut length, mut hosts) = (None, 0);
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            if length.is_some() {
                return None;
            }
            length = Some((number(field.value)?, field.value));
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") || field.name.eq_ignore_ascii_case("upgrade") {
            return None;
        } else if field.name.eq_ignore_ascii_case("host") {
            hosts += 1;
        }
    }
    if hosts != 1 {
        return None;
    }
    let Some((length, digits)) = length else {
        return Some((0, None));
    };
    let captured = (length >= LEAST && is_upload(method, target)).then(|| place(bytes, digits));
    Some((length, captured))
}

/// Decimal digits without leading zeros.
fn number(text: &[u8]) -> Option<u64> {
    let plain =
        text.iter().all(u8::is_ascii_digit) && (text == b"0" || text.first().is_some_and(|digit| *digit != b'0'));
    if !plain || text.len() > MAX_DIGITS {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Where `part`, which lies in `whole`, lies there.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let from = part.as_ptr() as usize - whole.as_ptr() as usize;
    from..from + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Option<(u64, bool)>) {
        let bytes = format!("{}\r\n\r\nGET / HTTP/1.1\r\n", head.replace('\n', "\r\n"));
        let found = match classify(bytes.as_bytes()) {
            Verdict::Raw => None,
            Verdict::Partial => panic!("{head} is whole"),
            Verdict::Head(found) => {
                assert_eq!(found.length, bytes.len() - "GET / HTTP/1.1\r\n".len(), "{head}");
                if let Some(digits) = found.captured.clone() {
                    assert_eq!(bytes[digits].parse(), Ok(found.body), "{head}");
                }
                Some((found.body, found.captured.is_some()))
            }
        };
        assert_eq!(found, expected, "{head}");
        for end in 1..bytes.len() - "GET / HTTP/1.1\r\n".len() {
            assert!(
                !matches!(classify(&bytes.as_bytes()[..end]), Verdict::Head(_)),
                "{head} at {end}"
            );
        }
    }

    #[test]
    fn what_is_plain_is_understood_and_nothing_else() {
        check("GET / HTTP/1.1\nHost: t", Some((0, false)));
        check("GET / HTTP/1.1\nHost: t\nContent-Length: 0", Some((0, false)));
        check(
            "PUT /uploads/by-video/x HTTP/1.1\nHost: t\nContent-Length: 1048575",
            Some((1_048_575, false)),
        );
        check(
            "PUT /uploads/by-video/x HTTP/1.1\nHost: t\ncontent-LENGTH:   1048576  ",
            Some((1 << 20, true)),
        );
        check(
            "PATCH /uploads/x HTTP/1.1\nContent-Length: 99999999\nHost: t\nExpect: 100-continue",
            Some((99_999_999, true)),
        );
        check(
            "POST /uploads/by-video/x HTTP/1.1\nHost: t\nContent-Length: 1048576",
            Some((1 << 20, false)),
        );
        check(
            "PUT http://t/uploads/by-video/x HTTP/1.1\nHost: t\nContent-Length: 1048576",
            Some((1 << 20, false)),
        );
        let put = "PUT /uploads/by-video/x HTTP/1.1\nHost: t";
        for field in [
            "Content-Length: 0000000",
            "Content-Length: 00",
            "Content-Length: 01048576",
            "Content-Length: +1048576",
            "Content-Length: -1",
            "Content-Length: 1048576, 1048576",
            "Content-Length: 0x100000",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length: 1048576\nContent-Length: 1048576",
            "Content-Length: 1048576\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: identity\nContent-Length: 1048576",
            "Upgrade: websocket",
            "Upgrade: h2c\nContent-Length: 1048576",
            "Host: u\nContent-Length: 1048576",
            "Content-Length : 1048576",
            " folded\nContent-Length: 1048576",
        ] {
            check(&format!("{put}\n{field}"), None);
        }
        check(
            "PUT /uploads/by-video/x HTTP/1.0\nHost: t\nContent-Length: 1048576",
            None,
        );
        check("PUT /uploads/by-video/x HTTP/1.1\nContent-Length: 1048576", None);
        check("CONNECT t:80 HTTP/1.1\nHost: t", None);
    }

    #[test]
    fn a_head_without_end_is_left_to_the_framework() {
        let mut head = b"GET / HTTP/1.1\r\nHost: t\r\nX: ".to_vec();
        head.resize(MAX_HEAD - 1, b'x');
        assert_eq!(classify(&head), Verdict::Partial);
        head.push(b'x');
        assert_eq!(classify(&head), Verdict::Raw);
    }
}
