//! stream-service with its media in a bucket of a real S3 protocol server.

mod away;
mod copies;
mod memory;
mod play;
mod start;
mod sweeps;
mod tls;
mod uploads;

use crate::app::{App, SOON, on_app_of};
use common::{
    config::{Config, Secret, StoreConfig},
    db::Backend,
    testing::eventually,
};
use s3_server::{Options, Server};
use std::rc::Rc;
use stream_service::store::s3::client::{Client, Settings};

/// Of every key of ours.
const PREFIX: &str = "of/tests/";

/// `store.*` for the bucket of this server.
pub fn config(server: &Server) -> StoreConfig {
    config_of(&server.endpoint())
}

/// The same for a server elsewhere that was started without options.
pub fn config_of(endpoint: &str) -> StoreConfig {
    let Options {
        access_key, secret_key, ..
    } = Options::default();
    StoreConfig {
        url: format!("s3://media/{PREFIX}"),
        endpoint: endpoint.to_owned(),
        access_key,
        secret_key: Secret::from(secret_key),
        ..StoreConfig::default()
    }
}

/// A server, and a client of its own to look into it.
pub struct Bucket {
    pub server: Server,
    pub client: Client,
    pub prefix: String,
}

/// What lies in a bucket: objects and unfinished uploads, with their bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lies {
    pub objects: Vec<(String, u64)>,
    pub uploads: Vec<(String, u64)>,
}

impl Lies {
    pub fn bytes(&self) -> u64 {
        self.objects.iter().chain(&self.uploads).map(|(_, bytes)| bytes).sum()
    }
}

impl Bucket {
    pub fn new() -> Self {
        let server = Server::spawn().unwrap();
        let (settings, prefix) = Settings::of(&config(&server)).unwrap();
        let client = Client::new(settings).unwrap();
        Self { server, client, prefix }
    }

    /// As the protocol tells it.
    pub async fn lies(&self) -> Lies {
        let mut lies = Lies::default();
        let mut token = None;
        loop {
            let page = self.client.list("", "", token.as_deref()).await.unwrap();
            lies.objects
                .extend(page.objects.into_iter().map(|object| (object.key, object.bytes)));
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        for upload in self.client.list_multiparts("").await.unwrap() {
            let parts = self.client.list_parts(&upload.key, &upload.id).await.unwrap();
            let bytes = parts.iter().map(|part| part.bytes).sum();
            lies.uploads.push((upload.key, bytes));
        }
        lies
    }

    /// All bytes of the only object there is.
    pub async fn only_object(&self) -> Vec<u8> {
        let lies = self.lies().await;
        assert_eq!((lies.objects.len(), lies.uploads.len()), (1, 0), "{lies:?}");
        let (key, size) = &lies.objects[0];
        let mut reading = self.client.get(key, 0..*size).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = reading.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        bytes
    }

    pub async fn is_empty(&self) {
        eventually("the bucket is empty", SOON, || async {
            (self.lies().await == Lies::default()).then_some(())
        })
        .await;
    }
}

/// Runs `body` with a fresh service over a fresh bucket.
pub fn on_bucket<F, Fut>(backend: Backend, body: F)
where
    F: Fn(Rc<App>, Rc<Bucket>) -> Fut,
    Fut: Future<Output = ()>,
{
    on_bucket_with(backend, |_| {}, body);
}

/// The same with a configuration of one's own.
pub fn on_bucket_with<F, Fut>(backend: Backend, change: impl Fn(&mut Config), body: F)
where
    F: Fn(Rc<App>, Rc<Bucket>) -> Fut,
    Fut: Future<Output = ()>,
{
    let bucket = Rc::new(Bucket::new());
    on_app_of(
        backend,
        |config| {
            config.store = self::config(&bucket.server);
            change(config);
        },
        |app| body(app, bucket.clone()),
    );
}
