//! Requests that ask for another protocol on their connection (RFC 9110 section 7.8): the App never sees them. A service
//! decides; when it agrees, the raw socket is its own from then on, and nothing of the HTTP side stays in memory.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_codec::Framed;
use actix_http::{HttpMessage, Request, h1};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri, Version};
use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::LINGER;
use super::answer;
use super::client::ClientStream;
use super::linger::linger;
use crate::error::{ApiError, Code};
use crate::operation::{self, OperationId};
use crate::request::{self, Context, Seen};

/// The head of a request for another protocol.
pub struct UpgradeRequest {
    request: Request,
    pub peer: Option<SocketAddr>,
    pub operation: OperationId,
}

impl UpgradeRequest {
    #[must_use]
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    #[must_use]
    pub fn version(&self) -> Version {
        self.request.head().version
    }

    #[must_use]
    pub fn uri(&self) -> &Uri {
        self.request.uri()
    }

    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The checked Host, as `net::host`.
    pub fn host(&self) -> Result<Option<&str>, ApiError> {
        crate::net::host(self.request.head())
    }

    /// Where the connection comes from; unspecified when the socket doesn't say any more.
    #[must_use]
    pub fn peer_ip(&self) -> IpAddr {
        self.peer
            .map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
    }
}

/// A connection that was handed over.
pub struct HandedOver {
    pub socket: TcpStream,
    /// The head of the 101, to be sent before anything else.
    pub head: Vec<u8>,
    /// What the client sent behind its request.
    pub received: BytesMut,
}

/// Agreement: the headers of the 101 and who takes the connection.
pub struct Accept {
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub take: Box<dyn FnOnce(HandedOver)>,
}

/// Decides about each request for another protocol.
pub type Upgrades = Arc<dyn Fn(UpgradeRequest) -> LocalBoxFuture<'static, Result<Accept, ApiError>> + Send + Sync>;

/// Serves one such request to its end.
pub(super) async fn serve_one(
    context: Context,
    upgrades: Option<Upgrades>,
    request: Request,
    framed: Framed<ClientStream, h1::Codec>,
) -> Result<(), actix_web::Error> {
    let operation = OperationId::from_headers(request.headers());
    let parts = framed.into_parts();
    let (io, rest) = parts.io.into_inner().into_parts();
    let Some((mut socket, unseen)) = io.into_inner().into_parts() else {
        return Err(ApiError::internal("the socket of an upgrade is in other hands").into());
    };
    // The end of the answer before, if the framework has not written it.
    let before = parts.write_buf;
    let mut received = parts.read_buf;
    received.unsplit(rest);
    received.unsplit(unseen);
    let peer = socket.peer_addr().ok();
    let seen = Seen::begin(&request, peer, operation.clone(), Instant::now());
    let asked = UpgradeRequest {
        request,
        peer,
        operation: operation.clone(),
    };
    let decided = operation::scope(operation.clone(), async {
        if *asked.method() == Method::CONNECT {
            return Err(ApiError::new(
                Code::BadRequest,
                "This is no proxy: it opens no tunnels.",
            ));
        }
        let Some(upgrades) = upgrades else {
            return Err(ApiError::new(Code::BadRequest, "No other protocol is spoken here."));
        };
        AssertUnwindSafe(upgrades(asked))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(ApiError::internal(format!("panic: {}", request::panic_text(&*panic)))))
    })
    .await;
    match decided {
        Ok(accept) => {
            let head = answer::switching(&accept.headers, &context.default_headers, &operation);
            let head = [&before[..], &head].concat();
            seen.answered(&context.metrics, 101);
            (accept.take)(HandedOver { socket, head, received });
            Ok(())
        }
        Err(error) => {
            let refusal = operation::scope_sync(operation.clone(), || {
                request::log_api_failure(&error);
                answer::failure(&error, &context.default_headers, &operation)
            });
            let refusal = [&before[..], &refusal].concat();
            seen.answered(&context.metrics, error.code().entry().status);
            if let Err(gone) = refuse(&mut socket, &refusal, LINGER).await {
                log::debug!("A refused client left before it was told: {gone}");
            }
            Ok(())
        }
    }
}

/// Sends the refusal and waits for the client to have read it.
async fn refuse(socket: &mut TcpStream, refusal: &[u8], patience: Duration) -> io::Result<()> {
    let sending = async {
        socket.write_all(refusal).await?;
        linger(socket, patience).await
    };
    tokio::time::timeout(patience, sending).await.unwrap_or(Ok(()))
}
