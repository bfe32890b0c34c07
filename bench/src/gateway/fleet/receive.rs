//! What becomes of a connection when its socket can be written for the first time, and of the bytes that arrive: head of the
//! answer, greeting, answer to the login, then entries.

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::sockopt;

use super::Fleet;
use crate::gateway::connection::Stage;
use crate::gateway::frame::{self, Parsed};
use crate::gateway::latency;
use crate::gateway::payload::Said;

impl Fleet {
    pub(super) fn connected(&mut self, at: usize) {
        let Some(connection) = self.connections[at].as_mut() else {
            return;
        };
        let failed = sockopt::socket_error(&connection.socket).is_ok_and(|error| error.is_err());
        let plan = &self.plans[usize::from(connection.plan)];
        if failed || !connection.send(&plan.head) {
            return self.ended(at, "refused the connection");
        }
        connection.stage = Stage::Upgrading;
        let data = EventData::new_u64(at as u64);
        epoll::modify(&self.epoll, &connection.socket, data, EventFlags::IN).expect("epoll changes");
    }

    fn ended(&mut self, at: usize, reason: &str) {
        if self.connections[at].take().is_some() {
            self.free.push(at);
            *self.seen.ends.entry(reason.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn readable(&mut self, at: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.read_into(at, &mut buffer);
        self.buffer = buffer;
    }

    fn read_into(&mut self, at: usize, buffer: &mut [u8]) {
        let Some(connection) = self.connections[at].as_mut() else {
            return;
        };
        let kept = connection.rest.len();
        buffer[..kept].copy_from_slice(&connection.rest);
        let count = match rustix::io::read(&connection.socket, &mut buffer[kept..]) {
            Err(rustix::io::Errno::AGAIN) => return,
            Ok(count @ 1..) => count,
            Ok(_) => return self.ended(at, "end of stream"),
            Err(_) => return self.ended(at, "reset"),
        };
        connection.rest.clear();
        self.seen.bytes += count as u64;
        let bytes = &buffer[..kept + count];
        let used = self.digest(at, bytes);
        if let (Some(connection), Some(rest @ [_, ..])) = (self.connections[at].as_mut(), bytes.get(used..)) {
            connection.rest.extend_from_slice(rest);
        }
    }

    /// Handles what is whole of `bytes`; gives how much that was.
    fn digest(&mut self, at: usize, bytes: &[u8]) -> usize {
        let mut used = 0;
        let now = latency::now();
        while let Some(stage) = self.connections[at].as_ref().map(|connection| connection.stage) {
            let left = &bytes[used..];
            if stage == Stage::Upgrading {
                let Some(end) = left.windows(4).position(|four| four == b"\r\n\r\n") else {
                    break;
                };
                used += end + 4;
                self.upgraded(at, &left[..end]);
                continue;
            }
            match frame::parse(left) {
                Parsed::More => break,
                Parsed::Bad => self.ended(at, "bad frame"),
                Parsed::Frame(opcode, payload, length) => {
                    used += length;
                    self.frame(at, opcode, payload, now);
                }
            }
        }
        used
    }

    fn upgraded(&mut self, at: usize, head: &[u8]) {
        let status = String::from_utf8_lossy(head.get(..12).unwrap_or(head)).into_owned();
        if status != "HTTP/1.1 101" {
            return self.ended(at, &status);
        }
        let Some(connection) = self.connections[at].as_mut() else {
            return;
        };
        if self.plans[usize::from(connection.plan)].greeted {
            connection.stage = Stage::Greeting;
        } else {
            self.ready(at);
        }
    }

    fn ready(&mut self, at: usize) {
        let Some(connection) = self.connections[at].as_mut() else {
            return;
        };
        connection.stage = Stage::Ready;
        self.seen.ready += 1;
        if self.plans[usize::from(connection.plan)].hang_up {
            connection.reset_on_close();
            self.connections[at] = None;
            self.free.push(at);
        }
    }

    fn frame(&mut self, at: usize, opcode: u8, payload: &[u8], now: u64) {
        match opcode {
            frame::TEXT | frame::BINARY => {}
            frame::PING => {
                let pong = frame::masked(frame::PONG, payload);
                if !self.connections[at]
                    .as_ref()
                    .is_some_and(|connection| connection.send(&pong))
                {
                    self.ended(at, "no pong");
                }
                return;
            }
            frame::CLOSE => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                return self.ended(at, &format!("close {code}"));
            }
            _ => return,
        }
        self.seen.frames += 1;
        let said = self.reader.read(payload);
        let Some(connection) = self.connections[at].as_mut() else {
            return;
        };
        match said {
            Said::Entries {
                room,
                first,
                last,
                sent,
            } => {
                let fit = connection.arrived(room, first, last);
                self.seen.entries += fit.new;
                self.seen.missed += fit.missed;
                self.seen.repeated += fit.repeated;
                if let Some(sent) = sent {
                    self.seen.latency.add(now.saturating_sub(sent));
                }
            }
            Said::Connected if connection.stage == Stage::Greeting => self.greeted(at),
            Said::LoggedIn(heads) if connection.stage == Stage::LoggingIn => {
                for (room, head) in heads.into_iter().filter(|(room, _)| *room != u16::MAX) {
                    connection.stands_at(room, head);
                }
                self.ready(at);
            }
            Said::Other | Said::Connected | Said::LoggedIn(_) => {}
            Said::Refused(code) => self.ended(at, &format!("errCode {code}")),
            Said::Wrong => self.ended(at, &format!("not understood: {}", String::from_utf8_lossy(payload))),
        }
    }

    fn greeted(&mut self, at: usize) {
        let Some(connection) = self.connections[at].as_mut() else {
            return;
        };
        match &self.plans[usize::from(connection.plan)].login {
            None => self.ready(at),
            Some(login) => {
                connection.stage = Stage::LoggingIn;
                if !connection.send(login) {
                    self.ended(at, "no login");
                }
            }
        }
    }
}
