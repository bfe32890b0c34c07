//! The real-time gateway through the real binary: what a person at a page sees of it.

mod access;
mod beside;
mod events;
mod examples;
mod functions;
mod golden;
mod kills;
mod page;
mod people;
mod restarts;
mod resume;
mod rooms;
mod schema;
mod socket;
mod wire;
