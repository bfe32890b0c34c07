//! Bodies of uploads that pass the framework by.
//!
//! actix-http reads a body in pieces of a few KiB through two buffers and a channel. Here a layer directly on the socket collects
//! each request head itself and hands actix-http exactly that head. Of an upload it overwrites the digits of `Content-Length`
//! with zeros before, so that actix-http sees a request without a body, and holds reading back: the bytes stay in the
//! socket until the handler takes them from there ([`Captured`]), into its own buffer or, by [`Captured::move_to_file`] and
//! [`Captured::poll_fill`], without one.
//!
//! ```text
//! Head ─┬─ no body ────────────▶ Head
//!       ├─ Content-Length ─────▶ Body(n) ────── n bytes passed on ──▶ Head
//!       ├─ of an upload ───────▶ Captured(n) ── n bytes taken ──────▶ Head
//!       │                            └── dropped before ──▶ Abandoned (the answer closes the connection)
//!       └─ anything else ──────▶ Raw (for good: the framework sees the bytes unchanged, and refuses by its own rules)
//! ```
//!
//! What keeps requests apart: a head is captured only if this module and actix-http cannot disagree about where it and its
//! body end ([`classify`]: one Content-Length without leading zeros, no Transfer-Encoding, no Upgrade, HTTP/1.1; tested
//! against the decoder of actix-http with random heads). And the body goes only to the request whose own Content-Length
//! is [`MARK`] zeros or more, which no client can send past the classifier on a connection that captures: an earlier
//! pipelined request never gets a later one's body.
//!
//! Handlers need not know: the head they see says the true length, and the body is an ordinary payload unless they ask for the
//! [`Captured`] in it ([`take`]). A connection whose captured body was not read to its end is closed by its answer,
//! after the client had some seconds to read it.

mod body;
mod classify;
mod splice;
mod stream;
mod write;

use actix_web::http::Method;

pub use body::{Captured, take};
pub(crate) use body::{Claim, claim};
pub use classify::{Head, Verdict, classify};
pub use splice::WriteBack;
pub use stream::{Capture, CaptureStream, Left};

/// Bodies below this take the ordinary way: they cost little there, and most are not worth the second look.
pub const LEAST: u64 = 1 << 20;

/// Zeros at least in the Content-Length of a captured request: the digits of [`LEAST`].
const MARK: usize = 7;

/// Whether a request brings the bytes of an upload. Other spellings of these addresses take the ordinary way.
fn is_upload(method: &str, target: &str) -> bool {
    match method {
        "PUT" => target.starts_with("/uploads/by-video/"),
        "PATCH" => target.starts_with("/uploads/"),
        _ => false,
    }
}

/// Whether this is the head of a request whose body was captured and not yet claimed.
fn is_marked(method: &Method, length: &[u8]) -> bool {
    matches!(*method, Method::PUT | Method::PATCH) && length.len() >= MARK && length.iter().all(|digit| *digit == b'0')
}
