//! The fast path: plain requests, above all for ranges of media, served without the framework. Decoding, dispatching and encoding
//! of actix-http cost as much as the kernel takes for sending 100 KiB.
//!
//! A connection begins here and stays for as long as its requests are plain ([`head::parse`]) and somebody wants them. At the first
//! other one it goes to the framework, with all that was read: whatever is difficult is decided in one place only. It comes
//! back ([`super::client`]) with the next one that is served here. What surrounds a request is the same on both ways (`request`), the deadlines are those of `stream`, and bodies
//! are moved by the jobs of [`crate::slot`].

mod buffer;
mod chunk;
mod head;
mod wire;

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::{Bounds, Deadlines, Direct, answer, bare};
use crate::net::{NEAR, TrustedProxies};
use crate::plain::Answer;
use crate::request::{self, Context, RequestLog};
use wire::{Came, Wire};

/// What one worker serves on the fast path.
pub(super) struct Fast {
    handlers: Rc<[Direct]>,
    pub(super) context: Rc<Context>,
    pub(super) bounds: Bounds,
    hops: TrustedProxies,
}

impl Fast {
    pub fn new(direct: &[Direct], bounds: Bounds, hops: TrustedProxies, context: Rc<Context>) -> Self {
        // Who may ask the internal listener is for `request` to check.
        let direct = if bounds.fast_path && context.internal_token.is_none() {
            direct
        } else {
            &[]
        };
        Fast {
            handlers: direct.into(),
            context,
            bounds,
            hops,
        }
    }

    /// Those of a connection from `peer`.
    pub fn deadlines(&self, peer: Option<SocketAddr>) -> Deadlines {
        let deadlines = self.bounds.deadlines;
        match peer {
            Some(peer) if peer == NEAR || self.hops.trusts(peer.ip()) => deadlines.of_hop(),
            _ => deadlines,
        }
    }

    /// Whether these bytes are one request that is served here.
    pub fn wants(&self, bytes: &[u8], peer: Option<SocketAddr>) -> bool {
        if self.handlers.is_empty() {
            return false;
        }
        let mut room = [const { MaybeUninit::uninit() }; head::MAX_FIELDS];
        let request = head::parse(bytes, &mut room, peer);
        request.is_some_and(|request| self.handlers.iter().any(|handler| handler.wants(&request)))
    }

    /// Serves a connection, of which `early` was read already, to its end (`None`), or until it is the framework's: with what was
    /// read of it.
    pub async fn serve(
        &self,
        io: TcpStream,
        early: BytesMut,
        peer: Option<SocketAddr>,
    ) -> Option<(TcpStream, BytesMut)> {
        if self.handlers.is_empty() || early.len() > buffer::SIZE {
            return Some((io, early));
        }
        let context = &*self.context;
        let mut wire = Wire::new(io, &early, self.deadlines(peer), self.bounds.keep_alive, &context.drain);
        drop(early);
        loop {
            let came = match wire.next().await {
                Came::Bytes(came) => came,
                Came::End => return None,
                Came::Nothing => {
                    // The framework's words for it.
                    if let Some(late) = bare::dressed(b"HTTP/1.1 408 ", &context.default_headers) {
                        wire.write(&late, &[], &mut 0).await.ok()?;
                    }
                    return None;
                }
            };
            let (answer, mut log) = match self.answer(&mut wire, &came, peer).await {
                None => return Some((wire.into_inner(), BytesMut::from(&came[..]))),
                Some(Err(_)) => return None,
                Some(Ok(answered)) => answered,
            };
            drop(came);
            let close = context.drain.is_leaving();
            let (head, body) = {
                // Its fields may hold what they were read into: not while a body is sent.
                let answer = answer;
                let head = answer::head(&answer, close, &context.default_headers, log.id());
                (head, answer.body)
            };
            let done = wire.send(head, body, log.sent()).await;
            log.ended(done.is_ok());
            drop(log);
            match done {
                Ok(()) if close => {
                    wire.close().await;
                    return None;
                }
                Ok(()) => {}
                Err(error) => {
                    log::debug!("A connection of the fast path ended: {error}");
                    return None;
                }
            }
        }
    }

    /// The answer to the request that `came` is; an error when nobody waits for it any more, nothing when `came` is the framework's
    /// to decide about.
    async fn answer(
        &self,
        wire: &mut Wire,
        came: &[u8],
        peer: Option<SocketAddr>,
    ) -> Option<io::Result<(Answer, RequestLog)>> {
        let mut room = [const { MaybeUninit::uninit() }; head::MAX_FIELDS];
        let request = head::parse(came, &mut room, peer)?;
        let handler = self.handlers.iter().find(|handler| handler.wants(&request))?;
        wire.outlast_half_close(handler.outlasts_half_close(&request));
        let served = pin!(request::serve_plain(&self.context, &**handler, request));
        Some(wire.wait(served).await)
    }
}
