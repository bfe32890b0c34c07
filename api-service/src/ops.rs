//! What is read and changed in the tables: functions on the connection of an open transaction (or of a read), each one
//! question or one change with everything that belongs to it.

pub mod accounts;
pub mod comments;
pub mod danmaku;
pub mod leaving;
mod limited;
pub mod lists;
pub mod media;
pub mod messages;
pub mod purge;
pub mod rooms;
pub mod sessions;
pub mod trash;
pub mod videos;
