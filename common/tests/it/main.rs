//! Integration tests of common.
#![allow(clippy::unwrap_used)]

mod capture;
mod config;
mod db;
mod internal;
mod outbox;
mod serve;
