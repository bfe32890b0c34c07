//! Connections to one server that nobody uses just now. They belong to one thread, as the runtime does that watches them.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Patience;

/// They are looked through in this interval.
const SWEEP: Duration = Duration::from_secs(5);

/// A connection that nobody else uses.
pub struct Line {
    pub io: TcpStream,
    pub patience: Patience,
}

impl Line {
    /// One that was just opened.
    pub fn new(io: TcpStream) -> Self {
        Line {
            io,
            patience: Patience::until(Instant::now()),
        }
    }
}

struct Idle {
    line: Line,
    since: Instant,
}

impl Idle {
    /// Whether the server has said nothing, not even the end of the connection, since its last answer. This also tells
    /// tokio that nothing can be read, so that the next read waits instead of trying.
    fn is_quiet(&self) -> bool {
        let read = self.line.io.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// The connections to one server that nobody uses, the one used last on top.
pub struct Shelf {
    idle: RefCell<Vec<Idle>>,
    sweeping: Cell<bool>,
    most: usize,
    keep: Duration,
}

impl Shelf {
    /// For at most `most` connections, each for as long as `keep`: shorter than the server keeps them, so that one is rarely closed
    /// under a request.
    pub fn new(most: usize, keep: Duration) -> Self {
        Shelf {
            idle: RefCell::default(),
            sweeping: Cell::default(),
            most,
            keep,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty()
    }

    /// Closes them all: the server may be gone.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    pub fn take(&self) -> Option<Line> {
        let mut idle = self.idle.borrow_mut();
        while let Some(last) = idle.pop() {
            if last.since.elapsed() >= self.keep {
                // Those below it lie longer.
                idle.clear();
            } else if last.is_quiet() {
                return Some(last.line);
            }
        }
        None
    }

    /// For the next request. Only after a whole answer that did not end the connection.
    pub fn give_back(self: &Rc<Self>, line: Line) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.most {
            let since = Instant::now();
            idle.push(Idle { line, since });
            self.sweep_later();
        }
    }

    /// Closes what is too old or was closed by the server, as long as there is something.
    fn sweep_later(self: &Rc<Self>) {
        if self.sweeping.replace(true) {
            return;
        }
        let shelf = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            loop {
                sleep(SWEEP).await;
                if !Weak::upgrade(&shelf).is_some_and(|shelf| shelf.sweep()) {
                    return;
                }
            }
        });
    }

    /// Whether something is left.
    fn sweep(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|one| one.since.elapsed() < self.keep && one.is_quiet());
        self.sweeping.set(!idle.is_empty());
        self.sweeping.get()
    }
}
