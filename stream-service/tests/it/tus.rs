//! tus 1.0.0: the table of vectors, and what only real sockets show.

mod breaks;
pub mod client;
mod node;
mod table;
mod uploads;
mod vectors;
