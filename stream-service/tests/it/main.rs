//! One binary for all integration tests of stream-service: real HTTP through a spawned service, on both databases.
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

mod app;
mod audit;
mod bad_input;
mod bucket;
mod clip;
mod crash;
mod cut;
mod egress;
mod internal;
mod interrupted;
mod limits;
mod media;
mod probe;
mod progress;
mod purge;
mod ranges;
mod reconcile;
mod s3;
mod scrub;
mod store;
mod tus;
mod upload;
mod wire;
