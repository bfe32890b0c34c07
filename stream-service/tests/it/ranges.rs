//! Ranges and preconditions of `/media/{grant}/{videoId}/file` on real sockets: one table (`common::testing::ranges`) by each
//! of the ways that bytes can take, and nginx beside them.

mod nginx;

use crate::{
    app::{App, on_one_app_with},
    clip::clip,
};
use common::testing::ranges::{SIZE, Subject, Who, conforms};
use nginx::Nginx;

/// The brief of the table: fewer would not be all of RFC 9110 section 14.
const LEAST: usize = 120;

/// Plays the whole table on a video of this service.
pub async fn conforms_at(app: &App, spell: impl Fn(String) -> String) {
    let (video, bytes) = app.stored(SIZE).await;
    let subject = Subject {
        who: Who::Sluice,
        base: &app.running.public,
        path: &spell(app.file_path(&video)),
        bytes: &bytes,
        mime: "video/mp4",
    };
    assert!(conforms(&subject).await >= LEAST);
    app.nothing_is_held().await;
}

/// The same address in a spelling that the handler in front of the App leaves to it.
pub fn spelled_for_the_app(path: String) -> String {
    path.replacen("/media/", "/%6dedia/", 1)
}

#[test]
fn ranges_on_the_fast_path() {
    on_one_app_with(|_| {}, |app| async move { conforms_at(&app, |path| path).await });
}

#[test]
fn ranges_in_front_of_the_app() {
    on_one_app_with(
        |config| config.server.fast_path = false,
        |app| async move { conforms_at(&app, |path| path).await },
    );
}

#[test]
fn ranges_through_the_app() {
    on_one_app_with(
        |_| {},
        |app| async move { conforms_at(&app, spelled_for_the_app).await },
    );
}

#[test]
fn ranges_through_the_framework() {
    on_one_app_with(
        |config| config.server.zero_copy = false,
        |app| async move { conforms_at(&app, |path| path).await },
    );
}

#[actix_web::test]
async fn ranges_of_nginx_differ_only_where_the_table_says_so() {
    let bytes = clip(SIZE, 7);
    let Some(nginx) = Nginx::serving(&bytes).await else {
        eprintln!("nginx is not installed: the table is not compared with it");
        return;
    };
    let subject = Subject {
        who: Who::Nginx,
        base: &nginx.base,
        path: "/file.mp4",
        bytes: &bytes,
        mime: "video/mp4",
    };
    assert!(conforms(&subject).await >= LEAST);
}
