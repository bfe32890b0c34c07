//! Which heads the fast path takes: those with one reading, whole in one read, with nothing behind them.

use std::mem::MaybeUninit;
use std::net::SocketAddr;

use actix_web::http::{Method, Version};

use crate::net;
use crate::plain::{Fields, PlainRequest};

/// Fields of a head; a player has some fifteen, and a proxy adds five.
pub const MAX_FIELDS: usize = 32;

static GET: Method = Method::GET;
static HEAD: Method = Method::HEAD;

/// The request that `bytes` are; `None` for all that the framework is to decide about: other methods, bodies, other protocols, more
/// bytes than one head, and everything that is malformed or could be read in two ways.
pub fn parse<'a>(
    bytes: &'a [u8],
    room: &'a mut [MaybeUninit<httparse::Header<'a>>; MAX_FIELDS],
    peer: Option<SocketAddr>,
) -> Option<PlainRequest<'a>> {
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, room);
    if parsed != Ok(httparse::Status::Complete(bytes.len())) || request.version != Some(1) {
        return None;
    }
    let method = match request.method? {
        "GET" => &GET,
        "HEAD" => &HEAD,
        _ => return None,
    };
    let target = request.path?;
    let (path, query) = match memchr::memchr(b'?', target.as_bytes()) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    // Not `all`: without an early end the compiler looks at many at a time.
    let plain = path.starts_with('/') && target.bytes().fold(true, |plain, byte| plain & is_plain(byte));
    let lines: &'a [httparse::Header<'a>] = request.headers;
    (plain && are_plain(lines)).then_some(PlainRequest {
        method,
        path,
        query,
        fields: Fields::Lines(lines),
        peer,
        version: Version::HTTP_11,
    })
}

/// Bytes of a target that every reader takes for themselves.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-'..=b'/' | b'_' | b'~' | b'?' | b'=' | b'&')
}

/// One good Host, and nothing about bodies, other protocols or the end of the connection.
fn are_plain(lines: &[httparse::Header<'_>]) -> bool {
    let mut hosts = 0;
    for line in lines {
        let is = |name: &str| line.name.eq_ignore_ascii_case(name);
        match line.name.len() {
            4 if is("host") => {
                hosts += 1;
                if !std::str::from_utf8(line.value).is_ok_and(net::is_host) {
                    return false;
                }
            }
            6 if is("expect") => return false,
            7 if is("upgrade") => return false,
            10 if is("connection") && !line.value.eq_ignore_ascii_case(b"keep-alive") => return false,
            14 if is("content-length") => return false,
            17 if is("transfer-encoding") => return false,
            _ => {}
        }
    }
    hosts == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Option<(&Method, &str, Option<&str>)>) {
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let parsed = parse(head.as_bytes(), &mut room, None);
        let found = parsed.map(|request| (request.method, request.path, request.query));
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn what_is_plain() {
        let path = "/media/k1.e_J-x/0123456789ab/file";
        let head = |more: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example:80\r\n{more}\r\n");
        check(&head(""), Some((&Method::GET, path, None)));
        check(&head("Connection: Keep-Alive\r\n"), Some((&Method::GET, path, None)));
        check(
            &head("Range: bytes=0-1\r\nX-Forwarded-For: 1.2.3.4\r\n"),
            Some((&Method::GET, path, None)),
        );
        check(
            "HEAD /?a=b&c=d HTTP/1.1\r\nhost: [::1]\r\n\r\n",
            Some((&Method::HEAD, "/", Some("a=b&c=d"))),
        );
    }

    #[test]
    fn what_is_the_frameworks() {
        for request in [
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nG",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
            "get / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%61 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
            "\r\n",
            "",
        ] {
            check(request, None);
        }
        let many = "a: b\r\n".repeat(MAX_FIELDS);
        check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), None);
    }
}
