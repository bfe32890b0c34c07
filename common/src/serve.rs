//! The server of a process: listeners, the actix App on each, deadlines, and the drain.
//!
//! `HttpServer` is not used: it fixes the stream type, and the stream is where deadlines live and where bodies move inside
//! the kernel (`slot`). `HttpService` is generic over the stream; the assembly below is the documented one of
//! actix-http.

mod ahead;
mod answer;
mod bare;
mod client;
mod deadlines;
mod direct;
mod fast;
mod linger;
mod stream;
mod upgrade;

use std::future::{poll_fn, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::Server;
use actix_service::{Service, ServiceFactory, apply_fn_factory, fn_factory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::Either;
use tokio::net::{TcpStream, UnixStream};

use client::ClientStream;
pub use deadlines::Deadlines;
use direct::Before;
pub use direct::Direct;
use fast::Fast;
pub use stream::{Connection, DeadlineStream, Serving};
pub use upgrade::{Accept, HandedOver, UpgradeRequest, Upgrades};

use crate::capture::Left;
use crate::config::{ConfigError, ServerConfig};
use crate::drain::Drain;
use crate::near;
use crate::net::{NEAR, TrustedProxies};
use crate::request::{self, Context};

/// Connections the kernel holds until a worker takes them.
const BACKLOG: u32 = 1024;

/// How long a connection that is to be closed may take to end: the last answer is sent and what a client still sends is
/// read and thrown away, because closing earlier would reset the connection and the refusal would be lost with it.
const LINGER: Duration = Duration::from_secs(5);

/// Mounts routes on an App; called once for each worker.
pub type Configure = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// A bound socket and what is served on it.
pub struct Listener {
    pub name: &'static str,
    pub socket: TcpListener,
    /// The same for processes of this machine.
    pub near: Option<UnixListener>,
    pub routes: Vec<Configure>,
    /// Who decides about requests for another protocol; without it they are refused.
    pub upgrades: Option<Upgrades>,
    /// Asked before the App, in this order.
    pub direct: Vec<Direct>,
    pub context: Context,
    /// Threads for this listener, at most those of [`Bounds`].
    pub workers: usize,
    /// What its running requests get to end.
    pub drain: Duration,
}

/// Bounds of the server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub workers: usize,
    pub max_connections: usize,
    pub keep_alive: Duration,
    pub drain: Duration,
    pub deadlines: Deadlines,
    /// Whether bodies may go past the framework.
    pub zero_copy: bool,
    /// Whether the bodies of uploads are taken from the socket.
    pub capture: bool,
    /// Whether connections begin without the framework.
    pub fast_path: bool,
}

impl From<&ServerConfig> for Bounds {
    fn from(config: &ServerConfig) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Bounds {
            workers: if config.workers == 0 { cores } else { config.workers },
            max_connections: config.max_connections,
            keep_alive: config.keep_alive.0,
            drain: config.drain_timeout.0,
            deadlines: Deadlines {
                head: config.head_timeout.0,
                stall: config.stall_timeout.0,
                idle: config.keep_alive.0 + config.head_timeout.0,
            },
            zero_copy: config.zero_copy,
            capture: config.capture_uploads,
            // Without moving bodies there is little to win.
            fast_path: config.fast_path && config.zero_copy,
        }
    }
}

/// Binds `address`; the error begins with `key`.
pub fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, ConfigError> {
    let refuse = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is in use; stop the other program or choose another port (0 takes a free one)"
            }
            io::ErrorKind::PermissionDenied => "this port needs more rights; choose one above 1023",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => "can't be bound",
        };
        ConfigError::new(key, format!("{address}: {hint} ({error})"))
    };
    let socket = TcpListener::bind(address).map_err(refuse)?;
    socket.set_nonblocking(true).map_err(refuse)?;
    Ok(socket)
}

/// Serves until the drain has begun and running requests ended or the drain time passed. Each listener has workers and
/// connections of its own, so that what people do can't starve the calls between services. They are stopped in their
/// order: give the one that the others' running requests need last. What `hops` pass on goes to people behind them.
pub async fn serve(listeners: Vec<Listener>, bounds: Bounds, hops: TrustedProxies, drain: Drain) -> io::Result<()> {
    let servers: Vec<Server> = listeners
        .into_iter()
        .map(|listener| start(listener, bounds, &hops, &drain))
        .collect::<io::Result<_>>()?;
    let handles: Vec<_> = servers.iter().map(Server::handle).collect();
    let stop = async {
        drain.begun().await;
        for handle in handles {
            handle.stop(true).await;
        }
    };
    let ends = servers.into_iter().map(|server| async {
        let end = server.await;
        // Also when it failed by itself: the rest of the process must hear of it.
        drain.begin();
        end
    });
    let (ends, ()) = futures_util::future::join(futures_util::future::join_all(ends), stop).await;
    ends.into_iter().collect()
}

fn start(listener: Listener, bounds: Bounds, hops: &TrustedProxies, drain: &Drain) -> io::Result<Server> {
    let Listener {
        name,
        socket,
        near,
        routes,
        upgrades,
        direct,
        context,
        workers,
        drain: drain_time,
    } = listener;
    let drain = drain.clone();
    let hops = hops.clone();
    let serving = move || {
        let (routes, context, drain) = (routes.clone(), context.clone(), drain.clone());
        let (upgrades, upgrade_context, surround) = (upgrades.clone(), context.clone(), context.clone());
        let app = App::new()
            .wrap(from_fn(move |request, next| {
                request::serve_one(surround.clone(), request, next)
            }))
            .configure(move |config| routes.iter().for_each(|mount| mount(config)));
        let http = HttpService::build()
            .keep_alive(bounds.keep_alive)
            .client_request_timeout(bounds.deadlines.head)
            .client_disconnect_timeout(LINGER)
            // A client that has left is noticed while its request is worked on: its permits come back at once.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || drain.begun())
            // Boxed: every connection, upgraded or not, has room for this future inside of its own.
            .upgrade(fn_service(move |(request, framed)| {
                upgrade::serve_one(upgrade_context.clone(), upgrades.clone(), request, framed).boxed_local()
            }))
            .on_connect_ext(move |io: &ClientStream, data| {
                let io = io.get_ref();
                data.insert(io.connection());
                data.insert(io.get_ref().socket().handle());
                if bounds.zero_copy {
                    data.insert(io.get_ref().handle());
                }
            })
            .h1(Before::new(
                map_config(app, |()| AppConfig::default()),
                &direct,
                context.clone(),
            ));
        let fast = Rc::new(Fast::new(&direct, bounds, hops.clone(), Rc::new(context)));
        fn_factory(move || {
            let (making, fast) = (http.new_service(()), fast.clone());
            async move {
                let http = Rc::new(making.await?);
                Ok::<_, ()>(fn_service(move |(io, peer)| {
                    connection(io, peer, fast.clone(), http.clone())
                }))
            }
        })
    };
    let server = Server::build()
        .workers(workers.min(bounds.workers))
        .backlog(BACKLOG)
        .max_concurrent_connections(bounds.max_connections)
        .shutdown_timeout(drain_time.as_secs().max(1))
        .disable_signals();
    let far = serving.clone();
    let server = server.listen(name, socket, move || {
        apply_fn_factory(far(), |io: TcpStream, serving| {
            let peer = io.peer_addr().ok();
            // Heads and small answers must not wait for an acknowledgement; a socket that refuses still works.
            drop(io.set_nodelay(true));
            serving.call((io, peer))
        })
    })?;
    let Some(near) = near else {
        return Ok(server.run());
    };
    let server = server.listen_uds(name, near, move || {
        apply_fn_factory(serving(), |io: UnixStream, serving| match near::accepted(io) {
            Ok(io) => Either::Left(serving.call((io, Some(NEAR)))),
            Err(error) => {
                log::warn!("A connection of this machine is closed: {error}");
                Either::Right(ready(Ok(())))
            }
        })
    })?;
    Ok(server.run())
}

/// Serves one connection to its end: on the fast path, in the framework, and back.
async fn connection<H>(
    mut io: TcpStream,
    peer: Option<SocketAddr>,
    fast: Rc<Fast>,
    http: Rc<H>,
) -> Result<(), DispatchError>
where
    H: Service<(ClientStream, Option<SocketAddr>), Response = (), Error = DispatchError>,
{
    let mut early = BytesMut::new();
    while let Some((socket, read)) = fast.serve(io, early, peer).await {
        let stream = ClientStream::new(socket, read, peer, fast.clone());
        let exit = stream.exit();
        poll_fn(|cx| http.poll_ready(cx)).await?;
        http.call((stream, peer)).await?;
        match exit.take().and_then(Left::into_parts) {
            Some(left) => (io, early) = left,
            None => break,
        }
    }
    Ok(())
}
