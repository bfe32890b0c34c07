//! tus 1.0.0: the table of vectors, and what only real sockets show.

mod breaks;
pub mod client;
mod ends;
mod node;
mod parts;
mod pieces;
mod table;
mod takeover;
mod vectors;
