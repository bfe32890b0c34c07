//! From the socket into the session: bytes to frames to steps. While a client has enough calls running, or does not read what
//! it asked for, its bytes are held and no more are read.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use super::{Connection, SCRATCH, calls};
use crate::gateway::frame::{self, Incoming};
use crate::gateway::outbound::Class;
use crate::gateway::session::Step;
use crate::gateway::shard::Shard;

impl Connection {
    /// Reads once; `true` at the end of the stream.
    pub(super) fn read(self: &Rc<Self>, shard: &Rc<Shard>) -> io::Result<bool> {
        let mut buffer = shard.scratch.take();
        // A panic while it was in use has taken it away.
        buffer.resize(SCRATCH, 0);
        let result = match self.socket.try_read(&mut buffer) {
            Ok(0) => Ok(true),
            Ok(count) => {
                let now = Instant::now();
                self.heard.set(now);
                let (goes_on, allowed) = {
                    let mut inner = self.touch();
                    (inner.may_linger(count), inner.session.on_bytes(count, now))
                };
                match allowed {
                    _ if !goes_on => self.break_off(&mut self.touch()),
                    Ok(()) => self.take_in(shard, &mut buffer[..count]),
                    Err(step) => self.act(shard, step),
                }
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        };
        shard.scratch.replace(buffer);
        result
    }

    /// Goes on with what was held back while too many calls ran or too much waited.
    pub(super) fn resume(self: &Rc<Self>, shard: &Rc<Shard>) {
        let mut held = {
            let mut inner = self.touch();
            if inner.held.is_empty() || inner.is_busy() {
                return;
            }
            std::mem::take(&mut inner.held)
        };
        self.take_in(shard, &mut held);
    }

    /// Takes in bytes that were read.
    fn take_in(self: &Rc<Self>, shard: &Rc<Shard>, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let mut inner = self.touch();
            if inner.closing.is_some() && !inner.awaits_close() {
                return;
            }
            let closing = inner.closing.is_some();
            // Who is closed runs nothing more: its goodbye need not wait for the calls that run.
            if inner.is_busy() && !closing {
                inner.held = bytes.to_vec();
                return;
            }
            let incoming = match inner.decoder.next(&mut bytes) {
                Ok(Some(incoming)) => incoming,
                Ok(None) => return,
                Err(violation) => {
                    inner.begin_closing(violation.code, violation.reason);
                    return;
                }
            };
            let step = match incoming {
                Incoming::Close(_) => {
                    inner.answer_close();
                    return;
                }
                _ if closing => continue,
                Incoming::Ping(payload) => {
                    let allowed = inner.session.on_ping(Instant::now());
                    drop(inner);
                    match allowed {
                        Ok(()) => self.send(&frame::pong(&payload).into(), Class::Control),
                        Err(step) => self.act(shard, step),
                    }
                    continue;
                }
                Incoming::Pong => continue,
                Incoming::Text(text) => inner.session.on_text(&text, Instant::now(), &shard.shared.functions),
                Incoming::Binary(_) => inner.session.on_binary(),
            };
            drop(inner);
            self.act(shard, step);
        }
    }

    fn act(self: &Rc<Self>, shard: &Rc<Shard>, step: Step) {
        match step {
            Step::Reply(text) => self.reply(&text),
            Step::Run(call) => calls::start(shard, self, call),
            Step::Close(code, reason) => self.close(code, reason),
        }
    }
}
