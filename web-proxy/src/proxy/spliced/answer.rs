//! The body of one answer on its way from the service's socket through a pipe into the client's, without being copied.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use common::relay::{Flow, Pipe, Shelf};
use common::slot::{Job, Outlet};

use super::super::metrics::{Running, Way};
use super::connection::Connection;

pub struct Splice {
    /// Its connection and pipe are given back at the end; dropped, and so closed, in every other case.
    flow: Option<Flow>,
    /// Where the connection goes, if it may be used again.
    shelf: Option<Rc<Shelf>>,
    way: Way,
    /// `proxy.response_timeout`.
    wait: Duration,
    running: Running,
}

impl Splice {
    /// The next `left` bytes of `connection`, which may be used again if `keep`.
    pub fn new(connection: Connection, keep: bool, left: u64, pipe: Pipe, wait: Duration, running: Running) -> Self {
        let (line, shelf, way) = connection.into_parts();
        Splice {
            flow: Some(Flow::new(line, pipe, left)),
            shelf: keep.then_some(shelf),
            way,
            wait,
            running,
        }
    }

    /// A service that cuts a viewer (its video is deleted) resets the connection, and what the viewer has not got is thrown away. A Unix
    /// socket knows no reset: there any early end may be one.
    fn cut(&self, error: io::Error) -> io::Error {
        if self.way == Way::Unix && error.kind() == io::ErrorKind::UnexpectedEof {
            io::Error::new(io::ErrorKind::ConnectionReset, error)
        } else {
            error
        }
    }

    fn end(&mut self) {
        if let Some((line, pipe)) = self.flow.take().map(Flow::into_parts) {
            pipe.give_back();
            if let Some(shelf) = self.shelf.take() {
                shelf.give_back(line);
            }
        }
    }
}

impl Job for Splice {
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flow = self.flow.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            while !flow.is_dry() {
                ready!(flow.poll_drain(cx, to))?;
            }
            if flow.is_over() {
                self.end();
                return Poll::Ready(Ok(()));
            }
            match ready!(flow.poll_fill(cx, u64::MAX, self.wait)) {
                Ok(count) => self.running.moved(count),
                Err(error) => {
                    log::warn!("An answer was cut. From its service: {error}");
                    return Poll::Ready(Err(self.cut(error)));
                }
            }
        }
    }
}
