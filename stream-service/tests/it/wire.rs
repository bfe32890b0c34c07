//! What the transport of stored files keeps to on the wire, by each of the ways that bytes can take (dataplane.md section 3).

mod broken;
mod disk;
mod many;
mod time;
mod ways;

use crate::app::{App, on_one_app_with};
use common::{
    config::Config,
    ids::VideoId,
    testing::{
        random::Random,
        raw::{Answer, Raw, through},
    },
};
use std::{rc::Rc, time::Duration};

/// How the bytes of a file get to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By sendfile, answered before the framework sees the request.
    Fast,
    /// By sendfile, answered before the App sees the request.
    Front,
    /// By sendfile, answered by the App's handler.
    App,
    /// As [`Way::Fast`], by a Unix socket.
    Near,
    /// Copied through the framework.
    Framework,
    /// From an object in a bucket, by splice from the store's connection.
    Bucket,
}

impl Way {
    /// The deadline of one who takes nothing, where `limit` is configured: an edge has four times that.
    pub fn stall(self, limit: Duration) -> Duration {
        if self == Way::Near { limit * 4 } else { limit }
    }

    pub fn path(self, app: &App, video: &VideoId) -> String {
        let path = app.file_path(video);
        match self {
            Way::App => crate::ranges::spelled_for_the_app(path),
            Way::Fast | Way::Near | Way::Front | Way::Framework | Way::Bucket => path,
        }
    }
}

/// Runs `body` for each way.
pub fn by_each_way<F, Fut>(tune: impl Fn(&mut Config), body: F)
where
    F: Fn(Rc<App>, Way) -> Fut,
    Fut: Future<Output = ()>,
{
    let (tune, body) = (&tune, &body);
    by_each_way_of_files(tune, body);
    let store = s3_server::Server::spawn().unwrap();
    let elsewhere = |config: &mut Config| {
        tune(config);
        config.store = crate::bucket::config(&store);
    };
    on_one_app_with(elsewhere, |app| async move { body(app, Way::Bucket).await });
}

/// Runs `body` for each way from a file.
pub fn by_each_way_of_files<F, Fut>(tune: impl Fn(&mut Config), body: F)
where
    F: Fn(Rc<App>, Way) -> Fut,
    Fut: Future<Output = ()>,
{
    let (tune, body) = (&tune, &body);
    on_one_app_with(tune, |app| async move { body(app, Way::Fast).await });
    let folder = tempfile::tempdir().unwrap();
    let near = |config: &mut Config| {
        tune(config);
        config.server.socket_dir = folder.path().display().to_string();
    };
    on_one_app_with(near, |app| async {
        let _through = through(&app.running.public, folder.path());
        body(app, Way::Near).await;
    });
    let decoding = |config: &mut Config| {
        tune(config);
        config.server.fast_path = false;
    };
    on_one_app_with(decoding, |app| async move {
        body(app.clone(), Way::Front).await;
        body(app, Way::App).await;
    });
    let copying = |config: &mut Config| {
        tune(config);
        config.server.zero_copy = false;
    };
    on_one_app_with(copying, |app| async move { body(app, Way::Framework).await });
}

pub fn as_it_is(_: &mut Config) {}

/// A request for the file.
pub fn request(method: &str, path: &str, lines: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{lines}\r\n")
}

/// Asks for bytes `start..end`, which have to come whole and keep the connection.
pub async fn range_is_right(client: &mut Raw, path: &str, (start, end): (usize, usize), bytes: &[u8]) {
    let range = format!("Range: bytes={start}-{}\r\n", end - 1);
    client.send(&request("GET", path, &range)).await;
    is_range(&client.answer().await, (start, end), bytes);
}

#[track_caller]
pub fn is_range(answer: &Answer, (start, end): (usize, usize), bytes: &[u8]) {
    assert_eq!(answer.status, 206, "{}", answer.head);
    let range = format!("bytes {start}-{}/{}", end - 1, bytes.len());
    assert_eq!(answer.header("content-range"), Some(range.as_str()));
    assert!(answer.body == bytes[start..end], "other bytes in {start}..{end}");
}

/// A client with so small a window that the server waits for it again and again (by a Unix socket: as any other).
pub async fn narrow(app: &App) -> Raw {
    Raw::connect_with(&app.running.public, 4 << 10).await
}
