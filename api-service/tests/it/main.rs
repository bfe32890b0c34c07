//! Integration tests of api-service: the real service over HTTP, each test on SQLite and on PostgreSQL. The modules mirror
//! the routes; `promises` holds those of promises.md.

mod app;
mod comments;
mod internal;
mod lists;
mod logs;
mod me;
mod neighbours;
mod operators;
mod playback;
mod promises;
mod refusals;
mod sessions;
mod sign_in;
mod trash;
mod users;
mod videos;
