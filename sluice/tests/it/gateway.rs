//! The real-time gateway through the real binary: what a person at a page sees of it.

mod access;
mod beside;
mod events;
mod examples;
mod functions;
mod golden;
pub mod kills;
mod page;
mod people;
mod restarts;
mod resume;
mod rooms;
mod schema;
pub mod socket;
mod wire;
