//! The routes' handlers: typed input, one question or change, the answer.

pub mod internal;
pub mod limits;
pub mod media;
mod refusals;
pub mod tus;
pub mod uploads;
