//! Integration tests of the edge: real sockets on both sides of it.
#![allow(clippy::unwrap_used)]

mod edge;
mod openapi;
mod pages;
mod proxy;
mod upstream;
