//! Small things every service's routes need: resources that answer 405 with `Allow`, typed input whose failures are
//! problem documents, the token of a request, and the check against cross-site forgery.

mod body;

use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::{self, PathConfig, PayloadConfig, QueryConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::error::{ApiError, Code};

pub use body::Body;

/// Largest JSON body, in bytes: a description of 5,000 characters fits eight times.
pub const MAX_JSON: usize = 64 * 1024;

/// Entries of a list when the client names no number, and the most it may name.
pub const DEFAULT_LIMIT: u32 = 20;
pub const MAX_LIMIT: u32 = 100;

/// Cookie of a session; behind TLS it carries the `__Host-` prefix, which binds it to this host (RFC 6265bis 4.1.3.2).
pub const SESSION_COOKIE: &str = "sluice_session";
pub const HOST_SESSION_COOKIE: &str = "__Host-sluice_session";

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` to read on; null at the end.
    pub next: Option<String>,
}

/// One address and its methods: what is not among them is answered 405 with `Allow` (RFC 9110 section 15.5.6).
pub struct Methods {
    resource: Resource,
    allow: Vec<Method>,
}

/// Begins the routes of `path`: `resource("/videos").on(Method::GET, list).on(Method::POST, create).done()`.
#[must_use]
pub fn resource(path: &str) -> Methods {
    Methods {
        resource: web::resource(path),
        allow: Vec::new(),
    }
}

impl Methods {
    #[must_use]
    pub fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.allow.push(method);
        self
    }

    /// GET, and HEAD with it (RFC 9110 section 9.1): the server sends the head of the same answer.
    #[must_use]
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler.clone()).on(Method::HEAD, handler)
    }

    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
    }

    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    #[must_use]
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    /// The methods so far; for tests that compare routes with their documentation. HEAD goes with GET and is not named.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        self.allow
            .iter()
            .filter(|method| *method != Method::HEAD)
            .cloned()
            .collect()
    }

    /// The finished resource, to be given to `ServiceConfig::service`.
    #[must_use]
    pub fn done(self) -> Resource {
        let allow = self.allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let allow = HeaderValue::from_str(&allow).expect("method names are a header value");
        self.resource.default_service(web::to(move || {
            let refused = ApiError::new(Code::MethodNotAllowed, "The header `Allow` names the methods that are.");
            std::future::ready(Err::<&'static str, _>(refused.header(header::ALLOW, allow.clone())))
        }))
    }
}

/// A service's own OpenAPI document at `path`; the edge in scaled mode reads and merges them.
#[must_use]
pub fn openapi_document(path: &str, document: &utoipa::openapi::OpenApi) -> Resource {
    let text = web::Bytes::from(serde_json::to_vec(document).expect("an OpenAPI document is plain data"));
    let show = move || {
        let answer = HttpResponse::Ok().content_type("application/json").body(text.clone());
        std::future::ready(answer)
    };
    resource(path).get(show).done()
}

/// Extractor settings for a scope: bounds, and failures in the form of all others.
pub fn typed_input(config: &mut web::ServiceConfig) {
    config
        .app_data(QueryConfig::default().error_handler(|error, _| {
            ApiError::new(Code::BadRequest, format!("The query can't be read: {error}.")).into()
        }))
        // An id that can't be one is a thing that is not there.
        .app_data(
            PathConfig::default()
                .error_handler(|_, _| ApiError::new(Code::NotFound, "There is nothing at this address.").into()),
        )
        .app_data(PayloadConfig::new(MAX_JSON));
}

/// The problem that a body which stopped arriving causes.
#[must_use]
pub fn payload_error(error: &PayloadError) -> ApiError {
    match error {
        PayloadError::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => {
            ApiError::new(Code::RequestTimeout, "The body stopped arriving.")
        }
        PayloadError::Overflow => {
            ApiError::new(Code::BodyTooLarge, "The body is larger than allowed.").with("maxBytes", MAX_JSON)
        }
        other => ApiError::new(Code::BadRequest, format!("The body ended early: {other}.")),
    }
}

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
