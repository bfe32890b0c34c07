//! Integration tests of scheduler-service, each on SQLite and on PostgreSQL, with api-service and stream-service played by a
//! real HTTP server that keeps their promises (and breaks them where a test says so).
#![allow(clippy::unwrap_used)]

mod app;
mod arm;
mod clock;
mod leases;
mod machines;
mod million;
mod operators;
mod promise_16;
mod purge;
mod reconcile;
mod sweeps;
mod worker;
mod world;
