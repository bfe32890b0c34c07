//! The Host of a request, checked before anything believes it (RFC 9110 section 7.2, RFC 9112 section 3.2).

use actix_web::dev::RequestHead;
use actix_web::http::{Version, header};

use crate::error::{ApiError, Code};

/// Longest name of a host (RFC 1035 section 2.3.4) with a port.
const MAX_HOST: usize = 255 + 6;

/// The one Host of a request; `None` only for HTTP/1.0, which knows requests without. A target in absolute form must
/// name the same host, so that nobody behind us can choose between two.
pub fn host(request: &RequestHead) -> Result<Option<&str>, ApiError> {
    let mut fields = request.headers.get_all(header::HOST);
    let host = match (fields.next(), fields.next()) {
        (Some(host), None) => host.to_str().map_err(|_| refused("is not text"))?,
        (None, _) if request.version < Version::HTTP_11 => return Ok(None),
        (None, _) => return Err(refused("is missing")),
        (Some(_), Some(_)) => return Err(refused("stands there twice")),
    };
    if !is_host(host) {
        return Err(refused("is not a host name with an optional port"));
    }
    if let Some(authority) = request.uri.authority()
        && !authority.as_str().eq_ignore_ascii_case(host)
    {
        return Err(refused("differs from the host of the address"));
    }
    Ok(Some(host))
}

fn refused(what: &str) -> ApiError {
    ApiError::new(Code::BadRequest, format!("The header `Host` {what}."))
}

/// `host [":" port]` of RFC 3986 section 3.2, without what no host name has (percent-encoding, sub-delimiters): a comma
/// or a semicolon would read as a list where the host is passed on.
pub fn is_host(host: &str) -> bool {
    if host.len() > MAX_HOST {
        return false;
    }
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if after.is_empty() => (address, None),
                None => return false,
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let in_brackets = host.starts_with('[');
    let name_is_fine = in_brackets
        || (!name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~')));
    let port_is_fine = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
    });
    name_is_fine && port_is_fine
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn hosts() {
        for host in [
            "video.example",
            "video.example:8080",
            "localhost",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "xn--r8jz45g.example",
            "a_b.example",
            "video.example.",
            "video.example:",
        ] {
            assert!(is_host(host), "{host}");
        }
        let long = "x".repeat(300);
        for host in [
            "",
            ":80",
            "a b",
            "a/b",
            "a\\b",
            "user@host",
            "host:port",
            "host:99999",
            "host:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[zz]",
            "[]",
            "a,b",
            "a;b",
            "a%00b",
            "a%2e",
            "héllo",
            "a?b",
            "a#b",
            "<a>",
            "a\"",
            "host:-1",
            "host:+80",
            &long,
        ] {
            assert!(!is_host(host), "{host}");
        }
    }
}
