//! A server under measurement: where it is asked for what, and what it costs.

use std::any::Any;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use sha2::{Digest, Sha256};

use super::Bench;
use super::client::{Expect, Load, Next, Request, Seen};
use super::content::{Content, Random};
use crate::meter::Meter;

/// Of a client's connection: what a fast line far away has under way. It is fixed because the kernel's own tuning ends at
/// another size for each connection, by chance.
const RECEIVE_BUFFER: usize = 4 << 20;

pub struct Side {
    pub name: String,
    pub meter: Meter,
    /// The server that it passes on from.
    pub behind: Option<Meter>,
    pub address: SocketAddr,
    /// Where the content is.
    pub path: String,
    /// Ends the server when it is dropped, after the sides that stand before it.
    pub _hold: Box<dyn Any>,
}

impl Side {
    pub fn new(name: &str, pid: u32, address: SocketAddr, path: &str, hold: impl Any) -> Side {
        Side {
            name: name.to_owned(),
            meter: Meter::of(pid),
            behind: None,
            address,
            path: path.to_owned(),
            _hold: Box::new(hold),
        }
    }

    /// With what the process `pid` spends on it.
    pub fn before(self, pid: u32) -> Side {
        let behind = Some(Meter::of(pid));
        Side { behind, ..self }
    }

    /// Reads the whole and 40 ranges on one connection, and compares all of their bytes. Not measured.
    pub fn verify(&self, content: &Content) {
        let mut stream = TcpStream::connect(self.address).expect("the server accepts");
        let whole = ask(&mut stream, &Request::get(&self.path, content.size, None));
        let sum: [u8; 32] = Sha256::digest(&whole).into();
        assert_eq!(sum, content.sha256(), "{}: other bytes than were stored", self.name);
        drop(whole);
        let mut random = Random::new(7);
        for _ in 0..40 {
            let length = 1 + random.below(1 << 20);
            let first = random.below(content.size - length);
            let got = ask(
                &mut stream,
                &Request::get(&self.path, content.size, Some((first, length))),
            );
            let same = got == content.read(first, got.len());
            assert!(same, "{}: other bytes at {first}, {length}", self.name);
        }
    }

    /// Opens the connections of a shape, with one unmeasured request on each.
    pub fn open(&self, shape: &Shape, bench: &Bench) -> Load {
        let mut load = Load::connect(self.address, shape.connections, Some(RECEIVE_BUFFER));
        load.nap = bench.nap;
        let path = if bench.page {
            other_spelling(&self.path)
        } else {
            self.path.clone()
        };
        let mut begun = vec![false; shape.connections];
        let mut random = Random::new(0);
        load.run(|at| {
            if std::mem::replace(&mut begun[at], true) {
                return Next::End;
            }
            let length = Some(shape.length.unwrap_or(1 << 20));
            Next::Send(request(&path, length, &bench.content, &mut random))
        });
        load
    }

    /// Sends the requests of a shape; the same ranges for the same `seed`.
    pub fn run(&self, load: &mut Load, shape: &Shape, content: &Content, seed: u64) -> Seen {
        let mut random = Random::new(seed);
        let mut left = shape.requests;
        let seen = load.run(|_| {
            if left == 0 {
                return Next::End;
            }
            left -= 1;
            Next::Send(request(&self.path, shape.length, content, &mut random))
        });
        assert_eq!(seen.requests, shape.requests, "every request is answered");
        seen
    }
}

fn request(path: &str, length: Option<u64>, content: &Content, random: &mut Random) -> Request {
    let range = length.map(|length| (random.below(content.size - length), length));
    Request::get(path, content.size, range)
}

/// The same address, which Sluice answers in the framework: no plain request says it so.
fn other_spelling(path: &str) -> String {
    let first = path.as_bytes()[1];
    format!("/%{first:02x}{}", &path[2..])
}

/// A pattern of requests.
pub struct Shape {
    pub name: &'static str,
    pub connections: usize,
    /// On them together, in one go.
    pub requests: usize,
    /// How often in a round, each time with new connections: how a single one fares is chance.
    pub times: usize,
    /// Of each range; `None` is the whole file.
    pub length: Option<u64>,
}

fn ask(stream: &mut TcpStream, request: &Request) -> Vec<u8> {
    stream.write_all(&request.head).expect("the request is sent");
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    let end = loop {
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "the connection was closed");
        head.extend_from_slice(&piece[..count]);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let expect: Expect = request.expect;
    let length = expect.check(&head[..end]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut body = head.split_off(end + 4);
    let here = body.len();
    body.resize(usize::try_from(length).expect("it fits in memory"), 0);
    stream.read_exact(&mut body[here..]).expect("the rest");
    body
}
