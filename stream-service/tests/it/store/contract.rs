//! The rows.

use super::{all, bytes, key, left, publish, put, read, start};
use stream_service::store::{FoundKind, ObjectKey, Store, StoreError};

type Row = (&'static str, fn(&Store));

/// Larger than a part of an object in S3, and no multiple of one.
const LARGE: usize = (19 << 20) + 12_345;

pub const TABLE: &[Row] = &[
    ("an object appears when it is published", appears),
    ("a large object comes back byte for byte", large),
    ("nothing of a dropped upload is left", dropped),
    ("nothing of a discarded upload is left", discarded),
    ("a name is taken once", taken_once),
    ("an empty object is one", empty),
    ("what is not there is said to be", missing),
    ("removing may be repeated", removed_twice),
    ("what is half there is removed too", half_removed),
    ("all named objects of a video go, and no others", remove_all),
    ("listing tells whole and half ones, with their bytes", listed),
    ("what was found can be removed", found_removed),
    ("an upload goes on at what was synced", resumed),
    (
        "an upload that was not synced goes on at its beginning",
        resumed_at_nothing,
    ),
    ("dropping a resumed upload leaves what was synced", resumed_dropped),
    ("an upload goes on at every size of a piece", resumed_in_pieces),
    ("nothing later than what was acknowledged is trusted", cut),
    ("less than was acknowledged is an error", less),
    ("a save that nobody heard of is followed by a right one", unheard),
    (
        "an object that was published and not committed goes on",
        published_again,
    ),
    ("the last write of one that was taken over changes nothing", taken_over),
    ("what goes on can be removed by another", removed_under),
    ("objects of one video come and go at once", at_once),
];

fn other(number: u64) -> ObjectKey {
    ObjectKey {
        video: "zzbcdefghjkm".parse().unwrap(),
        ..key(number)
    }
}

fn appears(store: &Store) {
    let mut incoming = store.create(&key(1)).unwrap();
    incoming.append(b"hello").unwrap();
    assert!(matches!(read(store, &key(1)), Err(StoreError::Missing)));
    assert_eq!(store.stored_size(&key(1)).unwrap(), None);
    publish(incoming).unwrap();
    assert_eq!(read(store, &key(1)).unwrap(), b"hello");
    assert_eq!(store.size(&key(1)).unwrap(), Some(5));
    assert_eq!(store.stored_size(&key(1)).unwrap(), Some(5));
}

fn large(store: &Store) {
    let sent = bytes(LARGE);
    let mut incoming = store.create(&key(1)).unwrap();
    for piece in sent.chunks(300_001) {
        incoming.append(piece).unwrap();
    }
    publish(incoming).unwrap();
    assert!(read(store, &key(1)).unwrap() == sent);
    assert_eq!(all(store), [(FoundKind::Object(key(1)), LARGE as u64)]);
}

fn dropped(store: &Store) {
    let mut incoming = store.create(&key(1)).unwrap();
    incoming.append(&bytes(LARGE)).unwrap();
    drop(incoming);
    super::soon("it is gone", || all(store).is_empty());
    assert_eq!(store.size(&key(1)).unwrap(), None);
}

fn discarded(store: &Store) {
    for length in [0, 100, LARGE] {
        let mut incoming = store.create(&key(1)).unwrap();
        incoming.append(&bytes(length)).unwrap();
        incoming.discard();
        assert_eq!(all(store), []);
    }
}

fn taken_once(store: &Store) {
    put(store, &key(2), b"x");
    let again = store.create(&key(2));
    let refused = again.and_then(|mut again| {
        again.append(b"other")?;
        publish(again)
    });
    assert!(matches!(refused, Err(StoreError::Exists)), "{refused:?}");
    assert_eq!(read(store, &key(2)).unwrap(), b"x");
}

fn empty(store: &Store) {
    put(store, &key(1), b"");
    assert_eq!(read(store, &key(1)).unwrap(), b"");
    assert_eq!(all(store), [(FoundKind::Object(key(1)), 0)]);
}

fn missing(store: &Store) {
    assert!(matches!(read(store, &key(1)), Err(StoreError::Missing)));
    assert_eq!(store.size(&key(1)).unwrap(), None);
    assert_eq!(store.list_video(&key(1).video).unwrap(), []);
    assert_eq!(store.list("0a").unwrap(), []);
    assert_eq!(store.groups().unwrap(), [""; 0]);
    assert!(!store.remove(&key(1)).unwrap());
}

fn removed_twice(store: &Store) {
    put(store, &key(1), b"x");
    assert!(store.remove(&key(1)).unwrap());
    assert!(!store.remove(&key(1)).unwrap());
    assert!(matches!(read(store, &key(1)), Err(StoreError::Missing)));
    assert_eq!(all(store), []);
}

fn half_removed(store: &Store) {
    let mut incoming = store.resume(&key(1), &start(store)).unwrap();
    incoming.append(&bytes(LARGE)).unwrap();
    incoming.sync(None).unwrap();
    drop(incoming);
    assert!(store.remove(&key(1)).unwrap());
    assert_eq!(all(store), []);
    assert!(!store.remove(&key(1)).unwrap());
}

fn remove_all(store: &Store) {
    for number in 1..=3 {
        put(store, &key(number), b"x");
    }
    put(store, &other(1), b"y");
    let mut half = store.resume(&key(4), &start(store)).unwrap();
    half.append(&bytes(LARGE)).unwrap();
    half.sync(None).unwrap();
    drop(half);
    let doomed = [key(1).object, key(2).object, key(4).object, key(5).object];
    store.remove_all(&key(1).video, &doomed).unwrap();
    let left = [(FoundKind::Object(key(3)), 1), (FoundKind::Object(other(1)), 1)];
    assert_eq!(all(store), left);
    store.remove_all(&key(1).video, &doomed).unwrap();
    assert_eq!(all(store), left);
}

fn listed(store: &Store) {
    put(store, &key(1), b"object");
    put(store, &other(2), b"of another video");
    let mut half = store.resume(&key(3), &start(store)).unwrap();
    half.append(&bytes(LARGE)).unwrap();
    half.sync(None).unwrap();
    drop(half);
    let mut of_video: Vec<_> = store.list_video(&key(1).video).unwrap();
    of_video.sort_by_key(|found| found.bytes);
    assert_eq!(of_video[0].kind, FoundKind::Object(key(1)));
    assert_eq!((of_video[0].bytes, of_video.len()), (6, 2));
    assert_eq!(of_video[1].kind, FoundKind::Part(key(3)));
    assert_eq!(of_video[1].bytes, LARGE as u64);
    assert_eq!(store.size(&key(3)).unwrap(), Some(LARGE as u64));
    assert_eq!(store.stored_size(&key(3)).unwrap(), None);
    assert_eq!(store.groups().unwrap(), ["0a", "zz"]);
    assert_eq!(
        all(store),
        [
            (FoundKind::Object(key(1)), 6),
            (FoundKind::Object(other(2)), 16),
            (FoundKind::Part(key(3)), LARGE as u64)
        ]
    );
}

fn found_removed(store: &Store) {
    put(store, &key(1), b"x");
    let mut half = store.resume(&key(2), &start(store)).unwrap();
    half.append(&bytes(LARGE)).unwrap();
    half.sync(None).unwrap();
    drop(half);
    for found in store.list("0a").unwrap() {
        assert!(store.remove_found(&found).unwrap());
        assert!(!store.remove_found(&found).unwrap());
    }
    assert_eq!(all(store), []);
}

fn resumed(store: &Store) {
    let sent = bytes(LARGE);
    let mut first = store.resume(&key(1), &start(store)).unwrap();
    first.append(&sent[..LARGE / 2]).unwrap();
    first.sync(None).unwrap();
    assert_eq!(first.synced(), LARGE as u64 / 2);
    let left = left(store, &first);
    drop(first);
    let mut second = store.resume(&key(1), &left).unwrap();
    second.append(&sent[LARGE / 2..]).unwrap();
    publish(second).unwrap();
    assert!(read(store, &key(1)).unwrap() == sent);
    assert_eq!(all(store), [(FoundKind::Object(key(1)), LARGE as u64)]);
}

fn resumed_at_nothing(store: &Store) {
    let mut first = store.resume(&key(1), &start(store)).unwrap();
    first.append(b"never acknowledged").unwrap();
    drop(first);
    let mut second = store.resume(&key(1), &start(store)).unwrap();
    second.append(b"again").unwrap();
    publish(second).unwrap();
    assert_eq!(read(store, &key(1)).unwrap(), b"again");
}

fn resumed_dropped(store: &Store) {
    let mut incoming = store.resume(&key(1), &start(store)).unwrap();
    incoming.append(b"synced").unwrap();
    incoming.sync(None).unwrap();
    let left = left(store, &incoming);
    incoming.acknowledged(true);
    drop(incoming);
    drop(store.resume(&key(1), &left).unwrap());
    let mut last = store.resume(&key(1), &left).unwrap();
    last.append(b", and more").unwrap();
    publish(last).unwrap();
    assert_eq!(read(store, &key(1)).unwrap(), b"synced, and more");
}

fn resumed_in_pieces(store: &Store) {
    let sent = bytes(LARGE);
    let (mut at, mut from) = (0, start(store));
    for piece in [1, 0, 4095, 8 << 20, 1 << 20, (7 << 20) - 4096, 5, LARGE] {
        let to = LARGE.min(at + piece);
        let mut incoming = store.resume(&key(1), &from).unwrap();
        incoming.append(&sent[at..to]).unwrap();
        incoming.sync(None).unwrap();
        assert_eq!(incoming.synced(), to as u64);
        from = left(store, &incoming);
        incoming.acknowledged(true);
        at = to;
    }
    publish(store.resume(&key(1), &from).unwrap()).unwrap();
    assert!(read(store, &key(1)).unwrap() == sent);
}

fn cut(store: &Store) {
    let mut first = store.resume(&key(1), &start(store)).unwrap();
    first.append(b"kept").unwrap();
    first.sync(None).unwrap();
    let left = left(store, &first);
    first.append(b" and synced, and never told").unwrap();
    first.sync(None).unwrap();
    drop(first);
    let mut second = store.resume(&key(1), &left).unwrap();
    second.append(b" well").unwrap();
    publish(second).unwrap();
    assert_eq!(read(store, &key(1)).unwrap(), b"kept well");
}

/// The second request brings as many bytes as whole parts have, behind a tail: what is behind the parts then has its length.
fn unheard(store: &Store) {
    let little = 12_345;
    let sent = bytes(little + (16 << 20));
    let mut first = store.resume(&key(1), &start(store)).unwrap();
    first.append(&sent[..little]).unwrap();
    first.sync(None).unwrap();
    let one = left(store, &first);
    first.acknowledged(true);
    drop(first);
    let second = std::cell::RefCell::new(store.resume(&key(1), &one).unwrap());
    second.borrow_mut().append(&sent[little..]).unwrap();
    super::soon("whole parts are noted", || {
        let mut second = second.borrow_mut();
        !second.checkpoint().unwrap() || second.synced() == 16 << 20
    });
    // Whether the ledger has that is not known.
    let mut second = second.into_inner();
    second.sync(None).unwrap();
    let two = left(store, &second);
    second.acknowledged(true);
    drop(second);
    publish(store.resume(&key(1), &two).unwrap()).unwrap();
    assert!(read(store, &key(1)).unwrap() == sent);
}

fn less(store: &Store) {
    let mut first = store.resume(&key(1), &start(store)).unwrap();
    first.append(b"four").unwrap();
    first.sync(None).unwrap();
    let mut left = left(store, &first);
    drop(first);
    left.at = 5;
    assert!(matches!(store.resume(&key(1), &left), Err(StoreError::Io(_))));
}

fn published_again(store: &Store) {
    for length in [100, LARGE] {
        let sent = bytes(length);
        let mut first = store.resume(&key(1), &start(store)).unwrap();
        first.append(&sent).unwrap();
        first.sync(None).unwrap();
        let left = left(store, &first);
        publish(first).unwrap();
        for _ in 0..2 {
            publish(store.resume(&key(1), &left).unwrap()).unwrap();
            assert!(read(store, &key(1)).unwrap() == sent);
        }
        assert_eq!(all(store), [(FoundKind::Object(key(1)), length as u64)]);
        store.remove(&key(1)).unwrap();
    }
}

fn taken_over(store: &Store) {
    let sent = bytes(LARGE);
    let mut first = store.resume(&key(1), &start(store)).unwrap();
    first.append(&sent[..LARGE / 2]).unwrap();
    first.sync(None).unwrap();
    let mut left = left(store, &first);
    // The ledger: the second has the numbers behind those of the first.
    let stale = store.numbers(0).unwrap_or(0);
    left.kept = left.kept.reserved(stale);
    let first = super::hold(store, first, &vec![0; LARGE]);
    let mut second = store.resume(&key(1), &left).unwrap();
    second.append(&sent[LARGE / 2..]).unwrap();
    second.sync(None).unwrap();
    let whole = super::left(store, &second);
    drop(second);
    drop(first);
    publish(store.resume(&key(1), &whole).unwrap()).unwrap();
    assert!(read(store, &key(1)).unwrap() == sent);
}

fn removed_under(store: &Store) {
    let mut incoming = store.resume(&key(1), &start(store)).unwrap();
    incoming.append(&bytes(LARGE)).unwrap();
    incoming.sync(None).unwrap();
    let left = left(store, &incoming);
    drop(incoming);
    assert!(store.remove(&key(1)).unwrap());
    let gone = store.resume(&key(1), &left).and_then(publish);
    assert!(matches!(gone, Err(StoreError::Missing)), "{gone:?}");
    assert_eq!(all(store), []);
}

fn at_once(store: &Store) {
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                for round in 0..10 {
                    let key = key(thread * 1000 + round);
                    put(store, &key, b"x");
                    assert!(store.remove(&key).unwrap());
                }
            });
        }
    });
    assert_eq!(all(store), []);
}
