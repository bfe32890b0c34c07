//! The body of an upload on its way from the client's socket through a pipe into the service's, without being copied. It is moved
//! no faster than the service takes it, and no more of it is under way than two sockets and a pipe hold.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use common::capture::{self, Captured};
use common::error::{ApiError, Code};
use common::http::payload_error;
use common::relay::{Line, Pipe, STREAMING};
use common::slot::Outlet;
use tokio::time::Instant;

use super::super::exchange::{Failure, is_cut};
use super::super::headers::Length;
use super::super::metrics::Relays;

pub struct Inflow {
    body: Captured,
    pipe: Pipe,
    more: bool,
    /// Whether somebody is waited for, with a deadline.
    waiting: bool,
    /// The longest wait for the client: `server.stall_timeout`.
    stall: Duration,
    relays: Relays,
}

/// Why the body does not move on.
pub enum Stop {
    /// All of it is on its way to the service.
    Over,
    /// The service may have said something.
    Spoken,
    /// The service takes no more.
    Refused(io::Error),
}

impl Inflow {
    /// The body of `request`, if it can be moved; otherwise it stays in the payload.
    pub fn of(request: &HttpRequest, length: Length, stall: Duration, relays: &Relays) -> Option<Self> {
        if !matches!(length, Length::Known(capture::LEAST..)) {
            return None;
        }
        let pipe = match Pipe::get() {
            Ok(pipe) => pipe,
            Err(error) => {
                log::warn!("An upload is copied, because there is no pipe for it: {error}");
                return None;
            }
        };
        let Some(body) = capture::take(request) else {
            pipe.give_back();
            return None;
        };
        Some(Inflow {
            body,
            pipe,
            more: false,
            waiting: false,
            stall,
            relays: relays.clone(),
        })
    }

    /// Adds what was read of the body together with its head, to be sent before anything is moved.
    pub fn begin(&mut self, message: &mut Vec<u8>) {
        let early = self.body.take_early(usize::MAX);
        self.relays.took(early.len() as u64);
        message.extend_from_slice(&early);
    }

    /// All of it went on.
    pub fn is_over(&self) -> bool {
        self.body.left() == 0 && self.pipe.is_empty()
    }

    /// No more of it is wanted.
    pub fn end(self) {
        self.pipe.give_back();
    }

    /// Moves the body into `to`, until it can't be moved on. The service may take `wait` for the next byte (504), the client has
    /// its own time to send one (408).
    pub fn poll_move(&mut self, cx: &mut Context<'_>, to: &mut Line, wait: Duration) -> Poll<Result<Stop, Failure>> {
        let Line { io, patience } = to;
        let mut outlet = Outlet::new(io);
        loop {
            // Who answers before the end refuses the rest of it.
            if io.poll_read_ready(cx).is_ready() {
                self.waiting = false;
                return Poll::Ready(Ok(Stop::Spoken));
            }
            if self.is_over() {
                return Poll::Ready(Ok(Stop::Over));
            }
            let (late, within) = if self.pipe.is_empty() {
                if let Poll::Ready(filled) = self.body.poll_fill(cx, &mut self.pipe) {
                    let count = filled.map_err(|error| Failure::Final(cut(error)))? as u64;
                    self.relays.took(count);
                    self.more = self.body.left() > 0 && count >= STREAMING;
                    self.waiting = false;
                    continue;
                }
                (stalled as fn(Duration) -> ApiError, self.stall)
            } else {
                match self.pipe.poll_drain(cx, &mut outlet, self.more) {
                    Poll::Ready(Ok(_)) => {
                        self.waiting = false;
                        continue;
                    }
                    Poll::Ready(Err(error)) if is_cut(&error) => return Poll::Ready(Ok(Stop::Refused(error))),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Unusable(error.to_string()))),
                    Poll::Pending => (not_taken as fn(Duration) -> ApiError, wait),
                }
            };
            if !self.waiting {
                self.waiting = true;
                patience.move_to(Instant::now() + within);
            }
            ready!(patience.poll_over(cx));
            return Poll::Ready(Err(Failure::Final(late(within))));
        }
    }
}

/// The client ended before its body did.
fn cut(error: io::Error) -> ApiError {
    payload_error(&match error.kind() {
        io::ErrorKind::UnexpectedEof => PayloadError::Incomplete(None),
        _ => PayloadError::Io(error),
    })
}

fn stalled(_: Duration) -> ApiError {
    payload_error(&PayloadError::Io(io::ErrorKind::TimedOut.into()))
}

/// For a body of which the service took nothing within this time.
pub fn not_taken(within: Duration) -> ApiError {
    let error = ApiError::new(
        Code::GatewayTimeout,
        "A service behind this one stopped taking the body.",
    );
    error.because(format!("no byte taken within {within:?}"))
}
