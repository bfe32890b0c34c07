//! Answers whose bytes are in memory: the page's files and the OpenAPI document, with entity tags.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

/// Bytes with what a client must know of them.
#[derive(Debug, Clone)]
pub struct Content {
    pub bytes: Bytes,
    pub mime: HeaderValue,
    pub etag: HeaderValue,
    pub cache: &'static str,
}

impl Content {
    /// The entity tag is strong: it is made from a hash of the bytes (RFC 9110 section 8.8.3).
    pub fn new(bytes: Bytes, mime: &str, cache: &'static str) -> Self {
        let hash = Sha256::digest(&bytes);
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Content {
            bytes,
            mime: HeaderValue::from_str(mime).unwrap_or(HeaderValue::from_static("application/octet-stream")),
            etag: HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal digits are a header value"),
            cache,
        }
    }

    /// 200, or 304 when the client has these bytes. The framework leaves the body out for HEAD.
    pub fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let fresh = has(request.headers(), &self.etag);
        let mut response = if fresh {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        response
            .insert_header((header::ETAG, self.etag.clone()))
            .insert_header((header::CACHE_CONTROL, self.cache));
        if fresh {
            return response.finish();
        }
        response
            .insert_header((header::CONTENT_TYPE, self.mime.clone()))
            .body(self.bytes.clone())
    }
}

/// Whether `If-None-Match` names `etag`, compared weakly (RFC 9110 section 13.1.2). Our tags hold no comma.
fn has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}
