//! Who may ask how often and how much at once.
//!
//! Four limits, each answered with 429 before it costs: requests per second and client ([`rate`]), concurrent streams per
//! client and for the service, concurrent uploads per user and for the service (both [`conn`]), bytes per day and client
//! ([`egress`]). All of them live in bounded memory whatever address space a flood comes from, all can be set anew while the
//! service runs ([`settings`]), and whom they refused is kept for operators ([`refusals`]).

pub mod client;
pub mod conn;
pub mod egress;
pub mod meter;
pub mod refusals;
pub mod rows;
pub mod settings;
pub mod sync;
pub mod told;
pub mod view;

pub use common::limit::{bucket, headers, rate};
