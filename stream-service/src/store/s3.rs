//! Objects of videos in an S3 store.

mod check;
pub mod client;
mod incoming;
mod names;
mod object;
mod pieces;
mod place;

pub use incoming::{Incoming, WINDOW};
pub use object::Object;
pub use place::S3Store;
