//! One request and its answer: which replica, how long, whether once more, and what the client is told when there is no
//! usable answer.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use common::error::{ApiError, Code};
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use tokio::time::{Instant, sleep};

use super::body::{self, Source, Upload};
use super::client::Client;
use super::headers::{Head, Length};
use super::metrics::Calls;
use super::relay;
use super::upstreams::{Kind, Replica, Replicas};

/// When a client should try again after a failure of a service.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub struct Exchange<'a> {
    pub kind: Kind,
    pub client: &'a Client,
    pub upstreams: &'a Replicas,
    pub calls: &'a Calls,
    /// `proxy.response_timeout`.
    pub wait: Duration,
}

/// Why an attempt brought no answer.
enum Failure {
    /// No connection: nothing was sent.
    Unreachable(Error),
    /// The connection ended before an answer began.
    Lost(Error),
    /// What came is no HTTP.
    Unusable(Error),
    /// Known already in the words of the client.
    Final(ApiError),
}

impl Failure {
    fn name(&self) -> &'static str {
        match self {
            Failure::Unreachable(_) => "unreachable",
            Failure::Lost(_) => "lost",
            Failure::Unusable(_) => "unusable",
            Failure::Final(error) if error.code() == Code::GatewayTimeout => "late",
            Failure::Final(_) => "ended_by_client",
        }
    }
}

impl Exchange<'_> {
    /// Asks a replica, another one when the first can't be reached, and passes the answer on.
    pub async fn run(&self, head: Head, payload: web::Payload) -> Result<HttpResponse, ApiError> {
        let (source, mut upload) = body::begin(head.length, payload, self.wait);
        let mut first = true;
        loop {
            let replica = self.upstreams.next();
            let failure = match self.attempt(replica, &head, &source, &mut upload).await {
                Ok(answer) => {
                    self.calls.count(self.kind, "answered");
                    return relay::answer(&head, answer, upload, self.wait);
                }
                Err(failure) => failure,
            };
            self.calls.count(self.kind, failure.name());
            if let Failure::Unreachable(_) = &failure {
                self.upstreams.rest(replica);
            }
            let again = first && self.may_repeat(&failure, &head, &source);
            if !again {
                return Err(told(failure, replica));
            }
            self.calls.count(self.kind, "repeated");
            first = false;
        }
    }

    /// Nothing was sent, or nothing that must not be sent twice (RFC 9110 section 9.2.2). A body is sent once.
    fn may_repeat(&self, failure: &Failure, head: &Head, source: &Source) -> bool {
        match failure {
            Failure::Unreachable(_) => self.upstreams.len() > 1 && source.is_whole(),
            Failure::Lost(_) => head.method.is_safe() && head.length == Length::None,
            Failure::Unusable(_) | Failure::Final(_) => false,
        }
    }

    /// Sends the request and waits for the head of the answer. While the body moves, the service is not late.
    async fn attempt(
        &self,
        replica: &Replica,
        head: &Head,
        source: &Source,
        upload: &mut Upload,
    ) -> Result<Response<Incoming>, Failure> {
        let mut call = pin!(self.client.call(replica, head, source.body()));
        let mut deadline = pin!(sleep(self.wait));
        loop {
            let uploading = upload.is_running();
            tokio::select! {
                biased;
                answer = &mut call => return answer.map_err(classify),
                moved = upload.run(), if uploading => {
                    moved.map_err(Failure::Final)?;
                    deadline.as_mut().reset(Instant::now() + self.wait);
                }
                () = &mut deadline, if !uploading => {
                    let late = ApiError::new(Code::GatewayTimeout, "A service behind this one took too long to answer.");
                    let cause = format!("{} began no answer within {:?}", replica.base(), self.wait);
                    return Err(Failure::Final(late.retry_after(RETRY_AFTER).because(cause)));
                }
            }
        }
    }
}

fn classify(error: Error) -> Failure {
    if error.is_connect() {
        return Failure::Unreachable(error);
    }
    let cause = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    let io = cause
        .and_then(|cause| cause.source())
        .and_then(|source| source.downcast_ref::<io::Error>());
    let ended = cause.is_some_and(|cause| cause.is_incomplete_message() || cause.is_closed() || cause.is_canceled());
    let cut = io.is_some_and(|io| {
        matches!(
            io.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
        )
    });
    if ended || cut {
        Failure::Lost(error)
    } else {
        Failure::Unusable(error)
    }
}

fn told(failure: Failure, replica: &Replica) -> ApiError {
    let (code, detail, error) = match failure {
        Failure::Final(error) => return error,
        Failure::Unreachable(error) => (
            Code::UpstreamUnavailable,
            "A service behind this one can't be reached.",
            error,
        ),
        Failure::Lost(error) => (
            Code::BadGateway,
            "A service behind this one ended before it answered.",
            error,
        ),
        Failure::Unusable(error) => (
            Code::BadGateway,
            "A service behind this one gave no usable answer.",
            error,
        ),
    };
    let mut cause = format!("{}: {error}", replica.base());
    let mut source = error.source();
    while let Some(below) = source {
        cause.push_str(&format!(": {below}"));
        source = below.source();
    }
    ApiError::new(code, detail).retry_after(RETRY_AFTER).because(cause)
}
