//! A stream socket as jobs use it, by TCP or of the same machine ([`near`](crate::near)). Every call is made when tokio says
//! that the socket is writable and clears that when the kernel says it is not, so that a pending call is woken.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::Socket;

/// Bytes that a socket takes beyond what it has sent, where there are many.
const LITTLE: u32 = 128 << 10;

fn poll_write_with(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        match socket.try_io(Interest::WRITABLE, &mut write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
}

/// Sends bytes; `more` of the same message follows at once, and they may wait for it.
pub fn poll_send(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    bytes: &[IoSlice<'_>],
    more: bool,
) -> Poll<io::Result<usize>> {
    let mut flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    flags.set(SendFlags::MORE, more);
    poll_write_with(socket, cx, || {
        Ok(match bytes {
            [bytes] => send(socket, bytes, flags)?,
            _ => sendmsg(socket, bytes, &mut SendAncillaryBuffer::default(), flags)?,
        })
    })
}

/// Whether bytes that wait for more are cheaper than those that don't. They save a packet; but bbr sets a timer for what it is to
/// send later, and on a loopback, where a timer is dear, that costs several times as much.
pub fn gains_by_waiting(socket: &TcpStream) -> bool {
    socket2::SockRef::from(socket)
        .tcp_congestion()
        .is_ok_and(|name| !name.starts_with(b"bbr"))
}

/// Sends what was to wait for more, which does not come so soon: TCP_NODELAY says so even when it is set (tcp(7)).
pub fn send_held_back(socket: &TcpStream) {
    if let Err(error) = socket.set_nodelay(true) {
        log::debug!("A socket keeps what it holds back: {error}");
    }
}

impl Socket for TcpStream {
    fn poll_sendfile(
        &self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        poll_write_with(self, cx, || Ok(sendfile(self, file, Some(&mut *offset), count)?))
    }

    fn poll_splice(
        &self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let mut flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        flags.set(SpliceFlags::MORE, more);
        poll_write_with(self, cx, || Ok(splice(pipe, None, self, None, count, flags)?))
    }

    fn queue_little(&self) {
        let socket = socket2::SockRef::from(self);
        let little = socket
            .set_tcp_notsent_lowat(LITTLE)
            // A Unix socket has no such thing: all of its queue waits for the reader.
            .or_else(|_| socket.set_send_buffer_size(LITTLE as usize));
        if let Err(error) = little {
            log::debug!("A socket keeps its long queue: {error}");
        }
    }

    fn unacknowledged(&self) -> Option<u64> {
        outq(self).ok()
    }

    fn forget_unsent(&self) {
        if let Err(error) = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO)) {
            log::debug!("A socket keeps what was not sent: {error}");
        }
    }
}

/// SIOCOUTQ of tcp(7): the bytes in the send queue, sent and not acknowledged ones included.
fn outq(socket: &TcpStream) -> io::Result<u64> {
    queue::<0x5411>(socket)
}

/// SIOCOUTQNSD of tcp(7): those of them that are not sent.
#[cfg(test)]
pub fn unsent(socket: &TcpStream) -> io::Result<u64> {
    queue::<0x894b>(socket)
}

/// One of the ioctls about queues, which nothing wraps.
#[expect(unsafe_code, reason = "an ioctl that writes one int, see SAFETY")]
fn queue<const OPCODE: rustix::ioctl::Opcode>(socket: &TcpStream) -> io::Result<u64> {
    // SAFETY: they write a c_int, and nothing else, through their argument.
    let queued: std::ffi::c_int =
        unsafe { rustix::ioctl::ioctl(socket, rustix::ioctl::Getter::<OPCODE, std::ffi::c_int>::new())? };
    Ok(u64::try_from(queued).unwrap_or(0))
}
