//! One request and its answer, whatever carries them: which replica, whether once more, and what the client is told when
//! there is no usable answer. There are two carriers: `streamed` for everything, `spliced` for what is only read and for long uploads.

use std::error::Error;
use std::io;
use std::time::Duration;

use common::error::{ApiError, Code};
use common::replicas::{Replica, Replicas, Turn};

use super::headers::{Head, Length};
use super::metrics::Calls;
use super::upstreams::Kind;

/// When a client should try again after a failure of a service.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub struct Exchange<'a> {
    pub kind: Kind,
    pub upstreams: &'a Replicas,
    pub calls: &'a Calls,
    /// `proxy.response_timeout`.
    pub wait: Duration,
}

/// Why an attempt brought no answer. The texts are causes, for the log.
#[derive(Debug)]
pub enum Failure {
    /// No connection: nothing was sent.
    Unreachable(String),
    /// The connection ended before an answer began.
    Lost(String),
    /// What came is no HTTP.
    Unusable(String),
    /// Known already in the words of the client.
    Final(ApiError),
}

impl Failure {
    /// The service began no answer in time.
    pub fn late(replica: &Replica, wait: Duration) -> Self {
        let late = ApiError::new(
            Code::GatewayTimeout,
            "A service behind this one took too long to answer.",
        );
        let cause = format!("{} began no answer within {wait:?}", replica.base());
        Failure::Final(late.retry_after(RETRY_AFTER).because(cause))
    }

    /// What hyper says of a connection that was made.
    pub fn of(error: &hyper::Error) -> Self {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        let ended = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        if ended || io.is_some_and(is_cut) {
            Failure::Lost(chain(error))
        } else {
            Failure::Unusable(chain(error))
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Failure::Unreachable(_) => "unreachable",
            Failure::Lost(_) => "lost",
            Failure::Unusable(_) => "unusable",
            Failure::Final(error) if error.code() == Code::GatewayTimeout => "late",
            Failure::Final(_) => "ended_by_client",
        }
    }

    fn told(self, replica: &Replica) -> ApiError {
        let (code, detail, cause) = match self {
            Failure::Final(error) => return error,
            Failure::Unreachable(cause) => (
                Code::UpstreamUnavailable,
                "A service behind this one can't be reached.",
                cause,
            ),
            Failure::Lost(cause) => (
                Code::BadGateway,
                "A service behind this one ended before it answered.",
                cause,
            ),
            Failure::Unusable(cause) => (
                Code::BadGateway,
                "A service behind this one gave no usable answer.",
                cause,
            ),
        };
        let cause = format!("{}: {cause}", replica.base());
        ApiError::new(code, detail).retry_after(RETRY_AFTER).because(cause)
    }
}

impl Exchange<'_> {
    /// Asks a copy by `attempt`, and another one when the first can't be reached or is lost and that is safe. `is_whole` says
    /// whether no attempt has taken anything of the request's body.
    pub async fn run<T>(
        &self,
        head: &Head<'_>,
        is_whole: impl Fn() -> bool,
        mut attempt: impl AsyncFnMut(&Turn) -> Result<T, Failure>,
    ) -> Result<T, ApiError> {
        self.upstreams.earn();
        let mut tried: Vec<Turn> = Vec::new();
        // What may be done twice (RFC 9110 section 9.2.2). Not what is idempotent only: a DELETE that is done a second time is
        // answered otherwise than the first, and a body is sent once.
        let repeatable = head.method.is_safe() && head.length == Length::None;
        loop {
            let Some(turn) = self.upstreams.next(&tried) else {
                return Err(ApiError::internal("the edge has no upstream"));
            };
            let asked = tokio::select! {
                biased;
                asked = attempt(&turn) => asked,
                () = turn.found_silent(), if repeatable => Err(Failure::Lost("others got no answer from it either".into())),
            };
            let failure = match asked {
                Ok(answer) => {
                    self.calls.answered(self.kind);
                    turn.answered();
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            self.calls.count(self.kind, failure.name());
            let again = match &failure {
                Failure::Unreachable(cause) => {
                    turn.unreachable(cause);
                    // Nothing was sent.
                    is_whole() && tried.len() + 1 < self.upstreams.tries()
                }
                Failure::Lost(cause) => {
                    turn.silent(cause);
                    repeatable && tried.is_empty()
                }
                Failure::Final(late) if late.code() == Code::GatewayTimeout => {
                    turn.silent("took nothing, or began no answer, in time");
                    false
                }
                Failure::Unusable(_) | Failure::Final(_) => false,
            };
            if !again || !self.upstreams.may_repeat() {
                return Err(failure.told(&turn));
            }
            self.calls.count(self.kind, "repeated");
            tried.push(turn);
        }
    }
}

/// The other side ended the connection, politely or not.
pub fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
    )
}

/// The whole text of an error and of those below it.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        text.push_str(&format!(": {below}"));
        source = below.source();
    }
    text
}
