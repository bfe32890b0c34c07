//! Turns over a file, and how it is read.

use super::*;
use crate::media::registry::Streams;
use common::ids::{Id, VideoId};
use rustix::fs::fcntl_getfl;
use std::io::Write;

const FAST: u64 = 1 << 40;

/// Three and a half pieces.
fn content() -> Vec<u8> {
    (0..CHUNK * 7 / 2).map(|at| (at % 251) as u8).collect()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn turn(bytes: &[u8]) -> Turn {
    Turn {
        key: ObjectKey {
            video: VideoId::random(),
            object: Id::now(),
        },
        size: bytes.len() as u64,
        sha256: String::new(),
        place: 0,
        state: String::new(),
        damage: String::new(),
        tried_at: 0,
    }
}

fn task(streams: &Streams, turn: &Turn, until: Instant) -> Task {
    Task::new(turn, FAST, until, streams.register(&turn.key.video, i64::MAX - 1))
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[test]
fn a_turn_goes_on_where_its_time_was_up() {
    let bytes = content();
    let (streams, whole) = (Streams::default(), hex(&Sha256::digest(&bytes)));
    let mut turn = turn(&bytes);
    let direct = Direct::new(file(&bytes));
    for piece in 1..=3 {
        let read = task(&streams, &turn, Instant::now()).go_on(&direct).unwrap();
        let Read::Stopped { place, hash, bytes } = read else {
            panic!("{read:?}")
        };
        assert_eq!((place, bytes), (piece * CHUNK as u64, CHUNK as u64));
        (turn.place, turn.state) = (place, hash);
    }
    let last = task(&streams, &turn, Instant::now()).go_on(&direct).unwrap();
    let end = |bytes| Read::End {
        sha256: whole.clone(),
        bytes: bytes as u64,
    };
    assert_eq!(last, end(CHUNK / 2));
    for (place, state) in [
        (CHUNK as u64, "of another version"),
        (7, &turn.state),
        (9 * CHUNK as u64, &turn.state),
    ] {
        let begun = Turn {
            place,
            state: state.to_owned(),
            ..turn.clone()
        };
        let read = task(&streams, &begun, later()).go_on(&direct).unwrap();
        assert_eq!(read, end(bytes.len()), "it begins anew");
    }
}

#[test]
fn who_is_not_waited_for_stops_and_what_is_purged_is_let_go() {
    let bytes = content();
    let (streams, turn) = (Streams::default(), turn(&bytes));
    let direct = Direct::new(file(&bytes));
    let mut left = task(&streams, &turn, later());
    drop(left.stop_with_this());
    assert!(matches!(left.go_on(&direct), Ok(Read::Stopped { place, .. }) if place == CHUNK as u64));
    let mut purged = task(&streams, &turn, later());
    streams.cut(&turn.key.video);
    assert!(streams.runs(&turn.key.video), "a purge waits for it");
    assert_eq!(purged.go_on(&direct).unwrap(), Read::Gone);
    drop((left, purged));
    assert!(!streams.runs(&turn.key.video));
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    let bytes = content();
    let (streams, turn) = (Streams::default(), turn(&bytes));
    let direct = Direct::new(file(&bytes[..CHUNK + 5]));
    let read = task(&streams, &turn, later()).go_on(&direct);
    assert!(matches!(read, Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof));
}

#[test]
fn files_are_read_past_the_page_cache_where_that_can_be() {
    let bytes = content();
    let able = fcntl_setfl(file(&bytes), OFlags::DIRECT).is_ok();
    let direct = Direct::new(file(&bytes));
    let (streams, turn) = (Streams::default(), turn(&bytes));
    let read = || task(&streams, &turn, later()).go_on(&direct).unwrap();
    let whole = Read::End {
        sha256: hex(&Sha256::digest(&bytes)),
        bytes: bytes.len() as u64,
    };
    assert_eq!(read(), whole);
    assert_eq!(fcntl_getfl(&direct.file).unwrap().contains(OFlags::DIRECT), able);
    // A read that begins between two blocks, which no disk can do, but some file systems.
    let odd = File::read_at(&direct.file, &mut [0; 100], 7).is_ok();
    assert!(direct.read_at(&mut [0; 100], 7).is_ok());
    assert_eq!(fcntl_getfl(&direct.file).unwrap().contains(OFlags::DIRECT), able && odd);
    assert_eq!(read(), whole);
}
