//! The carrier for what is read, and for long uploads: the request is written and its answer's head read here, a body that did not
//! come with its head goes from socket to socket inside the kernel. It costs a fraction of what copying costs, and holds no bytes
//! in our memory.
//!
//! A slow client holds one connection to the service for as long as it reads or uploads, of media with its permit there; that is
//! intended: what stream-service limits are readers, and no more is fetched ahead of them than the sockets and a pipe hold.

mod answer;
mod connection;
mod head;
mod hearing;
mod inflow;
mod neighbours;
mod replay;
mod room;
mod waiting;

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::Bytes;
use common::error::ApiError;
use common::plain::{Answer, Body};
use common::relay::Pipe;
use common::replicas::Turn;
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::{Instant, timeout_at};

use super::body::Upload;
use super::exchange::{Exchange, Failure};
use super::headers::{Head, Length};
use super::metrics::{Opened, Relays};
use super::relay;
use super::upstreams::Kind;
use answer::Splice;
use connection::{Connection, Connections};
use head::Plain;
use hearing::Heard;
pub use inflow::{Inflow, not_taken};
pub use neighbours::Neighbours;

/// Bytes read at once with the head of an answer. What follows the head in them has to be copied, once more than the rest, but
/// what came whole needs no pipe, and its connection is free before the client has it: lists are whole, and small pieces of media.
fn first_read(kind: Kind) -> usize {
    let [media, documents] = FIRST_READS;
    match kind {
        Kind::Stream => media,
        Kind::Api | Kind::Scheduler => documents,
    }
}

const FIRST_READS: [usize; 2] = [8 << 10, 64 << 10];

/// The relay of one worker.
pub struct Spliced {
    connections: Connections,
    relays: Relays,
}

enum Got {
    Ready(Answer),
    /// It is not plain, and takes the way of everything else.
    Odd(Response<Incoming>, Turn),
}

impl Spliced {
    pub fn new(connector: HttpConnector, neighbours: Neighbours, opened: Opened, relays: Relays) -> Self {
        Spliced {
            connections: Connections::new(connector, neighbours, opened),
            relays,
        }
    }

    /// The body of `request`, to be carried with it, if it is still in the socket. The client may take `stall` for its next byte.
    pub fn hold(&self, request: &HttpRequest, length: Length, stall: Duration) -> Option<Inflow> {
        Inflow::of(request, length, stall, &self.relays)
    }

    /// Requests without a body that may be carried this way.
    pub fn carries(head: &Head<'_>) -> bool {
        *head.method == Method::GET && head.length == Length::None && !head.old_client && head.has_host()
    }

    /// Passes a request on with its body, and the answer back to a connection that can take [`Body::Moved`].
    pub async fn run(
        &self,
        exchange: &Exchange<'_>,
        head: &Head<'_>,
        mut body: Option<Inflow>,
    ) -> Result<Answer, ApiError> {
        let request = head::write(head);
        let (first, wait) = (first_read(exchange.kind), exchange.wait);
        let attempt = async |turn: &Turn| {
            let mut due = Instant::now() + wait;
            let mut connection = self.connections.get(turn, due, wait).await?;
            if body.is_some() && !connection.is_quiet() {
                // What would be sent again of something to read is lost of an upload.
                connection.close_all();
                connection = self.connections.get(turn, due, wait).await?;
            }
            let heard = match &mut body {
                None => connection.ask(turn, &request, first, due, wait).await?,
                Some(body) => {
                    let heard = connection.bring(turn, &request, body, first, wait).await?;
                    due = Instant::now() + wait;
                    heard
                }
            };
            let is_sent = body.as_ref().is_none_or(Inflow::is_over);
            match self.answer(heard, connection, is_sent, turn, wait) {
                Ok(answer) => Ok(Got::Ready(answer)),
                Err((connection, read)) => {
                    let reading = replay::read(connection.line.io, read, turn, head);
                    let read = timeout_at(due, reading).await;
                    read.unwrap_or_else(|_| Err(Failure::late(turn, wait)))
                        .map(|answer| Got::Odd(answer, turn.clone()))
                }
            }
        };
        // Of a body nothing is taken before there is a connection, and what was sent is not sent again.
        let got = exchange.run(head, || true, attempt).await;
        if let Some(body) = body {
            body.end();
        }
        match got? {
            Got::Ready(answer) => Ok(answer),
            Got::Odd(answer, turn) => relay::answer(head, answer, turn, Upload::none(), wait),
        }
    }

    /// The answer for the client, or the connection with what was read of it when it takes the other way. `is_sent`: the service has
    /// the whole request.
    fn answer(
        &self,
        heard: Heard,
        connection: Connection,
        is_sent: bool,
        turn: &Turn,
        wait: Duration,
    ) -> Result<Answer, (Connection, Bytes)> {
        let read = heard.read;
        let head::Answer::Plain(plain) = heard.answer else {
            return Err((connection, read));
        };
        let Plain {
            status,
            fields,
            length,
            keep,
            head,
        } = plain;
        let keep = keep && is_sent;
        let mut first = read.slice(head..);
        let length = match length {
            Some(length) if !relay::never_has_body(status) => length,
            declared => {
                if keep && first.is_empty() {
                    connection.give_back();
                }
                let body = relay::bodyless(status, declared);
                return Ok(Answer { status, fields, body });
            }
        };
        let Some(left) = length.checked_sub(first.len() as u64).filter(|left| *left > 0) else {
            // More than was said is nobody's answer: the connection ends.
            if keep && first.len() as u64 == length {
                connection.give_back();
            }
            first.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            let body = Body::Bytes(first);
            return Ok(Answer { status, fields, body });
        };
        let pipe = match Pipe::get() {
            Ok(pipe) => pipe,
            Err(error) => {
                log::warn!("An answer is copied, because there is no pipe for it: {error}");
                return Err((connection, read));
            }
        };
        let running = self.relays.begin(turn.clone());
        let job = Box::new(Splice::new(connection, keep, left, pipe, wait, running));
        let body = Body::Moved { length, first, job };
        Ok(Answer { status, fields, body })
    }
}
