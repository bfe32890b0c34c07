//! One socket: reads frames into the session, runs what it asks for, and sends what waits.
//!
//! What is pushed is written at once by whoever pushes it, straight from the shared bytes; the task of the connection wakes
//! only to read, and to write what the socket would not take. Idle it holds no buffer.

mod belonging;
mod calls;
mod closing;
mod reading;
mod state;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::net::TcpStream;

use super::envelope::DataForm;
use super::frame::{self, CloseCode, Decoder};
use super::functions::Caller;
use super::outbound::{Class, Outbound};
use super::places::Place;
use super::room::Frames;
use super::session::Session;
use super::shard::Shard;
use closing::Closing;
use state::{Hot, Inner, Touched};

/// Largest message, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Bytes read at once; one buffer for all connections of a thread.
pub const SCRATCH: usize = MAX_MESSAGE + 16;

/// Reads of one socket before the others of its thread have their turn.
const READS_PER_TURN: usize = 4;

/// Pieces of one vectored write.
const SLICES: usize = 16;

/// A socket and its state. It lives on one thread. What a delivery looks at comes first: with thousands of members each cache
/// line counts.
#[repr(C)]
pub struct Connection {
    hot: Cell<Hot>,
    socket: TcpStream,
    place: Place,
    pub caller: Rc<Caller>,
    inner: RefCell<Inner>,
    waker: RefCell<Option<Waker>>,
    /// When the last byte came, or was taken of those that waited.
    heard: Cell<Instant>,
    /// When the next ping is due.
    ping_at: Cell<Instant>,
}

impl Connection {
    pub fn new(socket: TcpStream, place: Place, caller: Rc<Caller>, form: DataForm, ping_at: Instant) -> Self {
        let now = Instant::now();
        Connection {
            hot: Cell::new(Hot {
                direct: true,
                form,
                batch: false,
            }),
            socket,
            place,
            inner: RefCell::new(Inner {
                decoder: Decoder::new(MAX_MESSAGE),
                session: Session::new(caller.owner.clone(), form, now),
                outbound: Outbound::new(now),
                held: Vec::new(),
                rooms: Vec::new(),
                joining: Vec::new(),
                listens: false,
                closing: None,
            }),
            caller,
            waker: RefCell::default(),
            heard: Cell::new(now),
            ping_at: Cell::new(ping_at),
        }
    }

    /// The state, to be changed.
    fn touch(&self) -> Touched<'_> {
        Touched {
            inner: self.inner.borrow_mut(),
            hot: &self.hot,
        }
    }

    pub fn id(&self) -> u64 {
        self.place.id()
    }

    pub fn has_ended(&self) -> bool {
        self.place.has_ended()
    }

    /// Sends `chunk` (whole frames), or keeps it for when the socket takes more. A client that is too slow is closed.
    pub fn send(&self, chunk: &Frames, class: Class) {
        let mut written = 0;
        if self.hot.get().direct {
            // Not tokio's own write: its note of what the socket would take is only needed when it takes no more.
            match send(&self.socket, chunk, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) if count == chunk.len() => return,
                Ok(count) => written = count,
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(_) => return self.break_off(&mut self.touch()),
            }
        }
        let mut inner = self.touch();
        if inner.closing.is_some() {
            return;
        }
        let now = Instant::now();
        let kept = inner.outbound.push(chunk.clone(), class, now);
        if kept.is_err() {
            inner.begin_closing(CloseCode::TooSlow, "too slow");
        } else if written > 0 {
            inner.outbound.advance(written, now);
        }
        drop(inner);
        self.wake();
    }

    /// Calls of its client run, whose answers it should have before it is closed.
    pub fn is_busy(&self) -> bool {
        self.inner.borrow().session.is_busy()
    }

    /// Says `code` and ends, once what waits is sent.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.touch().begin_closing(code, reason);
        self.wake();
    }

    /// Ends without a word: the socket is dead.
    fn break_off(&self, inner: &mut Inner) {
        inner.closing.get_or_insert_with(Closing::dead).give_up();
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// What the clock asks for: a ping, the end of a dead, a stalled or a closing one.
    pub fn tick(&self, now: Instant, ping: &Frames, next_ping: impl FnOnce() -> Duration, dead_after: Duration) {
        {
            let mut inner = self.touch();
            if inner.is_overdue(now) || now.duration_since(self.heard.get()) > dead_after {
                return self.break_off(&mut inner);
            }
            if inner.closing.is_none() && inner.outbound.stalled(now) {
                inner.begin_closing(CloseCode::TooSlow, "too slow");
                drop(inner);
                return self.wake();
            }
        }
        if now >= self.ping_at.get() {
            self.ping_at.set(now + next_ping());
            self.send(ping, Class::Control);
        }
    }

    /// Keeps what came right behind the handshake for the task to take in.
    pub fn begin(&self, received: Vec<u8>) {
        self.touch().held = received;
    }

    /// The task of the connection: runs until it is over.
    pub fn poll(self: &Rc<Self>, shard: &Rc<Shard>, cx: &mut Context<'_>) -> Poll<()> {
        match self.try_poll(shard, cx) {
            Ok(poll) => poll,
            // Resets and the like: the client has left.
            Err(_) => Poll::Ready(()),
        }
    }

    fn try_poll(self: &Rc<Self>, shard: &Rc<Shard>, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        self.resume(shard);
        let mut reads = 0;
        while self.wants_to_read() {
            if self.socket.poll_read_ready(cx)?.is_pending() {
                break;
            }
            if reads == READS_PER_TURN {
                cx.waker().wake_by_ref();
                break;
            }
            reads += 1;
            if self.read(shard)? {
                return Ok(Poll::Ready(()));
            }
        }
        self.write(cx)?;
        if self.inner.borrow().can_resume() {
            cx.waker().wake_by_ref();
        }
        Ok(if self.touch().is_over(&self.socket) {
            Poll::Ready(())
        } else {
            Poll::Pending
        })
    }

    fn wants_to_read(&self) -> bool {
        let inner = self.inner.borrow();
        inner.held.is_empty() && !inner.is_dead()
    }

    /// Sends the answer to a call.
    pub fn reply(&self, text: &str) {
        self.send(&frame::text(text).into(), Class::Reply);
    }

    /// Sends what waits, as far as the socket takes it.
    fn write(&self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut inner = self.touch();
            if inner.outbound.is_empty() || inner.is_dead() || self.socket.poll_write_ready(cx)?.is_pending() {
                return Ok(());
            }
            let written = {
                let slices = inner.outbound.front_slices(SLICES);
                self.socket.try_write_vectored(&slices)
            };
            match written {
                Ok(count) => {
                    // Taking bytes is a sign of life, too: a slow reader's pongs wait behind what it reads.
                    let now = Instant::now();
                    inner.outbound.advance(count, now);
                    self.heard.set(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The task of `connection`; whatever ends it, it is taken out of the shard.
pub async fn run(shard: Rc<Shard>, connection: Rc<Connection>) {
    struct Attached {
        shard: Rc<Shard>,
        connection: Rc<Connection>,
    }
    impl Drop for Attached {
        fn drop(&mut self) {
            self.connection.detach(&self.shard);
            self.shard.remove(&self.connection);
        }
    }
    let attached = Attached { shard, connection };
    std::future::poll_fn(|cx| attached.connection.poll(&attached.shard, cx)).await;
}
