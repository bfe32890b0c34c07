//! A store behind TLS, with an authority of its own.

use super::{config, start::refused};
use crate::{
    app::{App, on_app_of},
    clip::clip,
    tus::client::{Client, create},
};
use common::{config::StoreConfig, db::Backend, ids::VideoId};
use s3_server::{Effect, Fault, Options, Server};
use std::rc::Rc;
use tempfile::NamedTempFile;

const LARGE: usize = 17_000_000;

fn server() -> Server {
    let options = Options {
        https: true,
        ..Options::default()
    };
    Server::start(options).unwrap()
}

/// The file has to live as long as whoever reads it.
fn trusting(server: &Server) -> (StoreConfig, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, server.authority().unwrap()).unwrap();
    let mut store = config(server);
    assert!(store.endpoint.starts_with("https://"), "{}", store.endpoint);
    store.ca_file = file.path().to_str().unwrap().to_owned();
    (store, file)
}

#[test]
fn a_store_behind_tls_takes_and_gives_and_is_heard_when_it_refuses() {
    let server = Rc::new(server());
    let (store, _file) = trusting(&server);
    on_app_of(
        Backend::Sqlite,
        |config| config.store = store.clone(),
        |app| {
            let server = server.clone();
            async move {
                let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
                let upload = create(&client, &bytes).await;
                client.send(&upload, 0, &bytes[..9_000_000]).await;
                client.send(&upload, 9_000_000, &bytes[9_000_000..]).await;
                assert!(app.get(&client.video).await.bytes().await.unwrap() == bytes);
                // In the middle of what is sent.
                server.fail(Fault::new("PUT", Effect::Answer(507, "InsufficientStorage")));
                let refused = App::problem(app.put(&VideoId::random(), bytes).await).await;
                assert_eq!((refused.0, refused.1.as_str()), (507, "storage_full"));
            }
        },
    );
}

#[test]
fn promise_20_a_store_whose_certificate_nobody_vouches_for_does_not_start() {
    let server = server();
    let (mut store, _file) = trusting(&server);
    store.ca_file = String::new();
    refused(&store, "store.endpoint", "certificate");
    store.ca_file = "/nowhere/ca.pem".to_owned();
    refused(&store, "store.ca_file", "/nowhere/ca.pem");
    let empty = NamedTempFile::new().unwrap();
    store.ca_file = empty.path().to_str().unwrap().to_owned();
    refused(&store, "store.ca_file", "holds no certificate");
}
