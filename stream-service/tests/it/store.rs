//! What every store promises, in one table: each row on a fresh store of each kind.

mod contract;

use stream_service::store::{Found, FoundKind, Incoming, Left, ObjectKey, Store, StoreError};

/// One kind of store to run the table on.
pub struct Place {
    pub store: Store,
    /// Kept for as long as the store is used.
    _dir: tempfile::TempDir,
}

impl Place {
    fn disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::connect(&format!("file:{}", dir.path().join("media").display()), false).unwrap();
        Self { store, _dir: dir }
    }
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
    (0..length)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Writes as [`stream_service`] does: never beyond the room.
pub fn write(incoming: &mut Incoming, mut bytes: &[u8]) -> Result<(), StoreError> {
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(bytes.len().min(incoming.room()));
        incoming.write(now)?;
        if incoming.room() == 0 {
            incoming.filled(None)?;
        }
        bytes = later;
    }
    Ok(())
}

pub fn publish(mut incoming: Incoming) -> Result<(), StoreError> {
    match incoming {
        Incoming::Disk(ref mut file) => file.sync()?,
    }
    match incoming {
        Incoming::Disk(file) => file.publish(),
    }
}

pub fn put(store: &Store, key: &ObjectKey, bytes: &[u8]) {
    let mut incoming = store.create(key).unwrap();
    write(&mut incoming, bytes).unwrap();
    publish(incoming).unwrap();
}

/// All bytes of a stored object.
pub fn read(store: &Store, key: &ObjectKey) -> Result<Vec<u8>, StoreError> {
    use std::io::Read;
    let (mut file, size) = store.open(key)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, size);
    Ok(bytes)
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
pub fn hold(store: &Store, stale: Incoming, _late: &[u8]) -> Option<Incoming> {
    match store {
        Store::Disk(_) => {
            drop(stale);
            None
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
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn the_contract_holds_on_disk() {
    for (name, row) in contract::TABLE {
        println!("{name}");
        row(&Place::disk().store);
    }
}
