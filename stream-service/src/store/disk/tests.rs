//! The disk store on a temporary folder.

use super::*;
use rustix::fs::FileType;
use std::{io::Read, os::unix::fs::PermissionsExt};

const VIDEO: &str = "0abcdefghjkm";

fn store() -> (tempfile::TempDir, DiskStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open_root(&dir.path().join("media")).unwrap();
    (dir, store)
}

fn key(number: u64) -> ObjectKey {
    let object = format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap();
    ObjectKey {
        video: VIDEO.parse().unwrap(),
        object,
    }
}

fn put(store: &DiskStore, key: &ObjectKey, bytes: &[u8]) {
    let mut incoming = store.create(key).unwrap();
    incoming.write(bytes).unwrap();
    incoming.sync().unwrap();
    incoming.publish().unwrap();
}

fn all(store: &DiskStore) -> Vec<Found> {
    store
        .groups()
        .unwrap()
        .iter()
        .flat_map(|group| store.list(group).unwrap())
        .collect()
}

#[test]
fn an_object_appears_when_it_is_published() {
    let (dir, store) = store();
    let mut incoming = store.create(&key(1)).unwrap();
    incoming.write(b"hello").unwrap();
    assert!(matches!(store.open(&key(1)), Err(StoreError::Missing)));
    assert_eq!(store.size(&key(1)).unwrap(), Some(5));
    incoming.sync().unwrap();
    incoming.publish().unwrap();
    let (mut file, size) = store.open(&key(1)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), size), ("hello", 5));
    let path = dir.path().join(format!("media/0a/{VIDEO}/{}", key(1).object));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_dropped_upload_leaves_nothing() {
    let (dir, store) = store();
    let mut incoming = store.create(&key(1)).unwrap();
    incoming.write(b"half").unwrap();
    drop(incoming);
    assert_eq!(all(&store), []);
    assert!(!dir.path().join("media/0a").join(VIDEO).exists());
}

#[test]
fn names_are_taken_once() {
    let (_dir, store) = store();
    let _first = store.create(&key(1)).unwrap();
    assert!(matches!(store.create(&key(1)), Err(StoreError::Exists)));
    put(&store, &key(2), b"x");
    let again = store.create(&key(2)).unwrap();
    assert!(matches!(again.publish(), Err(StoreError::Exists)));
    assert_eq!(store.size(&key(2)).unwrap(), Some(1));
}

#[test]
fn removing_is_repeatable() {
    let (_dir, store) = store();
    put(&store, &key(1), b"x");
    assert!(store.remove(&key(1)).unwrap());
    assert!(!store.remove(&key(1)).unwrap());
    assert_eq!(store.size(&key(1)).unwrap(), None);
    assert_eq!(all(&store), []);
}

#[test]
fn a_reader_keeps_what_was_removed() {
    let (_dir, store) = store();
    put(&store, &key(1), b"still here");
    let (mut file, _) = store.open(&key(1)).unwrap();
    store.remove(&key(1)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here");
}

#[test]
fn links_are_never_followed() {
    let (dir, store) = store();
    put(&store, &key(1), b"x");
    let outside = dir.path().join("outside");
    std::fs::create_dir_all(outside.join(VIDEO)).unwrap();
    let secret = outside.join(VIDEO).join(key(2).object.to_string());
    std::fs::write(&secret, b"secret").unwrap();
    let video_dir = dir.path().join("media/0a").join(VIDEO);
    std::os::unix::fs::symlink(&secret, video_dir.join(key(2).object.to_string())).unwrap();
    assert!(store.open(&key(2)).is_err());
    std::os::unix::fs::symlink(&outside, dir.path().join("media/zz")).unwrap();
    std::os::unix::fs::symlink(outside.join(VIDEO), dir.path().join("media/0a/0abbbbbbbbbb")).unwrap();
    let other = ObjectKey {
        video: "0abbbbbbbbbb".parse().unwrap(),
        object: key(2).object,
    };
    assert!(store.open(&other).is_err());
    assert!(store.create(&other).is_err());
    assert_eq!(store.groups().unwrap(), ["0a"]);
    let found = all(&store);
    assert_eq!(
        found.iter().filter(|found| found.kind == FoundKind::Stray).count(),
        2,
        "{found:?}"
    );
    for found in found.iter().filter(|found| found.kind == FoundKind::Stray) {
        assert!(store.remove_found(found).unwrap());
    }
    assert!(secret.exists(), "a link was followed");
    assert_eq!(all(&store).len(), 1);
}

#[test]
fn a_planted_fifo_does_not_hang() {
    let (dir, store) = store();
    put(&store, &key(1), b"x");
    let path = dir.path().join("media/0a").join(VIDEO).join(key(2).object.to_string());
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, FILE_MODE, 0).unwrap();
    assert!(store.open(&key(2)).is_err());
}

#[test]
fn listing_tells_objects_parts_and_strays() {
    let (dir, store) = store();
    put(&store, &key(1), b"object");
    let _incoming = store.create(&key(2)).unwrap();
    let group = dir.path().join("media/0a");
    std::fs::write(group.join(VIDEO).join("notes.txt"), b"?").unwrap();
    std::fs::write(group.join("loose"), b"?").unwrap();
    let mut kinds: Vec<_> = all(&store)
        .into_iter()
        .map(|found| (found.path.clone(), found.kind))
        .collect();
    kinds.sort_by_key(|(path, _)| path.clone());
    let in_video = |name: String| Path::new("0a").join(VIDEO).join(name);
    assert_eq!(
        kinds,
        [
            (in_video(key(1).object.to_string()), FoundKind::Object(key(1))),
            (in_video(format!("{}.part", key(2).object)), FoundKind::Part(key(2))),
            (in_video("notes.txt".to_owned()), FoundKind::Stray),
            (Path::new("0a/loose").to_owned(), FoundKind::Stray),
        ]
    );
}

#[test]
fn concurrent_uploads_and_removals_of_one_video() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..20 {
                    let key = key(thread * 1000 + round);
                    put(store, &key, b"x");
                    assert!(store.remove(&key).unwrap());
                }
            });
        }
    });
    assert_eq!(all(&store), []);
}
