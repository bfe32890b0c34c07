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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (Line, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Line::new(near), listener.accept().await.unwrap().0)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(flavor = "local")]
    async fn the_one_used_last_is_taken_first_and_no_more_are_kept_than_may_be() {
        let shelf = Rc::new(Shelf::new(2, LONG));
        let mut far = Vec::new();
        for _ in 0..3 {
            let (line, other) = pair().await;
            shelf.give_back(line);
            far.push(other);
        }
        let taken = shelf.take().unwrap();
        assert_eq!(taken.io.local_addr().unwrap(), far[1].peer_addr().unwrap());
        assert!(shelf.take().is_some() && shelf.take().is_none());
    }

    #[tokio::test(flavor = "local")]
    async fn what_was_closed_or_has_something_to_say_is_not_taken() {
        let shelf = Rc::new(Shelf::new(9, LONG));
        let (quiet, _far) = pair().await;
        let quiet_one = quiet.io.local_addr().unwrap();
        shelf.give_back(quiet);
        let (line, closed) = pair().await;
        shelf.give_back(line);
        let (line, mut talking) = pair().await;
        shelf.give_back(line);
        drop(closed);
        talking.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Bytes on loopback are there when they are written, but for the runtime to hear of it.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(shelf.take().unwrap().io.local_addr().unwrap(), quiet_one);
        assert!(shelf.is_empty());
    }

    #[tokio::test(flavor = "local")]
    async fn what_lies_too_long_is_closed() {
        let shelf = Rc::new(Shelf::new(9, Duration::from_millis(20)));
        let (line, _far) = pair().await;
        shelf.give_back(line);
        sleep(Duration::from_millis(30)).await;
        assert!(shelf.sweeping.get() && !shelf.sweep() && shelf.is_empty());
        let (line, _far) = pair().await;
        shelf.give_back(line);
        sleep(Duration::from_millis(30)).await;
        assert!(shelf.take().is_none());
    }
}
