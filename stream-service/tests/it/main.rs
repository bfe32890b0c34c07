//! One binary for all integration tests of stream-service: real HTTP through a spawned service, on both databases.
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

mod app;
mod bad_input;
mod clip;
mod crash;
mod internal;
mod media;
mod probe;
mod ranges;
mod upload;
