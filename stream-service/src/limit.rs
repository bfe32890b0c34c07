//! Who may ask how often and how much at once.
//!
//! Three limits, each answered with 429 before it costs: requests per second and client ([`rate`]), concurrent streams per
//! client and for the service, concurrent uploads per user (both [`conn`]). All of them live in bounded memory whatever
//! address space a flood comes from, and all can be set anew while the service runs.

pub mod client;
pub mod conn;

pub use common::limit::{bucket, headers, rate};
