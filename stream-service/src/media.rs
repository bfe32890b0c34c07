//! Sending stored bytes: from a checked request to a response whose body reads the file piece by piece.

pub mod body;
pub mod file;
pub mod job;
pub mod pace;
pub mod playable;
pub mod registry;
pub mod reply;
