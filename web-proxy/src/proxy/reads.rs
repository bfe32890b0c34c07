//! The carrier for what is read: the request is written and its answer's head read here, a body that did not come with the
//! head goes from socket to socket inside the kernel. It costs a fraction of what copying costs, and holds no bytes in our memory.
//!
//! A slow client of what did not come with the head holds one connection to the service for as long as it reads, of media with its
//! permit there; that is intended: what stream-service limits are readers, and no more is fetched ahead of them than the sockets and a pipe hold.

mod connection;
mod head;
mod neighbours;
mod replay;
mod room;
mod splice;

use std::time::Duration;

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
use connection::{Connection, Connections, Heard};
use head::Plain;
pub use neighbours::Neighbours;
use splice::Splice;

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
pub struct Reads {
    connections: Connections,
    relays: Relays,
}

enum Got {
    Ready(Answer),
    /// It is not plain, and takes the way of everything else.
    Odd(Response<Incoming>, Turn),
}

impl Reads {
    pub fn new(connector: HttpConnector, neighbours: Neighbours, opened: Opened, relays: Relays) -> Self {
        Reads {
            connections: Connections::new(connector, neighbours, opened),
            relays,
        }
    }

    /// Requests that may be carried this way.
    pub fn carries(head: &Head<'_>) -> bool {
        *head.method == Method::GET && head.length == Length::None && !head.old_client && head.has_host()
    }

    /// Passes a request on, and the answer back to a connection that can take [`Body::Moved`].
    pub async fn run(&self, exchange: &Exchange<'_>, head: &Head<'_>) -> Result<Answer, ApiError> {
        let request = head::write(head);
        let first = first_read(exchange.kind);
        let attempt = async |turn: &Turn| {
            let due = Instant::now() + exchange.wait;
            let mut connection = self.connections.get(turn, due, exchange.wait).await?;
            let heard = connection.ask(turn, &request, first, due, exchange.wait).await?;
            match self.answer(heard, connection, turn, exchange.wait) {
                Ok(answer) => Ok(Got::Ready(answer)),
                Err((connection, read)) => {
                    let reading = replay::read(connection.line.io, read, turn, head);
                    let read = timeout_at(due, reading).await;
                    read.unwrap_or_else(|_| Err(Failure::late(turn, exchange.wait)))
                        .map(|answer| Got::Odd(answer, turn.clone()))
                }
            }
        };
        match exchange.run(head, || true, attempt).await? {
            Got::Ready(answer) => Ok(answer),
            Got::Odd(answer, turn) => relay::answer(head, answer, turn, Upload::none(), exchange.wait),
        }
    }

    /// The answer for the client, or the connection with what was read of it when it takes the other way.
    fn answer(
        &self,
        heard: Heard,
        connection: Connection,
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
