//! Integration tests of common.
#![allow(clippy::unwrap_used)]

mod bus;
mod capture;
mod config;
mod db;
mod internal;
mod outbox;
mod serve;
