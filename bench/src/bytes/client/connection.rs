//! One connection of the load client: one request at a time, sent, answered, checked.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::answer::Expect;

/// The longest head of an answer.
const HEAD: usize = 16 << 10;
/// Sent in one call: the other connections have their turn.
const PIECE: u64 = 2 << 20;

#[derive(Clone)]
pub struct Request {
    pub head: Arc<[u8]>,
    pub body: Option<Body>,
    pub expect: Expect,
}

/// Bytes that go with a request: `from..end` of a file.
#[derive(Clone)]
pub struct Body {
    pub file: Arc<File>,
    pub from: u64,
    pub end: u64,
}

impl Request {
    /// A GET of `path`; `range` is the first byte and the length of a part of `size` bytes.
    pub fn get(path: &str, size: u64, range: Option<(u64, u64)>) -> Request {
        let (field, expect) = match range {
            None => (String::new(), Expect::whole(size)),
            Some((first, length)) => (
                format!("Range: bytes={first}-{}\r\n", first + length - 1),
                Expect::part(first, length, size),
            ),
        };
        Request {
            head: format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{field}\r\n")
                .into_bytes()
                .into(),
            body: None,
            expect,
        }
    }
}

enum Stage {
    Idle,
    Head { sent: usize },
    Body { at: u64 },
    Answer { head: Vec<u8> },
    Rest { left: u64 },
    Stalled,
}

/// How a connection stands after it did what it could.
pub enum Turn {
    Waits,
    Done(Duration),
    Stalled,
}

pub struct Connection {
    pub socket: OwnedFd,
    stage: Stage,
    request: Option<Request>,
    began: Instant,
    interest: EventFlags,
    wanted: EventFlags,
}

impl Connection {
    pub fn open(address: SocketAddr, receive_buffer: Option<usize>) -> rustix::io::Result<Connection> {
        let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(size) = receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, size)?;
        }
        net::connect(&socket, &address)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Connection {
            socket,
            stage: Stage::Idle,
            request: None,
            began: Instant::now(),
            interest: EventFlags::IN,
            wanted: EventFlags::IN,
        })
    }

    pub fn begin(&mut self, request: Request) {
        self.request = Some(request);
        self.stage = Stage::Head { sent: 0 };
        self.began = Instant::now();
    }

    /// Whether what happened is the answer to something. A server may end a connection that asks for nothing more; whoever still
    /// wants something from it learns that then.
    pub fn expects(&self, flags: EventFlags) -> bool {
        assert!(
            !matches!(self.stage, Stage::Stalled),
            "a stalled reader has an event: {flags:?}"
        );
        !matches!(self.stage, Stage::Idle)
    }

    /// The interest that epoll has to be told, when it is another one.
    pub fn interest_changed(&mut self) -> Option<EventFlags> {
        let changed = self.wanted != self.interest;
        self.interest = self.wanted;
        changed.then_some(self.interest)
    }

    /// Does what can be done now; gives the bytes of bodies that moved.
    pub fn advance(&mut self, buffer: &mut [u8]) -> (Turn, u64) {
        let mut moved = 0;
        self.wanted = EventFlags::IN;
        loop {
            let request = self.request.as_ref().expect("there is a request");
            match &mut self.stage {
                Stage::Idle | Stage::Stalled => return (Turn::Waits, moved),
                Stage::Head { sent } => {
                    let more = if request.body.is_some() {
                        SendFlags::MORE
                    } else {
                        SendFlags::empty()
                    };
                    match net::send(&self.socket, &request.head[*sent..], SendFlags::NOSIGNAL | more) {
                        Ok(count) => *sent += count,
                        Err(Errno::AGAIN) => return (self.wants_to_send(), moved),
                        Err(error) => panic!("sending a request: {error}"),
                    }
                    if *sent == request.head.len() {
                        self.stage = match &request.body {
                            Some(body) => Stage::Body { at: body.from },
                            None => Stage::Answer { head: Vec::new() },
                        };
                    }
                }
                Stage::Body { at } => {
                    let body = request.body.as_ref().expect("this request has a body");
                    if *at == body.end {
                        self.stage = Stage::Answer { head: Vec::new() };
                        continue;
                    }
                    let count = usize::try_from((body.end - *at).min(PIECE)).expect("a short piece");
                    match rustix::fs::sendfile(&self.socket, &body.file, Some(at), count) {
                        Ok(0) => panic!("the file to be sent is shorter than it was"),
                        // The others have their turn.
                        Ok(count) => return (self.wants_to_send(), moved + count as u64),
                        Err(Errno::AGAIN) => return (self.wants_to_send(), moved),
                        Err(error) => panic!("sending a body: {error}; {}", self.last_words()),
                    }
                }
                Stage::Answer { head } => {
                    let Some(end) = read_head(&self.socket, head) else {
                        return (Turn::Waits, moved);
                    };
                    let length = request
                        .expect
                        .check(&head[..end])
                        .unwrap_or_else(|wrong| panic!("{wrong}"));
                    let here = (head.len() - end - 4) as u64;
                    assert!(here <= length, "more bytes came than the answer has");
                    moved += here;
                    if request.expect.stall {
                        self.stage = Stage::Stalled;
                        self.wanted = EventFlags::empty();
                        return (Turn::Stalled, moved);
                    }
                    self.stage = Stage::Rest { left: length - here };
                }
                Stage::Rest { left: 0 } => {
                    self.stage = Stage::Idle;
                    return (Turn::Done(self.began.elapsed()), moved);
                }
                Stage::Rest { left } => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                    match net::recv(&self.socket, &mut buffer[..most], RecvFlags::TRUNC) {
                        Ok((_, 0)) => panic!("the connection was closed {left} bytes before the end"),
                        Ok((_, count)) => {
                            *left -= count as u64;
                            moved += count as u64;
                            if *left > 0 {
                                return (Turn::Waits, moved);
                            }
                        }
                        Err(Errno::AGAIN) => return (Turn::Waits, moved),
                        Err(error) => panic!("{left} bytes before the end: {error}"),
                    }
                }
            }
        }
    }

    fn wants_to_send(&mut self) -> Turn {
        self.wanted = EventFlags::OUT;
        Turn::Waits
    }

    /// What the server said before it stopped to take bytes.
    fn last_words(&self) -> String {
        let mut text = [0; 1024];
        let (_, count) = net::recv(&self.socket, &mut text, RecvFlags::empty()).unwrap_or_default();
        String::from_utf8_lossy(&text[..count]).into_owned()
    }

    /// Panics when something came that nobody asked for. The end is a reset: no TIME_WAIT holds the port.
    pub fn end(self) {
        if matches!(self.stage, Stage::Idle) {
            let mut byte = [0];
            let left = net::recv(&self.socket, &mut byte, RecvFlags::PEEK);
            assert!(
                matches!(left, Err(Errno::AGAIN) | Ok((_, 0))),
                "after the last answer came more: {left:?}"
            );
        }
        sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).expect("a socket can linger");
    }
}

/// Reads until the empty line; gives where it begins. What is read beyond it is the begin of the body.
fn read_head(socket: &OwnedFd, head: &mut Vec<u8>) -> Option<usize> {
    loop {
        // As much as a head has, or the copying client would be measured again.
        let mut piece = [0; 2048];
        let count = match net::recv(socket, &mut piece, RecvFlags::empty()) {
            Ok((_, 0)) => panic!("the connection was closed before the answer"),
            Ok((_, count)) => count,
            Err(Errno::AGAIN) => return None,
            Err(error) => panic!("before the answer: {error}"),
        };
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&piece[..count]);
        if let Some(end) = head[from..].windows(4).position(|window| window == b"\r\n\r\n") {
            return Some(from + end);
        }
        assert!(head.len() < HEAD, "a head of more than {HEAD} bytes");
    }
}
