//! What sends the bytes of a connection: jobs turn by turn, and the deadline of a client that takes nothing.

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use super::stall::Stall;
use super::{Job, MANY, Outlet, SENDING, Socket};

pub(crate) struct Sender {
    stall: Stall,
    queues_little: bool,
}

/// While it lives, a job is sending.
pub(crate) struct Sending(());

/// So many jobs send that the memory which the kernel gives to TCP may become scarce.
pub(crate) fn many_send() -> bool {
    SENDING.load(Ordering::Relaxed) > MANY
}

impl Sender {
    /// `stall` is the longest time in which the client takes no byte.
    pub fn new(stall: Duration) -> Self {
        Sender {
            stall: Stall::new(stall),
            queues_little: false,
        }
    }

    /// A job begins.
    pub fn begin(&mut self, socket: &impl Socket) -> Sending {
        self.stall.moved();
        SENDING.fetch_add(1, Ordering::Relaxed);
        if !self.queues_little && many_send() {
            self.queues_little = true;
            socket.queue_little();
        }
        Sending(())
    }

    /// One turn of a job; what it sent is added to `sent`.
    pub fn poll_job<S: Socket>(
        &mut self,
        socket: &S,
        job: &mut dyn Job,
        sent: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut outlet = Outlet::new(socket);
        let result = job.poll_send(&mut outlet, cx);
        let (now, blocked) = (outlet.sent, outlet.blocked);
        *sent += now;
        match &result {
            Poll::Pending => {
                if now > 0 || !blocked {
                    self.stall.moved();
                }
                if blocked {
                    self.stall.check(socket, cx)?;
                }
            }
            Poll::Ready(Ok(())) => {}
            // The client must not get the rest of what was cut. A source that ended early was not: what came of it is passed
            // on, and the length in the head says that it is not the whole.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Poll::Ready(Err(_)) => socket.forget_unsent(),
        }
        result
    }

    /// The kernel took bytes of another kind.
    pub fn moved(&mut self) {
        self.stall.moved();
    }

    /// As [`Stall::check`], while the client is waited for to take such.
    pub fn check(&mut self, socket: &impl Socket, cx: &mut Context<'_>) -> io::Result<()> {
        self.stall.check(socket, cx)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        SENDING.fetch_sub(1, Ordering::Relaxed);
    }
}
