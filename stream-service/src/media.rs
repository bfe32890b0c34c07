//! Sending stored bytes: from a checked request to a response whose body reads what is stored piece by piece.

pub mod body;
pub mod file;
pub mod job;
pub mod open;
pub mod pace;
pub mod playable;
pub mod registry;
pub mod relayed;
pub mod remote;
pub mod reply;
