//! The reverse proxy between raw sockets.

mod copies;
mod deadlines;
mod failures;
mod framing;
mod headers;
mod leaving;
mod malformed;
mod paths;
mod relay;
mod streaming;
mod uploads;
