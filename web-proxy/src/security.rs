//! The headers of every answer that doesn't say its own: what the page may load, who may frame it, and what browsers
//! must not guess.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use common::config::Config;

/// Everything comes from this site. Video plays from `/media` and, once segments are assembled in the page, from blobs;
/// a poster may be a data URL. Nothing may be framed, nothing may run that is not a file of ours.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     media-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
     form-action 'self'";

/// What a video page never needs. Full screen and picture in picture stay allowed.
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
     magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// Two years, as the preload list asks for. Without `includeSubDomains`: the neighbours' names are not ours.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=63072000";

/// To be given to `common::service::run` as default headers.
#[must_use]
pub fn security_headers(config: &Config) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, &'static str)> = vec![
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Media addresses carry a grant in their path: no other site may see one.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::PERMISSIONS_POLICY, PERMISSIONS_POLICY),
        (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ];
    // Over plain HTTP browsers ignore it, and a machine that is tried out locally must not be locked to HTTPS.
    if config.server.public_url.starts_with("https://") {
        headers.push((header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY));
    }
    headers
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect()
}
