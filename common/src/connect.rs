//! Connections of hyper's client that read on after a write failed.
//!
//! A server that refuses an upload may answer and close while the body is still being written. The write then fails
//! although the answer lies in the receive buffer; hyper would give up and the refusal would be lost. So a failed write
//! is kept quiet: what follows is thrown away, and reading tells how it was, by the answer or by the end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// What opens such connections.
#[derive(Clone)]
pub struct Connector(pub HttpConnector);

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = BoxFuture<'static, Result<Stream, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let io = connecting.await?;
            Ok(Stream { io, mute: false })
        })
    }
}

/// A connection to a server.
pub struct Stream {
    io: TokioIo<TcpStream>,
    /// A write failed: nothing more is written, and the connection is not used again.
    mute: bool,
}

impl Stream {
    /// Makes a lost connection quiet; `swallowed` bytes count as written.
    fn quiet(&mut self, result: Poll<io::Result<usize>>, swallowed: usize) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(error)) if is_lost(&error) => {
                self.mute = true;
                Poll::Ready(Ok(swallowed))
            }
            other => other,
        }
    }

    fn quietly(&mut self, result: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        self.quiet(result.map_ok(|()| 0), 0).map_ok(|_| ())
    }
}

fn is_lost(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.mute {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        this.quiet(result, buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if this.mute {
            return Poll::Ready(Ok(all));
        }
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.quiet(result, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_flush(cx);
        this.quietly(result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_shutdown(cx);
        this.quietly(result)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}
