//! Files: not in memory, changed, cut short or removed under a transfer; and the proof that they are not copied.

use super::{Random, Way, as_it_is, by_each_way_of_files, range_is_right, request};
use crate::app::{App, SOON};
use common::{
    ids::VideoId,
    testing::{eventually, raw::Raw},
};
use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};
use std::{
    fs::{File, OpenOptions},
    io::IoSliceMut,
    os::unix::fs::FileExt,
};

/// More than the kernel takes for a client that reads nothing.
const SIZE: usize = 12 << 20;

/// A client that has asked for all and read the head, when the kernel takes no more for it.
async fn stalled(app: &App, way: Way, video: &VideoId) -> (Raw, common::testing::raw::Answer, u64) {
    let before = app.state.metrics.sent_bytes.get();
    let mut client = Raw::connect(&app.running.public).await;
    client.send(&request("GET", &way.path(app, video), "")).await;
    let head = client.head().await;
    assert_eq!(head.status, 200);
    let mut last = 0;
    let sent = eventually("the connection is full", SOON, || {
        let sent = app.state.metrics.sent_bytes.get() - before;
        let settled = sent > 0 && sent == std::mem::replace(&mut last, sent);
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            settled.then_some(sent)
        }
    })
    .await;
    assert!(sent < SIZE as u64, "the file is too small for this test");
    (client, head, sent)
}

/// sendfile gives the socket the pages of the file themselves. So bytes that were sent and not yet read change with the file;
/// copied ones don't.
#[test]
fn bytes_go_from_the_page_cache_to_the_socket_without_a_copy() {
    by_each_way_of_files(as_it_is, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let (mut client, head, sent) = stalled(&app, way, &video).await;
        let changed: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        let file = OpenOptions::new().write(true).open(app.file_of(&video)).unwrap();
        file.write_all_at(&changed, 0).unwrap();
        let (body, whole) = client.body(&head).await;
        assert!(whole);
        let sent = usize::try_from(sent).unwrap();
        // What the client's own kernel has is no longer the file's; half of what was sent can't be there.
        let late = (0..sent).filter(|at| body[*at] == changed[*at]).count();
        println!("{way:?}: {late} of {sent} bytes that were sent changed");
        if way == Way::Framework {
            assert_eq!(late, 0, "copied bytes can't change");
        } else {
            assert!(late > sent / 4, "{late} of {sent} bytes changed: they were copied");
        }
        assert!(body[sent + (1 << 20)..] == changed[sent + (1 << 20)..]);
    });
}

/// Drops the file from the page cache; `false` where that can't be done (a file system in memory).
fn evicted(file: &File) -> bool {
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
    let mut byte = [0];
    let read = preadv2(
        file,
        &mut [IoSliceMut::new(&mut byte)],
        (SIZE / 2) as u64,
        ReadWriteFlags::NOWAIT,
    );
    matches!(read, Err(Errno::AGAIN))
}

#[test]
fn cold_files_are_read_whole_and_in_ranges() {
    by_each_way_of_files(as_it_is, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let file = File::open(app.file_of(&video)).unwrap();
        let (path, mut random) = (way.path(&app, &video), Random::from_clock());
        let mut client = Raw::connect(&app.running.public).await;
        for round in 0..6 {
            if !evicted(&file) && round == 0 {
                eprintln!("files can't be evicted here: the test is of warm ones");
            }
            match round {
                0 => assert!(client.get(&path).await.body == bytes),
                // Across a border of windows, and anywhere.
                1 => range_is_right(&mut client, &path, ((2 << 20) - 10, (2 << 20) + 10), &bytes).await,
                _ => range_is_right(&mut client, &path, random.range(SIZE, 5 << 20), &bytes).await,
            }
        }
        drop(client);
        app.nothing_is_held().await;
    });
}

#[test]
fn promise_9_a_file_that_shrinks_under_a_transfer_cuts_it_and_nobody_else() {
    by_each_way_of_files(as_it_is, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let (other, others) = app.stored(300_000).await;
        let (mut client, head, _) = stalled(&app, way, &video).await;
        client.send(&request("GET", &way.path(&app, &other), "")).await;
        let file = OpenOptions::new().write(true).open(app.file_of(&video)).unwrap();
        file.set_len(1 << 20).unwrap();
        let (body, whole) = client.body(&head).await;
        // Not filled up, and not followed by the next answer.
        assert!(
            !whole && body.len() < SIZE && bytes.starts_with(&body),
            "{} bytes",
            body.len()
        );
        app.nothing_is_held().await;
        let mut client = Raw::connect(&app.running.public).await;
        range_is_right(&mut client, &way.path(&app, &other), (0, 300_000), &others).await;
    });
}

#[test]
fn a_file_that_vanishes_under_a_transfer_is_sent_to_its_end() {
    by_each_way_of_files(as_it_is, |app, way| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let (mut client, head, _) = stalled(&app, way, &video).await;
        std::fs::remove_file(app.file_of(&video)).unwrap();
        let (body, whole) = client.body(&head).await;
        assert!(whole && body == bytes);
        drop(client);
        app.nothing_is_held().await;
    });
}
