//! Connections, and the faults that are played on them.

use crate::{
    faults::{Effect, Faults, Stalled},
    tls::Tls,
};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::{Body, service::S3Service, stream::DynByteStream};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How often an address is tried that was just given up.
const BIND_ATTEMPTS: usize = 50;
const BIND_PAUSE: Duration = Duration::from_millis(100);

/// How long bytes may take to leave before the connection is cut behind them.
const SENT: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub struct Served {
    pub service: S3Service,
    pub faults: Faults,
    pub tls: Option<Tls>,
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Failure(String);

impl std::error::Error for Failure {}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Binds an address that this process has only just let go of.
pub fn bind_soon(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    for _ in 0..BIND_ATTEMPTS {
        if let Ok(listener) = bind(address) {
            return Ok(listener);
        }
        std::thread::sleep(BIND_PAUSE);
    }
    bind(address)
}

/// Serves until the sender of `up` is dropped.
pub async fn run(listener: std::net::TcpListener, served: Served, mut up: watch::Receiver<()>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = up.changed() => return,
        };
        // Out of descriptors, or a connection that was gone at once: the next may be better.
        let Ok((socket, _)) = socket else {
            tokio::time::sleep(BIND_PAUSE).await;
            continue;
        };
        served.faults.accept();
        let (served, mut up) = (served.clone(), up.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(socket, served) => {}
                _ = up.changed() => {}
            }
        });
    }
}

async fn connection(socket: TcpStream, served: Served) {
    // Latency is part of what is tested; a socket that can't be tuned serves all the same.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    match served.tls.clone() {
        None => requests(socket, served).await,
        Some(tls) => {
            if let Ok(socket) = tls.acceptor.accept(socket).await {
                requests(socket, served).await;
            }
        }
    }
}

async fn requests(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, served: Served) {
    let service = service_fn(move |request| {
        let served = served.clone();
        async move { answer(served, request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service);
    // Its error is a client that left, or a fault of ours.
    connection.await.ok();
}

async fn answer(served: Served, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let uri = request.uri();
    let effect = served
        .faults
        .of(request.method().as_str(), uri.path(), uri.query().unwrap_or_default());
    match effect {
        None => done(&served, request).await,
        Some(Effect::Answer(status, code)) => {
            let document = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>a fault of the test</Message></Error>"
            );
            let answer = Response::builder().status(status).body(Body::from(document));
            answer.map_err(|error| Failure(error.to_string()))
        }
        Some(Effect::Cut(bytes)) => Ok(done(&served, request).await?.map(|body| begin(body, bytes, cut()))),
        Some(Effect::Stall(bytes)) => {
            let stalled = served.faults.stall();
            Ok(done(&served, request)
                .await?
                .map(|body| begin(body, bytes, stall(stalled))))
        }
        Some(Effect::Chunks) => {
            let mut answer = done(&served, request)
                .await?
                .map(|body| begin(body, u64::MAX, std::future::ready(Ok(Bytes::new()))));
            answer.headers_mut().remove(hyper::header::CONTENT_LENGTH);
            Ok(answer)
        }
        Some(Effect::Drop) => Err(Failure("dropped".into())),
        Some(Effect::Lose) => {
            done(&served, request).await?;
            Err(Failure("lost".into()))
        }
        Some(Effect::Hang(span)) => {
            tokio::time::sleep(span).await;
            Err(Failure("hung".into()))
        }
        Some(Effect::Late(span)) => {
            tokio::time::sleep(span).await;
            done(&served, request).await
        }
    }
}

async fn done(served: &Served, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let answer = served.service.call(request.map(Body::from)).await;
    answer.map_err(|error| Failure(format!("{error:?}")))
}

/// The first bytes of a body, and then what `end` comes to.
fn begin(body: Body, bytes: u64, end: impl Future<Output = Piece> + Send + Sync + 'static) -> Body {
    let pieces = body.scan(bytes, |left, piece| {
        let some = (*left > 0).then(|| {
            let piece = piece?;
            let most = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
            *left -= most as u64;
            Ok(piece.slice(..most))
        });
        futures_util::future::ready(some)
    });
    let pieces: DynByteStream = Box::pin(Pieces(Box::pin(pieces.chain(futures_util::stream::once(end)))));
    Body::from(pieces)
}

/// An error, which closes the connection. What was given before is to arrive: hyper drops what it has not sent when a body fails.
async fn cut() -> Piece {
    tokio::time::sleep(SENT).await;
    Err("cut".into())
}

async fn stall(stalled: Stalled) -> Piece {
    std::future::pending::<()>().await;
    drop(stalled);
    Err("stalled".into())
}

type Piece = Result<Bytes, s3s::StdError>;

struct Pieces(std::pin::Pin<Box<dyn futures_util::Stream<Item = Piece> + Send + Sync>>);

impl futures_util::Stream for Pieces {
    type Item = Piece;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl s3s::stream::ByteStream for Pieces {}
