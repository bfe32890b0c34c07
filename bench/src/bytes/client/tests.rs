//! The load client finds out a server that answers wrongly: without that its figures would be worth nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::*;

/// A server that answers every request of one connection with the next of `answers`, and gives what it read.
fn server(answers: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut all, mut piece) = (Vec::new(), [0; 64 * 1024]);
        for answer in answers {
            let mut request = Vec::new();
            while !whole(&request) {
                let count = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..count]);
            }
            all.extend(request);
            stream.write_all(&answer).unwrap();
        }
        // The client ends the connection.
        while stream.read(&mut piece).is_ok_and(|count| count > 0) {}
        all
    });
    (address, thread)
}

fn whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let length = head.split("Content-Length: ").nth(1);
    let length: usize = length.map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    request.len() >= end + 4 + length
}

fn part(fields: &str, body: &[u8]) -> Vec<u8> {
    [
        format!("HTTP/1.1 206 Partial Content\r\n{fields}\r\n\r\n").as_bytes(),
        body,
    ]
    .concat()
}

/// Asks for bytes 10 to 13 of 100, once for each answer.
fn ask(answers: Vec<Vec<u8>>) -> Seen {
    let mut left = answers.len();
    let (address, thread) = server(answers);
    let mut load = Load::connect(address, 1, None);
    let seen = load.run(|_| {
        if left == 0 {
            return Next::End;
        }
        left -= 1;
        Next::Send(Request::get("/", 100, Some((10, 4))))
    });
    load.end();
    thread.join().unwrap();
    seen
}

#[test]
fn bytes_are_counted() {
    let good = part("Content-Length: 4\r\nContent-Range: bytes 10-13/100", b"abcd");
    let seen = ask(vec![good.clone(), good]);
    assert_eq!((seen.requests, seen.bytes), (2, 8));
}

#[test]
#[should_panic(expected = "another range")]
fn another_range_is_found_out() {
    ask(vec![part(
        "Content-Length: 4\r\nContent-Range: bytes 11-14/100",
        b"abcd",
    )]);
}

#[test]
#[should_panic(expected = "another length")]
fn another_length_is_found_out() {
    ask(vec![part(
        "Content-Length: 5\r\nContent-Range: bytes 10-13/100",
        b"abcde",
    )]);
}

#[test]
#[should_panic(expected = "another status")]
fn an_error_is_no_figure() {
    ask(vec![
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n".to_vec(),
    ]);
}

#[test]
#[should_panic(expected = "more bytes came")]
fn bytes_too_many_are_found_out() {
    ask(vec![part(
        "Content-Length: 4\r\nContent-Range: bytes 10-13/100",
        b"abcde",
    )]);
}

#[test]
fn a_body_is_sent_whole() {
    let mut file = tempfile::tempfile().unwrap();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
    file.write_all(&bytes).unwrap();
    let (address, thread) = server(vec![b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".to_vec()]);
    let body = Body {
        file: Arc::new(File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).unwrap()),
        from: 0,
        end: bytes.len() as u64,
    };
    let head = format!("PUT / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", bytes.len());
    let mut request = Some(Request {
        head: head.clone().into_bytes().into(),
        body: Some(body),
        expect: Expect::status(201),
    });
    let mut load = Load::connect(address, 1, None);
    let seen = load.run(|_| request.take().map_or(Next::End, Next::Send));
    load.end();
    assert_eq!((seen.requests, seen.bytes), (1, bytes.len() as u64));
    assert!(
        thread.join().unwrap() == [head.as_bytes(), &bytes].concat(),
        "other bytes came"
    );
}
