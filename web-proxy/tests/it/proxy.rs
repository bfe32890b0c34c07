//! The reverse proxy between raw sockets.

mod failures;
mod framing;
mod headers;
mod malformed;
mod paths;
mod streaming;
