//! What every store promises, in one table: each row on a fresh store of each kind.

mod contract;

use s3_server::Server;
use std::{io::Read, time::Duration};
use stream_service::store::{
    Content, Found, FoundKind, Incoming, Left, ObjectKey, ReadAt, S3Store, Store, StoreError,
    s3::client::{Client, Settings},
};

/// One kind of store to run the table on.
pub struct Place {
    pub store: Store,
    /// Kept for as long as the store is used.
    _dir: Option<tempfile::TempDir>,
    _server: Option<Server>,
}

impl Place {
    fn disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file:{}", dir.path().join("media").display());
        let store = Store::connect(&Default::default(), &url, false, 0).unwrap();
        Self {
            store,
            _dir: Some(dir),
            _server: None,
        }
    }

    /// Below a prefix of the one bucket of a server.
    pub fn s3() -> Self {
        let server = Server::spawn().unwrap();
        let bucket = bucket(&server);
        bucket.set_appears(100);
        let store = Store::S3(bucket);
        Self {
            store,
            _dir: None,
            _server: Some(server),
        }
    }
}

/// Its bucket, with a client of its own: what another process has.
pub fn bucket(server: &Server) -> S3Store {
    let (settings, prefix) = Settings::of(&crate::bucket::config(server)).unwrap();
    S3Store::new(Client::new(settings).unwrap(), &prefix, 2 << 30)
}

const VIDEO: &str = "0abcdefghjkm";

pub fn key(number: u64) -> ObjectKey {
    let object = format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap();
    ObjectKey {
        video: VIDEO.parse().unwrap(),
        object,
    }
}

/// Bytes that differ from place to place.
pub fn bytes(length: usize) -> Vec<u8> {
    common::testing::random::noise(length, 0)
}

pub fn publish(incoming: Incoming) -> Result<(), StoreError> {
    match incoming {
        Incoming::Disk(mut file) => {
            file.sync()?;
            file.publish()
        }
        Incoming::S3(object) => object.publish().map(drop),
    }
}

pub fn put(store: &Store, key: &ObjectKey, bytes: &[u8]) {
    let mut incoming = store.create(key).unwrap();
    incoming.append(bytes).unwrap();
    publish(incoming).unwrap();
}

/// All bytes of a stored object.
pub fn read(store: &Store, key: &ObjectKey) -> Result<Vec<u8>, StoreError> {
    match store.open(key)? {
        Content::File(mut file, size) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, size);
            Ok(bytes)
        }
        Content::Remote(object) => {
            let mut bytes = vec![0; object.size().unwrap() as usize];
            object.read_exact_at(&mut bytes, 0).unwrap();
            Ok(bytes)
        }
    }
}

/// Everything that lies in the store, as the sweeps see it.
pub fn all(store: &Store) -> Vec<(FoundKind, u64)> {
    let groups = store.groups().unwrap();
    let listed = groups.iter().flat_map(|group| store.list(group).unwrap());
    let mut found: Vec<(FoundKind, u64)> = listed.map(|Found { kind, bytes, .. }| (kind, bytes)).collect();
    found.sort_by_key(|(kind, _)| format!("{kind:?}"));
    found
}

/// Where the next request goes on, as the ledger would tell it.
pub fn left(store: &Store, incoming: &Incoming) -> Left {
    let kept = stream_service::store::Kept::read(&incoming.kept()).unwrap();
    Left {
        at: incoming.synced(),
        kept,
        numbers: store.numbers(0).unwrap_or(0),
    }
}

/// The beginning, as the ledger has it.
pub fn start(store: &Store) -> Left {
    Left {
        numbers: store.numbers(0).unwrap_or(0),
        ..Left::default()
    }
}

/// Lets a writer that knows nothing of the one after it write once more: on a disk its lock would hold that one up, so there it
/// lets go before.
pub fn hold(store: &Store, mut stale: Incoming, late: &[u8]) -> Option<Incoming> {
    match store {
        Store::Disk(_) => {
            drop(stale);
            None
        }
        Store::S3(_) => {
            stale.append(late).unwrap();
            stale.sync(None).unwrap();
            Some(stale)
        }
    }
}

/// Waits until it is so.
pub fn soon(what: &str, so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(
            began.elapsed() < crate::app::SOON,
            "not within {:?}: {what}",
            crate::app::SOON
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_contract_holds_on_disk() {
    for (name, row) in contract::TABLE {
        println!("{name}");
        row(&Place::disk().store);
    }
}

#[test]
fn the_contract_holds_in_a_bucket() {
    for (name, row) in contract::TABLE {
        println!("{name}");
        row(&Place::s3().store);
    }
}
