//! Bodies through a pipe into a file, on both kinds of threads.

use super::*;
use crate::capture::CaptureStream;
use crate::testing::random::noise;
use std::io::{Read, Write};
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWrite};

const LENGTH: usize = (20 << 20) + 12_345;
const SOON: Duration = Duration::from_secs(10);

fn bounds(stall: Duration, patience: Duration) -> Bounds {
    let write_back = WriteBack::Early;
    Bounds {
        stall,
        patience,
        write_back,
    }
}

fn file() -> Arc<File> {
    Arc::new(tempfile::tempfile().unwrap())
}

/// An upload whose head was read, and what the other side sent behind its body.
async fn captured(sent: Vec<u8>) -> (CaptureStream, Captured, std::thread::JoinHandle<std::net::TcpStream>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let head = format!("PUT /uploads/by-video/x HTTP/1.1\r\nHost: t\r\nContent-Length: {LENGTH}\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        // Who does not read on to the end resets.
        drop(client.write_all(&sent));
        client
    });
    let mut stream = CaptureStream::new(listener.accept().await.unwrap().0, true);
    let mut head = [0; 1000];
    let length = stream.read(&mut head).await.unwrap();
    assert!(head[..length].ends_with(b"Content-Length: 00000000\r\n\r\n"));
    let (captured, _) = Captured::of(stream.handle().0.upgrade().unwrap()).unwrap();
    (stream, captured, client)
}

async fn check(bounds: Bounds) {
    let mut sent = noise(LENGTH, 0);
    sent.extend_from_slice(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (mut stream, mut body, client) = captured(sent).await;
    let file = file();
    file.write_all_at(b"before", 0).unwrap();
    body.move_to_file_within(&file, 6, bounds).await.unwrap();
    assert_eq!(body.left(), 0);
    let mut stored = Vec::new();
    let mut whole = &*file;
    std::io::Seek::rewind(&mut whole).unwrap();
    whole.read_to_end(&mut stored).unwrap();
    assert!(
        stored[..6] == *b"before" && stored[6..] == noise(LENGTH, 0),
        "the file is what was sent"
    );
    let mut next = [0; 100];
    let length = stream.read(&mut next).await.unwrap();
    assert_eq!(&next[..length], b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.join().unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_goes_into_a_file_and_leaves_what_follows() {
    for write_back in [WriteBack::Early, WriteBack::Kernel] {
        let bounds = bounds(SOON, Duration::MAX);
        check(Bounds { write_back, ..bounds }).await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn so_does_one_whose_disk_is_slow_on_the_blocking_pool() {
    check(bounds(SOON, Duration::ZERO)).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_stops_ends_in_both_places() {
    for patience in [Duration::MAX, Duration::ZERO] {
        let (_stream, mut body, client) = captured(noise(LENGTH, 0)[..5 << 20].to_vec()).await;
        let stall = Duration::from_millis(600);
        let error = body
            .move_to_file_within(&file(), 0, bounds(stall, patience))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client.join().unwrap());
        let (_stream, mut body, client) = captured(noise(LENGTH, 0)[..5 << 20].to_vec()).await;
        let gone = std::thread::spawn(move || drop(client.join().unwrap()));
        let error = body
            .move_to_file_within(&file(), 0, bounds(SOON, patience))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        gone.join().unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_thread_of_a_body_that_nobody_waits_for_ends() {
    let (_stream, mut body, client) = captured(noise(LENGTH, 0)[..5 << 20].to_vec()).await;
    let file = file();
    let moving = body.move_to_file_within(&file, 0, bounds(Duration::from_secs(600), Duration::ZERO));
    assert!(tokio::time::timeout(Duration::from_millis(300), moving).await.is_err());
    let client = client.join().unwrap();
    let began = Instant::now();
    // The thread has the only other handle.
    while Arc::strong_count(&file) > 1 {
        assert!(began.elapsed() < SOON, "the thread goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(client);
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_whose_connection_ends_under_it_is_not_taken_further() {
    let shutdown = async |stream: &mut CaptureStream| {
        let lingers = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_shutdown(cx).is_pending()));
        assert!(lingers.await);
    };
    let part = &noise(LENGTH, 0)[..5 << 20];
    let (mut stream, mut body, _client) = captured(part.to_vec()).await;
    shutdown(&mut stream).await;
    let error = body.read(&mut Vec::new(), 10).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    for patience in [Duration::MAX, Duration::ZERO] {
        let (mut stream, mut body, _client) = captured(part.to_vec()).await;
        let file = file();
        let moving = body.move_to_file_within(&file, 0, bounds(SOON, patience));
        let (moved, ()) = tokio::join!(moving, async {
            // Whichever thread moves it has begun.
            while file.metadata().unwrap().len() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            shutdown(&mut stream).await;
        });
        assert_eq!(moved.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
