//! Starts that can't be: one line that begins with the key to look at, and exit code 2.

use super::{Bucket, config};
use common::{
    config::{Secret, StoreConfig},
    grant::GrantKey,
    testing::INTERNAL_TOKEN,
};
use s3_server::{Effect, Fault};
use std::{
    net::TcpListener,
    process::{Command, Output},
};

/// Starts the service with this store and says how that ended.
fn start(store: &StoreConfig) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    // One that should have been refused and runs instead is ended.
    let Output { status, stderr, .. } = Command::new("timeout")
        .args(["60", env!("CARGO_BIN_EXE_stream-service")])
        .env("SLUICE_SERVER__DATA_DIR", dir.path())
        .env("SLUICE_SERVER__LISTEN", "127.0.0.1:0")
        .env("SLUICE_INTERNAL__LISTEN", "127.0.0.1:0")
        .env("SLUICE_SECRETS__INTERNAL_TOKEN", INTERNAL_TOKEN)
        .env("SLUICE_SECRETS__GRANT_KEYS", GrantKey::generate("k1"))
        .env("SLUICE_STORE__URL", &store.url)
        .env("SLUICE_STORE__ENDPOINT", &store.endpoint)
        .env("SLUICE_STORE__REGION", &store.region)
        .env("SLUICE_STORE__CA_FILE", &store.ca_file)
        .env("SLUICE_STORE__ACCESS_KEY", &store.access_key)
        .env("SLUICE_STORE__SECRET_KEY", store.secret_key.expose())
        .output()
        .unwrap();
    let text = String::from_utf8(stderr).unwrap();
    (status.code(), text.lines().last().unwrap_or_default().to_owned())
}

pub fn refused(store: &StoreConfig, key: &str, says: &str) {
    let (code, line) = start(store);
    assert_eq!(code, Some(2), "{line}");
    let told = line.strip_prefix("sluice: ").unwrap_or(&line);
    assert!(told.starts_with(&format!("{key}: ")) && told.contains(says), "{line}");
    let secret = store.secret_key.expose();
    assert!(secret.is_empty() || !line.contains(secret), "{line}");
}

#[test]
fn promise_20_a_store_that_can_not_be_used_does_not_start() {
    let bucket = Bucket::new();
    let good = config(&bucket.server);
    let of = |change: fn(&mut StoreConfig)| {
        let mut store = good.clone();
        change(&mut store);
        store
    };
    refused(
        &of(|store| store.access_key = "nobody".to_owned()),
        "store.access_key",
        "InvalidAccessKeyId",
    );
    refused(
        &of(|store| store.secret_key = Secret::from("another-secret")),
        "store.secret_key",
        "SignatureDoesNotMatch",
    );
    refused(
        &of(|store| store.url = "s3://elsewhere".to_owned()),
        "store.url",
        "no such bucket",
    );
    refused(
        &of(|store| store.url = "s4://media".to_owned()),
        "store.url",
        "s4://media",
    );
    refused(
        &of(|store| store.endpoint = "http://".to_owned()),
        "store.endpoint",
        "http://",
    );
    refused(
        &of(|store| store.secret_key = Secret::default()),
        "store.secret_key",
        "needed",
    );
}

#[test]
fn promise_20_a_store_that_may_not_be_written_to_does_not_start() {
    for (method, has, says) in [
        ("PUT", "", "may not write to"),
        ("DELETE", "", "may not delete from"),
        ("POST", "uploads", "may not begin uploads in"),
    ] {
        let bucket = Bucket::new();
        let denied = Fault::new(method, Effect::Answer(403, "AccessDenied")).of(has);
        bucket.server.fail(denied);
        refused(&config(&bucket.server), "store.url", says);
    }
}

#[test]
fn promise_20_an_endpoint_where_nobody_answers_is_given_up() {
    let bucket = Bucket::new();
    let mut store = config(&bucket.server);
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    store.endpoint = format!("http://{free}");
    refused(&store, "store.endpoint", "away");
}
