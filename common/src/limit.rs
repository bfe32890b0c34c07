//! How often somebody may do something: token buckets for all clients in bounded memory, and what a refusal tells. Refused
//! with 429 before it costs anything.

pub mod bucket;
pub mod headers;
pub mod rate;
