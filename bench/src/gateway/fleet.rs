//! The load client: many WebSocket connections on one thread and one epoll. It reads into one buffer, keeps about 100
//! bytes per connection and allocates nothing per message, so that the server is what is measured; `gateway client` shows
//! what it can take.

mod receive;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::connection::Connection;
use super::latency::Histogram;
use super::payload::Reader;
use super::plan::Plan;

/// One read takes at most this much; the longest frame must fit.
const BUFFER: usize = 1 << 20;
/// Handshakes at once: enough to keep both sides busy, less than any backlog.
pub const PARALLEL: usize = 256;

/// What the connections saw since it was last taken.
pub struct Seen {
    /// Became ready.
    pub ready: usize,
    /// Data frames, and the bytes of all reads.
    pub frames: u64,
    pub bytes: u64,
    /// Room entries that were new, that were skipped, and that came again.
    pub entries: u64,
    pub missed: u64,
    pub repeated: u64,
    /// Ends that were not ours, by their reason.
    pub ends: BTreeMap<String, u64>,
    pub latency: Histogram,
}

impl Seen {
    fn new() -> Self {
        Seen {
            ready: 0,
            frames: 0,
            bytes: 0,
            entries: 0,
            missed: 0,
            repeated: 0,
            ends: BTreeMap::new(),
            latency: Histogram::new(),
        }
    }

    /// Panics when anything was lost, repeated or ended: a figure of a server that loses messages is none.
    pub fn whole(&self) {
        let lost = (self.missed, self.repeated);
        assert!(
            lost == (0, 0),
            "{} entries missed, {} repeated",
            self.missed,
            self.repeated
        );
        assert!(self.ends.is_empty(), "connections ended: {:?}", self.ends);
    }
}

pub struct Fleet {
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Vec<u8>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    plans: Vec<Plan>,
    pub reader: Reader,
    pub seen: Seen,
    /// Sleep after each poll, so that what arrives meanwhile is taken together, as a network card's interrupts are moderated.
    /// On loopback it is the sender that pays for waking the receiver, once per message when that is quick: 15 % of a
    /// delivery that no server pays for clients on other machines.
    pub nap: Duration,
}

impl Fleet {
    pub fn new() -> Fleet {
        Fleet {
            epoll: epoll::create(CreateFlags::CLOEXEC).expect("an epoll"),
            events: Vec::with_capacity(1024),
            buffer: vec![0; BUFFER],
            connections: Vec::new(),
            free: Vec::new(),
            plans: Vec::new(),
            reader: Reader::new(),
            seen: Seen::new(),
            nap: Duration::ZERO,
        }
    }

    pub fn plan(&mut self, plan: Plan) -> usize {
        self.plans.push(plan);
        self.plans.len() - 1
    }

    /// Connections that are open, ready or not.
    pub fn open(&self) -> usize {
        self.connections.len() - self.free.len()
    }

    pub fn take(&mut self) -> Seen {
        std::mem::replace(&mut self.seen, Seen::new())
    }

    /// Opens a connection for each of `plans`, `PARALLEL` at a time, and waits until all are ready. Panics when one is
    /// refused or when nothing moves for 30 s.
    pub fn gather(&mut self, plans: impl IntoIterator<Item = usize>) -> Duration {
        let began = Instant::now();
        let mut moved = began;
        let mut plans = plans.into_iter();
        let (mut begun, ready_before) = (0, self.seen.ready);
        let mut left = true;
        loop {
            let ready = self.seen.ready - ready_before;
            while left && begun - ready < PARALLEL {
                match plans.next() {
                    Some(plan) => self.begin(plan),
                    None => left = false,
                }
                begun += usize::from(left);
            }
            if !left && ready == begun {
                return began.elapsed();
            }
            self.poll(Duration::from_millis(100));
            if self.seen.ready - ready_before > ready {
                moved = Instant::now();
            }
            assert!(self.seen.ends.is_empty(), "after {ready} ready: {:?}", self.seen.ends);
            assert!(moved.elapsed() < Duration::from_secs(30), "stuck at {ready} of {begun}");
        }
    }

    /// Begins one connection.
    pub fn begin(&mut self, plan: usize) {
        let number = u16::try_from(plan).expect("few plans");
        let at = self.free.pop().unwrap_or(self.connections.len());
        let connection = Connection::open(&self.plans[plan], number, at).expect("a socket");
        epoll::add(
            &self.epoll,
            &connection.socket,
            EventData::new_u64(at as u64),
            EventFlags::OUT,
        )
        .expect("epoll adds");
        if at == self.connections.len() {
            self.connections.push(None);
        }
        self.connections[at] = Some(connection);
    }

    /// Waits at most `wait` for something to happen, and handles all of it.
    pub fn poll(&mut self, wait: Duration) {
        let wait = Timespec::try_from(wait).expect("a short time");
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        for event in &events {
            let (at, flags) = (event.data.u64(), event.flags);
            let at = usize::try_from(at).expect("an index");
            if flags.contains(EventFlags::OUT) {
                self.connected(at);
            } else {
                self.readable(at);
            }
        }
        self.events = events;
        if !self.nap.is_zero() {
            std::thread::sleep(self.nap);
        }
    }

    /// Polls until `done`, or until nothing was received for `patience`; tells which.
    pub fn until(&mut self, patience: Duration, done: impl Fn(&Seen) -> bool) -> bool {
        let mut last = (Instant::now(), self.seen.bytes);
        while !done(&self.seen) {
            self.poll(Duration::from_millis(20));
            if self.seen.bytes != last.1 {
                last = (Instant::now(), self.seen.bytes);
            } else if last.0.elapsed() > patience {
                return false;
            }
        }
        true
    }

    /// Polls for `time`.
    pub fn rest(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.poll(left.min(Duration::from_millis(50)));
        }
    }

    /// Resets every connection at once.
    pub fn cut(&mut self) {
        for connection in self.connections.drain(..).flatten() {
            connection.reset_on_close();
        }
        self.free.clear();
    }

    /// Sends `bytes` on every connection.
    pub fn send_all(&self, bytes: &[u8]) {
        for connection in self.connections.iter().flatten() {
            assert!(connection.send(bytes), "the bytes are sent");
        }
    }

    /// Keeps up handshakes with `plans` in turn, each reset when it is ready, for `time`. Gives their number.
    pub fn handshakes(&mut self, plans: &[usize], parallel: usize, time: Duration) -> usize {
        let (end, before) = (Instant::now() + time, self.seen.ready);
        let mut turn = plans.iter().cycle();
        while Instant::now() < end {
            while self.open() < parallel {
                self.begin(*turn.next().expect("at least one plan"));
            }
            self.poll(Duration::from_millis(20));
            assert!(self.seen.ends.is_empty(), "{:?}", self.seen.ends);
        }
        let done = self.seen.ready - before;
        self.cut();
        done
    }
}

#[cfg(test)]
mod tests;
