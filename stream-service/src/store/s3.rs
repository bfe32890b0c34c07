//! Objects in an S3 store.

pub mod client;
