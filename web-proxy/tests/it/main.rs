//! Integration tests of the edge: real sockets on both sides of it.
#![allow(clippy::unwrap_used)]

mod edge;
mod envelope_corpus;
mod envelopes;
mod frames;
mod functions;
mod gateway;
mod openapi;
mod pages;
mod proxy;
mod upstream;
