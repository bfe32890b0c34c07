//! The handlers: each takes typed input, asks one question or makes one change, and turns the answer into a response.

pub mod comments;
pub mod danmaku;
pub mod internal;
pub mod me;
pub mod rooms;
pub mod sessions;
pub mod trash;
pub mod users;
pub mod videos;
