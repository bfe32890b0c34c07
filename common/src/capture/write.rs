//! The writing side of the layer, which is the socket; but for its end, when a body was left in it.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::Shutdown;
use tokio::io::AsyncWrite;

use super::stream::{CaptureStream, Phase};
use crate::slot::Socket;

impl AsyncWrite for CaptureStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = &self.shared.socket;
        loop {
            ready!(socket.poll_write_ready(cx))?;
            match socket.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            rustix::net::shutdown(&this.shared.socket, Shutdown::Write)?;
            this.shut = true;
        }
        match this.shared.phase.get() {
            Phase::Captured(_) | Phase::Taken | Phase::Abandoned => {
                // What comes is thrown away: who still takes the body must not go on behind a gap.
                this.shared.phase.set(Phase::Abandoned);
                this.poll_linger(cx)
            }
            Phase::Head | Phase::Body(_) | Phase::Raw => Poll::Ready(Ok(())),
        }
    }
}

impl Socket for CaptureStream {
    fn poll_sendfile(
        &self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        self.shared.socket.poll_sendfile(cx, file, offset, count)
    }

    fn poll_splice(
        &self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        self.shared.socket.poll_splice(cx, pipe, count, more)
    }

    fn queue_little(&self) {
        self.shared.socket.queue_little();
    }

    fn unacknowledged(&self) -> Option<u64> {
        self.shared.socket.unacknowledged()
    }

    fn forget_unsent(&self) {
        self.shared.socket.forget_unsent();
    }
}
