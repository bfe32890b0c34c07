//! The connections of one worker to the replicas of a service, used by one request at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use common::relay::{Line, Shelf};
use common::replicas::Replica;
use common::slot::Socket;
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use super::super::client::{IDLE, MAX_IDLE};
use super::super::exchange::{Failure, chain, is_cut};
use super::super::metrics::{Opened, Way};
use super::hearing::{Heard, Hearing};
use super::inflow::{Inflow, Stop};
use super::neighbours::Neighbours;
use super::waiting::Waiting;

/// A connection that nobody else uses.
pub struct Connection {
    pub line: Line,
    way: Way,
    shelf: Rc<Shelf>,
}

impl Connection {
    /// Sends `request` and reads the head of its answer, with at most `first` bytes at once.
    pub async fn ask(
        &mut self,
        replica: &Replica,
        request: &[u8],
        first: usize,
        due: Instant,
        wait: Duration,
    ) -> Result<Heard, Failure> {
        let Line { io, patience } = &mut self.line;
        patience.move_to(due);
        let converse = async {
            io.write_all(request).await?;
            Hearing::new(first).read(io).await
        };
        let heard = tokio::select! {
            biased;
            heard = converse => heard,
            () = poll_fn(|cx| patience.poll_over(cx)) => return Err(Failure::late(replica, wait)),
        };
        heard.map_err(|error| self.failure(&error))
    }

    /// The same with a body, which moves for as long as nobody makes the other wait too long. An answer that comes before its end
    /// leaves the rest where it is.
    pub async fn bring(
        &mut self,
        replica: &Replica,
        request: &[u8],
        body: &mut Inflow,
        first: usize,
        wait: Duration,
    ) -> Result<Heard, Failure> {
        let mut begin = request.to_vec();
        body.begin(&mut begin);
        let mut refused = match timeout(wait, self.line.io.write_all(&begin)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => return Err(Failure::late(replica, wait)),
        };
        drop(begin);
        let mut hearing = Hearing::new(first);
        while refused.is_none() {
            match poll_fn(|cx| body.poll_move(cx, &mut self.line, wait)).await? {
                Stop::Over => break,
                Stop::Refused(error) => refused = Some(error),
                Stop::Spoken => {
                    let heard = hearing.try_read(&self.line.io);
                    if let Some(heard) = heard.map_err(|error| self.failure(&error))? {
                        return Ok(heard);
                    }
                }
            }
        }
        let Line { io, patience } = &mut self.line;
        let mut waiting = Waiting::default();
        let heard = poll_fn(|cx| {
            if let Poll::Ready(heard) = hearing.poll_read(cx, io) {
                return Poll::Ready(Some(heard));
            }
            // It may have much to take yet.
            waiting
                .poll_late(cx, patience, wait, || io.unacknowledged())
                .map(|()| None)
        });
        match heard.await {
            None => Err(Failure::late(replica, wait)),
            // What it said before it took no more tells more than that it did.
            Some(heard) => heard.map_err(|error| self.failure(&refused.unwrap_or(error))),
        }
    }

    /// Whether the service has said nothing since its last answer, by the kernel's word: the runtime may not have heard of it yet.
    pub fn is_quiet(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.line.io, &mut [0], flags), Err(Errno::AGAIN))
    }

    /// Closes all that are kept: they were opened to the same process.
    pub fn close_all(&self) {
        self.shelf.clear();
    }

    fn failure(&self, error: &io::Error) -> Failure {
        if is_cut(error) || error.kind() == io::ErrorKind::UnexpectedEof {
            // It may be gone.
            self.close_all();
            Failure::Lost(chain(error))
        } else {
            Failure::Unusable(chain(error))
        }
    }

    /// For the next request. Only after a whole answer that did not end the connection.
    pub fn give_back(self) {
        self.shelf.give_back(self.line);
    }

    /// The connection, where it is to be given back, and what it is.
    pub fn into_parts(self) -> (Line, Rc<Shelf>, Way) {
        (self.line, self.shelf, self.way)
    }
}

/// The connections to all replicas of a service.
pub struct Connections {
    connector: HttpConnector,
    neighbours: Neighbours,
    opened: Opened,
    /// By the number of the replica, and the way to it.
    shelves: RefCell<HashMap<(u64, Way), Rc<Shelf>>>,
}

impl Connections {
    pub fn new(connector: HttpConnector, neighbours: Neighbours, opened: Opened) -> Self {
        Connections {
            connector,
            neighbours,
            opened,
            shelves: RefCell::default(),
        }
    }

    /// Of replicas that are gone what is still used is kept, which makes room whenever one comes.
    fn shelf(&self, replica: &Replica, way: Way) -> Rc<Shelf> {
        let mut shelves = self.shelves.borrow_mut();
        let which = (replica.number(), way);
        if let Some(shelf) = shelves.get(&which) {
            return shelf.clone();
        }
        shelves.retain(|_, shelf| Rc::strong_count(shelf) > 1 || !shelf.is_empty());
        let new = || Rc::new(Shelf::new(MAX_IDLE, IDLE));
        shelves.entry(which).or_insert_with(new).clone()
    }

    /// One that is open already, or a new one; by a Unix socket where the copy is on this machine.
    pub async fn get(&self, replica: &Replica, due: Instant, wait: Duration) -> Result<Connection, Failure> {
        if let Some(path) = self.neighbours.find(replica) {
            let way = Way::Unix;
            let shelf = self.shelf(replica, way);
            let connect = || self.neighbours.connect(replica, &path);
            let open = || connect().map(|io| self.opened.count(way, io));
            if let Some(line) = shelf.take().or_else(open) {
                return Ok(Connection { line, way, shelf });
            }
        }
        let way = Way::Tcp;
        let shelf = self.shelf(replica, way);
        if let Some(line) = shelf.take() {
            return Ok(Connection { line, way, shelf });
        }
        let mut connector = self.connector.clone();
        let address = replica.uri().clone();
        let opening = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(address).await
        };
        let io = match timeout_at(due, opening).await {
            Ok(Ok(io)) => io.into_inner(),
            Ok(Err(error)) => return Err(Failure::Unreachable(chain(&error))),
            Err(_) => return Err(Failure::late(replica, wait)),
        };
        let line = self.opened.count(way, io);
        Ok(Connection { line, way, shelf })
    }
}

#[cfg(test)]
mod tests {
    use common::replicas::Replicas;
    use hyper_util::client::legacy::connect::HttpConnector;

    use super::*;

    #[test]
    fn copies_that_are_gone_leave_no_shelf_behind() {
        let bases: Vec<String> = (0..100).map(|number| format!("http://10.0.0.{number}:80")).collect();
        let replicas = Replicas::new("proxy.stream", &bases).unwrap().all();
        let neighbours = Neighbours::new("", reqwest::Client::new());
        let connections = Connections::new(HttpConnector::new(), neighbours, Opened::default());
        let used = connections.shelf(&replicas[0], Way::Tcp);
        for replica in replicas.iter() {
            connections.shelf(replica, Way::Tcp);
        }
        assert!(
            Rc::ptr_eq(&used, &connections.shelf(&replicas[0], Way::Tcp)),
            "one that is used stays"
        );
        assert_eq!(connections.shelves.borrow().len(), 2, "and the last one");
    }

    /// The runtime hears of an end only when it has its turn.
    #[tokio::test(flavor = "local")]
    async fn a_connection_that_has_just_ended_is_not_quiet() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let (way, shelf) = (Way::Tcp, Rc::new(Shelf::new(1, IDLE)));
        shelf.give_back(Line::new(near));
        let line = shelf.take().expect("it is kept");
        let connection = Connection { line, way, shelf };
        assert!(connection.is_quiet());
        drop(far);
        assert!(!connection.is_quiet());
    }
}
