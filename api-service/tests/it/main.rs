//! Integration tests of api-service: the real service over HTTP, each test on SQLite and on PostgreSQL. The modules mirror
//! the routes; `promises` and `outbox` hold those of promises.md.

// clippy.toml allows it in tests, but not in what they share.
#![allow(clippy::unwrap_used)]

mod app;
mod comments;
mod crowd;
mod danmaku;
mod internal;
mod leaving;
mod lists;
mod logs;
mod me;
mod neighbours;
mod news;
mod operators;
mod outbox;
mod person;
mod playback;
mod promises;
mod refusals;
mod rooms;
mod rooms_bounds;
mod sessions;
mod sign_in;
mod trash;
mod upgrade;
mod users;
mod videos;
