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
use common::slot::{Outlet, Socket};

use super::super::exchange::{Failure, is_cut};
use super::super::headers::Length;
use super::super::metrics::Relays;
use super::waiting::Waiting;

pub struct Inflow {
    body: Captured,
    pipe: Pipe,
    more: bool,
    waiting: Waiting,
    /// The longest wait for the client: `server.stall_timeout`.
    stall: Duration,
    relays: Relays,
}

/// Why the body does not move on.
pub enum Stop {
    /// All of it is on its way to the service.
    Over,
    /// The service may have said something: a refusal, as a rule.
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
            waiting: Waiting::default(),
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

    /// Moves the body into `to`, until it can't be moved on. A service that takes nothing for `wait` is late (504), a client that sends
    /// nothing for its own time, too (408). Whatever a service says before the end of the body ends it, as RFC 9112 section 9.5 has
    /// it for a refusal; the copying way goes on for a success, which none of our services says so early.
    pub fn poll_move(&mut self, cx: &mut Context<'_>, to: &mut Line, wait: Duration) -> Poll<Result<Stop, Failure>> {
        let Line { io, patience } = to;
        let mut outlet = Outlet::new(io);
        loop {
            match io.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {
                    self.waiting.over();
                    return Poll::Ready(Ok(Stop::Spoken));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Ok(Stop::Refused(error))),
                Poll::Pending => {}
            }
            if self.is_over() {
                self.body.finish();
                return Poll::Ready(Ok(Stop::Over));
            }
            if self.pipe.is_empty() {
                if let Poll::Ready(filled) = self.body.poll_fill(cx, &mut self.pipe) {
                    let count = filled.map_err(|error| Failure::Final(cut(error)))? as u64;
                    self.relays.took(count);
                    self.more = self.body.left() > 0 && count >= STREAMING;
                    self.waiting.over();
                    continue;
                }
                ready!(self.waiting.poll_late(cx, patience, self.stall, || None));
                return Poll::Ready(Err(Failure::Final(stalled())));
            }
            match self.pipe.poll_drain(cx, &mut outlet, self.more) {
                Poll::Ready(Ok(_)) => self.waiting.over(),
                Poll::Ready(Err(error)) if is_cut(&error) => return Poll::Ready(Ok(Stop::Refused(error))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Unusable(error.to_string()))),
                Poll::Pending => {
                    ready!(self.waiting.poll_late(cx, patience, wait, || io.unacknowledged()));
                    return Poll::Ready(Err(Failure::Final(not_taken(wait))));
                }
            }
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

fn stalled() -> ApiError {
    payload_error(&PayloadError::Io(io::ErrorKind::TimedOut.into()))
}

/// For a body of which the service took nothing within this time.
pub fn not_taken(within: Duration) -> ApiError {
    let error = ApiError::new(
        Code::GatewayTimeout,
        "A service behind this one stopped taking the body.",
    );
    error.because(format!("nothing taken within {within:?}"))
}
