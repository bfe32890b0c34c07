//! The route tables: one line for each address.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::middleware::DefaultHeaders;
use actix_web::web;
use common::http::{Methods, resource, typed_input};

use crate::handlers::{comments, danmaku, internal, me, rooms, sessions, trash, users, videos};
use crate::openapi;
use crate::state::State;

/// What all public addresses begin with.
pub const BASE: &str = "/api/v1";

/// An address, and what adds its methods.
type Line = (&'static str, fn(Methods) -> Methods);

/// Public addresses, below [`BASE`].
#[rustfmt::skip]
pub fn public() -> Vec<(&'static str, Methods)> {
    let table: Vec<Line> = vec![
        ("/users",                  |r| r.post(users::register)),
        ("/users/me",               |r| r.get(me::show).patch(me::change).delete(me::delete)),
        ("/users/me/password",      |r| r.post(me::change_password)),
        ("/users/me/videos",        |r| r.get(me::my_videos)),
        ("/users/{username}",       |r| r.get(users::profile)),
        ("/sessions",               |r| r.post(sessions::sign_in).get(sessions::list)),
        ("/sessions/{id}",          |r| r.delete(sessions::end)),
        ("/tokens/parse",           |r| r.post(sessions::parse_token)),
        ("/videos",                 |r| r.post(videos::create).get(videos::list)),
        ("/videos/{id}",            |r| r.get(videos::show).patch(videos::change).delete(trash::delete)),
        ("/videos/{id}/upload",     |r| r.post(videos::renew_upload)),
        ("/videos/{id}/restore",    |r| r.post(trash::restore)),
        ("/videos/{id}/deletion",   |r| r.get(trash::deletion)),
        ("/videos/{id}/playback",   |r| r.get(videos::playback)),
        ("/videos/{id}/comments",   |r| r.get(comments::list).post(comments::create)),
        ("/comments/{id}",          |r| r.delete(comments::remove)),
        ("/videos/{id}/danmaku",    |r| r.get(danmaku::list).post(danmaku::create)),
        ("/danmaku/{id}",           |r| r.delete(danmaku::remove)),
        ("/videos/{id}/events",     |r| r.get(rooms::events)),
        ("/openapi.json",           |r| r.get(openapi::show)),
    ];
    table.into_iter().map(|(path, methods)| (path, methods(resource(path)))).collect()
}

/// Mounts the public addresses.
pub fn mount_public(config: &mut web::ServiceConfig, state: &web::Data<State>) {
    let mut scope = web::scope(BASE).app_data(state.clone()).configure(typed_input);
    for (_, methods) in public() {
        scope = scope.service(methods.done());
    }
    // Answers differ by who asks, and some hold tokens: nobody on the way keeps them.
    config.service(scope.wrap(DefaultHeaders::new().add((CACHE_CONTROL, "no-store"))));
}

/// Mounts the addresses of the other services, each by itself: all services share one internal listener.
#[rustfmt::skip]
pub fn mount_internal(config: &mut web::ServiceConfig, state: &web::Data<State>) {
    for methods in [
        resource("/internal/tokens/parse").post(internal::parse_token),
        resource("/internal/sessions/check").post(internal::check_sessions),
        resource("/internal/sessions/expire").post(internal::expire_sessions),
        resource("/internal/videos").get(internal::videos),
        resource("/internal/videos/expire").post(internal::expire_videos),
        resource("/internal/videos/{id}/events").get(rooms::log),
        resource("/internal/rooms/heads").post(rooms::heads),
        resource("/internal/videos/{id}/media-ready").post(internal::media_ready),
        resource("/internal/videos/{id}/media-failed").post(internal::media_failed),
        resource("/internal/videos/{id}/purge/begin").post(internal::purge_begin),
        resource("/internal/videos/{id}/purge/done").post(internal::purge_done),
        resource("/internal/purges/begin").post(internal::purges_begin),
        resource("/internal/purges/done").post(internal::purges_done),
    ] {
        config.service(methods.done().app_data(state.clone()));
    }
}
