//! Bytes that go from one socket into another inside the kernel: connections that are kept between requests, pipes, and the flow
//! through one. Who asks, and what becomes of a source that fails, is the business of those who use it: web-proxy
//! before a service, stream-service before a store.

mod flow;
mod framing;
mod patience;
mod pipe;
mod shelf;

pub use flow::{Flow, STREAMING};
pub use framing::Framing;
pub use patience::Patience;
pub use pipe::Pipe;
pub use shelf::{Line, Shelf};

#[cfg(test)]
mod tests;
