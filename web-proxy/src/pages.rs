//! The page: files compiled into the executable. Unknown addresses that a browser navigates to get index.html, because
//! the page routes them itself; addresses of services never do, so that a program learns of its mistake by a 404.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use common::error::{ApiError, Code};
use rust_embed::RustEmbed;

use crate::answer::Content;
use crate::path;

/// First segments that belong to services and to the page's own files.
const NOT_PAGES: [&str; 10] = [
    "api",
    "uploads",
    "media",
    "internal",
    "ws",
    "assets",
    "healthz",
    "readyz",
    "metrics",
    "openapi.json",
];

/// A file whose name carries a hash of its content never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Asked for again each time, answered 304 mostly.
const ASK_AGAIN: &str = "no-cache";

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/ui/dist"]
#[allow_missing = true]
struct Dist;

/// The files of the page by their path, without the leading slash.
#[derive(Default)]
pub struct Pages(BTreeMap<String, Content>);

impl Pages {
    /// What `make ui` had built when this executable was compiled; empty when it had not.
    #[must_use]
    pub fn embedded() -> Self {
        let files = Dist::iter().filter_map(|name| {
            let bytes = match Dist::get(&name)?.data {
                std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
            };
            Some((name.into_owned(), bytes))
        });
        Pages::of(files)
    }

    /// A page of `files`: path and bytes.
    pub fn of(files: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        let content = |(name, bytes): (String, Bytes)| {
            let cache = if name.starts_with("assets/") {
                FOR_EVER
            } else {
                ASK_AGAIN
            };
            let content = Content::new(bytes, mime(&name), cache);
            (name, content)
        };
        Pages(files.into_iter().map(content).collect())
    }

    /// Answers what no service took.
    pub fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
        let segments = path::segments(request.uri().path())?;
        let first = segments.first().map(AsRef::as_ref).unwrap_or_default();
        let nothing_here = || ApiError::new(Code::NotFound, "There is nothing at this address.");
        let name = segments.join(&b'/');
        let file = std::str::from_utf8(&name).ok().and_then(|name| self.0.get(name));
        if file.is_none() && NOT_PAGES.iter().any(|reserved| reserved.as_bytes() == first) {
            return Err(nothing_here());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let refused = ApiError::new(Code::MethodNotAllowed, "Pages are read with GET or HEAD.");
            return Err(refused.header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        }
        if let Some(file) = file {
            return Ok(file.answer(request));
        }
        // A cache that keeps one of the two answers must not give it for the other.
        let vary = HeaderValue::from_static("accept");
        if !name.is_empty() && !wants_html(request.headers()) {
            return Err(nothing_here().header(header::VARY, vary));
        }
        match self.0.get("index.html") {
            Some(index) => {
                let mut answer = index.answer(request);
                answer.headers_mut().insert(header::VARY, vary);
                Ok(answer)
            }
            None => Err(ApiError::new(
                Code::UpstreamUnavailable,
                "This executable was built without the page: run `make ui`, then build it again. The API works.",
            )),
        }
    }
}

/// The media type of a file by its name; text is UTF-8.
fn mime(name: &str) -> &'static str {
    let guessed = mime_guess::from_path(name)
        .first_raw()
        .unwrap_or("application/octet-stream");
    match guessed {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "text/javascript" | "application/javascript" => "text/javascript; charset=utf-8",
        other => other,
    }
}

/// Whether `Accept` names HTML: browsers do when they navigate, programs and `fetch` don't.
fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = matches!(parts.next(), Some("text/html" | "application/xhtml+xml"));
            html && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
}
