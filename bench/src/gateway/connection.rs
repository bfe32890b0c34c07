//! One connection of the load client: its socket, how far it is, and the number expected next in each of its rooms. A
//! connection keeps bytes only while a frame is incomplete.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};

use super::payload::ROOMS;
use super::plan::{self, Plan};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    Connecting,
    Upgrading,
    Greeting,
    LoggingIn,
    Ready,
}

#[derive(Clone, Copy)]
struct Place {
    room: u16,
    /// 0 before the first entry of a server that does not tell where a room stands.
    next: u32,
}

pub struct Connection {
    pub socket: OwnedFd,
    pub stage: Stage,
    pub plan: u16,
    /// The beginning of a frame whose end has not come.
    pub rest: Vec<u8>,
    places: [Place; ROOMS],
}

/// How a run of entries fits to what was expected.
#[derive(Debug, Default, PartialEq)]
pub struct Fit {
    pub new: u64,
    pub missed: u64,
    pub repeated: u64,
}

impl Connection {
    /// Begins to connect. The first connection to a full backlog waits in the kernel, not here.
    pub fn open(plan: &Plan, number: u16, nth: usize) -> rustix::io::Result<Connection> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(size) = plan.receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, size)?;
        }
        if nth >= 15_000 {
            net::bind(&socket, &SocketAddrV4::new(plan::source(nth), 0))?;
        }
        match net::connect(&socket, &plan.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Connection {
            socket,
            stage: Stage::Connecting,
            plan: number,
            rest: Vec::new(),
            places: [Place {
                room: u16::MAX,
                next: 0,
            }; ROOMS],
        })
    }

    /// Sends a short message whole. Nobody here sends so much that the socket is full.
    pub fn send(&self, bytes: &[u8]) -> bool {
        net::send(&self.socket, bytes, SendFlags::NOSIGNAL).is_ok_and(|sent| sent == bytes.len())
    }

    /// Closing will reset the connection: no TIME_WAIT, and the server learns it at once.
    pub fn reset_on_close(&self) {
        sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).expect("a socket can linger");
    }

    /// The room stands at `head`: what comes next is `head` + 1.
    pub fn stands_at(&mut self, room: u16, head: u32) {
        let place = self.place(room);
        if place.next == 0 {
            place.next = head + 1;
        }
    }

    fn place(&mut self, room: u16) -> &mut Place {
        let at = self
            .places
            .iter()
            .position(|place| place.room == room || place.room == u16::MAX);
        let place = &mut self.places[at.expect("a connection joins as many rooms as it has places")];
        place.room = room;
        place
    }

    pub fn arrived(&mut self, room: u16, first: u32, last: u32) -> Fit {
        let place = self.place(room);
        let expected = if place.next == 0 { first } else { place.next };
        let repeated = expected.min(last + 1).saturating_sub(first);
        place.next = expected.max(last + 1);
        Fit {
            new: u64::from(last + 1 - first - repeated),
            missed: u64::from(first.saturating_sub(expected)),
            repeated: u64::from(repeated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Connection::open(&Plan::new(listener.local_addr().unwrap(), "/", ""), 0, 0).unwrap()
    }

    fn fit(new: u64, missed: u64, repeated: u64) -> Fit {
        Fit { new, missed, repeated }
    }

    #[test]
    fn gaps_and_repeats_are_seen() {
        let mut connection = connection();
        connection.stands_at(3, 10);
        assert_eq!(connection.arrived(3, 11, 12), fit(2, 0, 0));
        assert_eq!(connection.arrived(3, 14, 14), fit(1, 1, 0));
        assert_eq!(connection.arrived(3, 14, 14), fit(0, 0, 1));
        assert_eq!(connection.arrived(3, 13, 16), fit(2, 0, 2));
    }

    #[test]
    fn rooms_are_counted_apart() {
        let mut connection = connection();
        connection.stands_at(1, 5);
        assert_eq!(connection.arrived(2, 100, 100), fit(1, 0, 0));
        assert_eq!(connection.arrived(1, 6, 6), fit(1, 0, 0));
        assert_eq!(connection.arrived(2, 102, 102), fit(1, 1, 0));
    }
}
