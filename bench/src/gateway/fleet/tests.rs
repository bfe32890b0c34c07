//! The client against a server of a few lines that misbehaves in known ways: what it says must be what happened.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::*;
use crate::gateway::{frame, post};

const PATIENCE: Duration = Duration::from_secs(10);

/// Upgrades one connection, then does `what`.
fn server(what: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        assert!(socket.read(&mut [0; 4096]).unwrap() > 0);
        socket.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
        what(socket);
    });
    (address, thread)
}

fn message(seq: u32) -> Vec<u8> {
    frame::unmasked(post::frame("room", seq, "hello").as_bytes())
}

fn gathered(address: SocketAddr) -> Fleet {
    let mut fleet = Fleet::new();
    let plan = fleet.plan(Plan::new(address, "/", ""));
    fleet.gather([plan]);
    fleet
}

#[test]
fn frames_in_pieces_are_put_together() {
    let (address, thread) = server(|mut socket| {
        let bytes: Vec<u8> = (1..=20).flat_map(message).collect();
        for piece in bytes.chunks(7) {
            socket.write_all(piece).unwrap();
        }
        drop(socket.read(&mut [0; 1]));
    });
    let mut fleet = gathered(address);
    assert!(fleet.until(PATIENCE, |seen| seen.entries == 20));
    fleet.seen.whole();
    fleet.cut();
    thread.join().unwrap();
}

#[test]
fn gaps_repeats_and_the_close_code_are_told() {
    let (address, thread) = server(|mut socket| {
        for seq in [1, 2, 2, 5] {
            socket.write_all(&message(seq)).unwrap();
        }
        // A close frame of a server: not masked, code 4408.
        socket.write_all(&[0x88, 2, 0x11, 0x38]).unwrap();
        drop(socket.read(&mut [0; 1]));
    });
    // Not gathered: its end may come together with its beginning.
    let mut fleet = Fleet::new();
    let plan = fleet.plan(Plan::new(address, "/", ""));
    fleet.begin(plan);
    assert!(fleet.until(PATIENCE, |seen| !seen.ends.is_empty()));
    let seen = fleet.take();
    assert_eq!((seen.entries, seen.missed, seen.repeated), (3, 2, 1));
    assert_eq!(seen.ends, BTreeMap::from([("close 4408".to_owned(), 1)]));
    assert_eq!(fleet.open(), 0);
    thread.join().unwrap();
}

#[test]
fn a_ping_is_answered() {
    let (address, thread) = server(|mut socket| {
        socket.write_all(&[0x89, 2, b'h', b'i']).unwrap();
        let mut pong = [0; 8];
        socket.read_exact(&mut pong).unwrap();
        assert_eq!(pong.as_slice(), frame::masked(frame::PONG, b"hi"));
        socket.write_all(&message(1)).unwrap();
        drop(socket.read(&mut [0; 1]));
    });
    let mut fleet = gathered(address);
    assert!(fleet.until(PATIENCE, |seen| seen.entries == 1));
    fleet.cut();
    thread.join().unwrap();
}
