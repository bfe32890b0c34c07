//! The load client for bytes: keep-alive connections on one thread and one epoll. Bodies that come are discarded in the
//! kernel (`MSG_TRUNC`: TCP frees them without copying), bodies that go are sent from the page cache (sendfile), so that the
//! client is not what is measured. Every answer is checked: status, lengths, range, and that not a byte more comes.

mod answer;
mod connection;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

pub use answer::Expect;
pub use connection::{Body, Request};
use connection::{Connection, Turn};

use crate::table::percentile;

/// One discarding read takes at most this much; the memory is never touched.
const BUFFER: usize = 8 << 20;
/// Nothing moves for so long: the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a connection does next.
pub enum Next {
    Send(Request),
    /// Asks again at this time.
    At(Instant),
    End,
}

/// What a run saw.
#[derive(Default)]
pub struct Seen {
    pub requests: usize,
    /// Of bodies, both ways.
    pub bytes: u64,
    /// Milliseconds from the request to the last byte of its answer, in the order of the answers.
    pub latencies: Vec<f64>,
}

impl Seen {
    /// The latency below which `share` of the answers lie, milliseconds.
    pub fn p(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        percentile(&sorted, share)
    }
}

pub struct Load {
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Vec<u8>,
    connections: Vec<Connection>,
    /// Sleep after each poll, so that what arrives meanwhile is taken together, as a network card's interrupts are moderated.
    /// On loopback it is the sender that pays for waking the receiver, once per segment when that is quick: up to four times
    /// the price of sending, by chance, and no server pays it for clients on other machines.
    pub nap: Duration,
}

impl Load {
    /// `count` connections. `receive_buffer` is SO_RCVBUF, where one that is small is wanted.
    pub fn connect(address: SocketAddr, count: usize, receive_buffer: Option<usize>) -> Load {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
        let open = |nth: usize| {
            let connection = Connection::open(address, receive_buffer)
                .unwrap_or_else(|error| panic!("connection {nth} to {address}: {error}"));
            let data = EventData::new_u64(nth as u64);
            epoll::add(&epoll, &connection.socket, data, EventFlags::IN).expect("epoll adds");
            connection
        };
        let connections = (0..count).map(open).collect();
        Load {
            epoll,
            events: Vec::with_capacity(1024),
            buffer: vec![0; BUFFER],
            connections,
            nap: Duration::ZERO,
        }
    }

    /// Every connection asks `next` (by its number) for one request after the other, until all have ended. Panics on a wrong
    /// answer: a fast error is no figure.
    pub fn run(&mut self, mut next: impl FnMut(usize) -> Next) -> Seen {
        let mut seen = Seen::default();
        let mut waiting: Vec<(Instant, usize)> = Vec::new();
        let mut running = self.connections.len();
        let mut idle: Vec<usize> = (0..running).rev().collect();
        let mut moved = Instant::now();
        while running > 0 {
            let now = Instant::now();
            waiting.retain(|(due, at)| {
                let due = *due <= now;
                idle.extend(due.then_some(*at));
                !due
            });
            while let Some(at) = idle.pop() {
                match next(at) {
                    Next::End => running -= 1,
                    Next::At(due) => waiting.push((due, at)),
                    Next::Send(request) => {
                        self.connections[at].begin(request);
                        self.turn(at, &mut seen, &mut idle, &mut running);
                    }
                }
            }
            if running == 0 {
                break;
            }
            let soonest = waiting.iter().map(|(due, _)| *due).min();
            let wait = soonest.map_or(Duration::from_secs(1), |due| {
                due.saturating_duration_since(Instant::now())
            });
            let before = (seen.bytes, seen.requests);
            for (at, flags) in self.poll(wait) {
                if self.connections[at].expects(flags) {
                    self.turn(at, &mut seen, &mut idle, &mut running);
                } else {
                    epoll::delete(&self.epoll, &self.connections[at].socket).expect("epoll deletes");
                }
            }
            if before != (seen.bytes, seen.requests) || !waiting.is_empty() || !idle.is_empty() {
                moved = Instant::now();
            }
            assert!(moved.elapsed() < PATIENCE, "nothing moves any more with {running} open");
        }
        seen
    }

    fn turn(&mut self, at: usize, seen: &mut Seen, idle: &mut Vec<usize>, running: &mut usize) {
        let connection = &mut self.connections[at];
        let (turn, bytes) = connection.advance(&mut self.buffer);
        seen.bytes += bytes;
        match turn {
            Turn::Waits => {}
            Turn::Done(latency) => {
                seen.requests += 1;
                seen.latencies.push(latency.as_secs_f64() * 1e3);
                idle.push(at);
            }
            Turn::Stalled => {
                seen.requests += 1;
                *running -= 1;
            }
        }
        if let Some(interest) = connection.interest_changed() {
            let data = EventData::new_u64(at as u64);
            epoll::modify(&self.epoll, &connection.socket, data, interest).expect("epoll modifies");
        }
    }

    fn poll(&mut self, wait: Duration) -> Vec<(usize, EventFlags)> {
        let wait = Timespec::try_from(wait).expect("a short time");
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        if !self.nap.is_zero() {
            std::thread::sleep(self.nap);
        }
        let number = |event: &Event| {
            let data = event.data;
            usize::try_from(data.u64()).expect("an index")
        };
        self.events.iter().map(|event| (number(event), event.flags)).collect()
    }

    /// Ends the connections. Panics when a server sent more than it said.
    pub fn end(self) {
        for connection in self.connections {
            connection.end();
        }
    }
}

#[cfg(test)]
mod tests;
