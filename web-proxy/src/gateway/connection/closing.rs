//! The end of a connection: what waits is sent, then our close frame, then the client's is waited for, each with a deadline.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;

use super::state::Inner;
use crate::gateway::frame::{self, CloseCode};

/// From our close frame to the end of the connection, at the longest.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that are read and thrown away after our close frame, which a connection that is cut at once would lose. A client
/// that sends more is not listening.
const MAX_LINGERING: usize = 4 << 20;

/// The same for one that is signed out: it is gone within a second, whether or not it listens (promise 13).
const SIGNED_OUT_PATIENCE: Duration = Duration::from_millis(500);

/// How far the end is.
pub(super) struct Closing {
    stage: Stage,
    until: Instant,
    /// Bytes that came since.
    lingering: usize,
    /// What we said.
    code: Option<CloseCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Our close frame waits to be sent, then the client's to come.
    Said,
    /// Both are exchanged as far as we are concerned: ends once all is sent.
    Answered,
    /// Nothing can be said any more.
    Dead,
}

impl Closing {
    pub(super) fn dead() -> Self {
        Closing {
            stage: Stage::Dead,
            until: Instant::now(),
            lingering: 0,
            code: None,
        }
    }

    /// Ends without another word.
    pub(super) fn give_up(&mut self) {
        self.stage = Stage::Dead;
    }

    pub(super) fn code(&self) -> Option<CloseCode> {
        self.code
    }
}

impl Inner {
    /// Says `code`. Whoever is too slow loses what waits.
    pub(super) fn begin_closing(&mut self, code: CloseCode, reason: &str) {
        if self.closing.is_none() {
            if code == CloseCode::TooSlow {
                self.outbound.clear();
            }
            self.say(code, reason, Stage::Said);
        }
    }

    /// The client says that it ends (RFC 6455 section 5.5.1): the same is said back, unless we began.
    pub(super) fn answer_close(&mut self) {
        match &mut self.closing {
            Some(closing) if closing.stage == Stage::Said => closing.stage = Stage::Answered,
            Some(_) => {}
            None => self.say(CloseCode::Normal, "", Stage::Answered),
        }
    }

    fn say(&mut self, code: CloseCode, reason: &str, stage: Stage) {
        let now = Instant::now();
        self.outbound.push_last(frame::close(code, reason).into(), now);
        self.held = Vec::new();
        self.closing = Some(Closing {
            stage,
            until: now
                + match code {
                    CloseCode::SignedOut => SIGNED_OUT_PATIENCE,
                    _ => PATIENCE,
                },
            lingering: 0,
            code: Some(code),
        });
    }

    /// We have said that we end, and the client has not yet.
    pub(super) fn awaits_close(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.stage == Stage::Said)
    }

    /// So many bytes came; whether one that is closed may go on.
    pub(super) fn may_linger(&mut self, count: usize) -> bool {
        self.closing.as_mut().is_none_or(|closing| {
            closing.lingering += count;
            closing.lingering <= MAX_LINGERING
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.stage == Stage::Dead)
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.closing.as_ref().is_some_and(|closing| now > closing.until)
    }

    /// Whether nothing is left to do. Once our close frame is sent the client sees the end of our stream.
    pub(super) fn is_over(&mut self, socket: &TcpStream) -> bool {
        let sent = self.outbound.is_empty();
        match &self.closing {
            None => false,
            Some(Closing { stage: Stage::Dead, .. }) => true,
            Some(Closing {
                stage: Stage::Answered, ..
            }) => sent,
            Some(Closing { stage: Stage::Said, .. }) => {
                // A socket that refuses is gone already; the next read tells.
                sent && shutdown(socket.as_fd(), Shutdown::Write).is_err()
            }
        }
    }
}
