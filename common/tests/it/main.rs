//! Integration tests of common.
#![allow(clippy::unwrap_used)]

mod config;
mod db;
mod outbox;
mod serve;
