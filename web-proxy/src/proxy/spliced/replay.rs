//! An answer that is not plain, read by hyper after all, from the connection on which it began: hyper writes the request
//! once more, into nothing, and then reads what was read already and what follows it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use actix_web::web::{Buf, Bytes};
use common::replicas::Replica;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::super::body::Outgoing;
use super::super::client::{READ_BUFFER, request};
use super::super::exchange::Failure;
use super::super::headers::Head;

/// The answer to `head`, of which `read` has come. The connection ends with it.
pub async fn read(
    io: TcpStream,
    read: Bytes,
    replica: &Replica,
    head: &Head<'_>,
) -> Result<Response<Incoming>, Failure> {
    let request = request(replica, head, Outgoing::none()).map_err(Failure::Final)?;
    let replay = Replay {
        io,
        read,
        asked: false,
        reader: None,
    };
    let mut http = http1::Builder::new();
    http.max_buf_size(READ_BUFFER);
    let shaken = http.handshake(TokioIo::new(replay)).await;
    let (mut sender, connection) = shaken.map_err(|error| Failure::of(&error))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            log::debug!("A connection to a service ended: {error}");
        }
    });
    let answer = sender.send_request(request).await;
    answer.map_err(|error| Failure::of(&error))
}

struct Replay {
    io: TcpStream,
    read: Bytes,
    /// The request was written: before it hyper expects no answer.
    asked: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Replay {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.asked {
            this.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if this.read.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let count = this.read.len().min(buf.remaining());
        buf.put_slice(&this.read[..count]);
        this.read.advance(count);
        if this.read.is_empty() {
            // What it was read into is free for others.
            this.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.asked = true;
        if let Some(reader) = this.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
