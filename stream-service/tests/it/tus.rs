//! Resumable uploads, in tus 1.0.0 and in the IETF's draft: the table of vectors, and what only real sockets show.

mod breaks;
pub mod client;
mod clients;
mod draft;
mod ends;
mod interim;
mod parts;
mod pieces;
mod synced;
mod table;
mod takeover;
mod vectors;
