//! The session token of a request, where it may stand, and the check against cross-site forgery.

use actix_web::HttpRequest;
use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderMap};
use subtle::ConstantTimeEq;

use crate::error::{ApiError, Code};

/// Cookie of a session; behind TLS it carries the `__Host-` prefix, which binds it to this host (RFC 6265bis 4.1.3.2).
pub const SESSION_COOKIE: &str = "sluice_session";
pub const HOST_SESSION_COOKIE: &str = "__Host-sluice_session";

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1).
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A session token and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionToken {
    Bearer(String),
    Cookie(String),
}

impl SessionToken {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            SessionToken::Bearer(token) | SessionToken::Cookie(token) => token,
        }
    }
}

/// Which name the session cookie has. Only the one that is issued is accepted: behind TLS the plain name can be set by
/// other hosts of the domain and by whoever is on the way, to put somebody into a session that is not theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieName {
    Plain,
    /// With the `__Host-` prefix.
    Host,
}

impl CookieName {
    /// As `server.public_url` says how people reach us.
    #[must_use]
    pub fn of(public_url: &str) -> Self {
        if public_url.starts_with("https://") {
            CookieName::Host
        } else {
            CookieName::Plain
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CookieName::Plain => SESSION_COOKIE,
            CookieName::Host => HOST_SESSION_COOKIE,
        }
    }
}

/// The session token of `request`. A cookie is sent by the browser whoever made the page, so a request that changes
/// something by cookie must come from our own page: 403 otherwise.
pub fn session_token(request: &HttpRequest, name: CookieName) -> Result<Option<SessionToken>, ApiError> {
    if let Some(token) = bearer(request.headers()) {
        return Ok(Some(SessionToken::Bearer(token.to_owned())));
    }
    let Some(cookie) = request.cookie(name.as_str()) else {
        return Ok(None);
    };
    if !request.method().is_safe() {
        refuse_cross_site(request.headers())?;
    }
    Ok(Some(SessionToken::Cookie(cookie.value().to_owned())))
}

/// 403 when a browser says that another site made this request (Fetch Metadata, else Origin against Host).
pub fn refuse_cross_site(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("invalid"));
    let ours = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let authority = origin
                .parse::<Uri>()
                .ok()
                .and_then(|uri| uri.authority().map(ToString::to_string));
            authority.is_some() && authority.as_deref() == text("host")
        }
        // No browser sends neither on a request that changes something.
        (None, None) => true,
    };
    if ours {
        Ok(())
    } else {
        Err(ApiError::new(Code::Forbidden, "This request was made by another site."))
    }
}

/// Compares in a time that tells nothing about where two secrets differ.
#[must_use]
pub fn same_secret(a: &str, b: &str) -> bool {
    !b.is_empty() && bool::from(a.as_bytes().ct_eq(b.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn cookies_of_other_sites_change_nothing() {
        let check = |headers: &[(&'static str, &str)], allowed: bool| {
            let mut request = TestRequest::post()
                .insert_header(("host", "video.example"))
                .insert_header(("cookie", "sluice_session=t"));
            for header in headers {
                request = request.insert_header(*header);
            }
            assert_eq!(
                session_token(&request.to_http_request(), CookieName::Plain).is_ok(),
                allowed,
                "{headers:?}"
            );
        };
        check(&[], true);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "none")], true);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("origin", "http://video.example")], true);
        check(&[("origin", "http://evil.example")], false);
        check(&[("origin", "null")], false);
        // A bearer token is put there by a program on purpose.
        check(&[("sec-fetch-site", "cross-site"), ("authorization", "Bearer x")], true);
    }

    #[test]
    fn reading_by_cookie_needs_no_origin_check() {
        let request = TestRequest::get()
            .insert_header(("cookie", "sluice_session=t"))
            .insert_header(("sec-fetch-site", "cross-site"));
        assert_eq!(
            session_token(&request.to_http_request(), CookieName::Plain).unwrap(),
            Some(SessionToken::Cookie("t".into()))
        );
    }

    #[test]
    fn only_the_cookie_that_is_issued_is_accepted() {
        let check = |public_url: &str, cookies: &str, token: Option<&str>| {
            let request = TestRequest::get().insert_header(("cookie", cookies.to_owned()));
            let found = session_token(&request.to_http_request(), CookieName::of(public_url)).unwrap();
            let token = token.map(|text| SessionToken::Cookie(text.to_owned()));
            assert_eq!(found, token, "{public_url} {cookies}");
        };
        let both = "sluice_session=plain; __Host-sluice_session=host";
        check("https://video.example", both, Some("host"));
        check("https://video.example", "sluice_session=plain", None);
        for plain in ["", "http://localhost:8080"] {
            check(plain, both, Some("plain"));
            check(plain, "__Host-sluice_session=host", None);
        }
    }

    #[test]
    fn secrets_compare() {
        assert!(same_secret("abc", "abc"));
        assert!(!same_secret("abc", "abd"));
        assert!(!same_secret("", ""), "an unset secret opens nothing");
    }
}
