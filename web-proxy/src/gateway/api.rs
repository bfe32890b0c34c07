//! Calls to api-service's public contract in the name of a user: with the user's own token, operation id and address.
//!
//! A call has ended by its deadline, whatever happens behind. Calls at once are bounded for the process: when api-service is
//! slow, they wait here instead of piling up there. Neither the token nor what a user wrote reaches a log line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::config::ConfigError;
use common::error::{Code, Problem};
use common::operation::{OPERATION_ID_HEADER, OperationId};
use common::replicas::{Replicas, Turn};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use super::envelope::{Refusal, err_code};
use super::functions::Caller;
use super::functions::calls::HttpCall;

/// Calls at once. api-service answers one in a few milliseconds: this is more than it can work at.
const MAX_IN_FLIGHT: usize = 256;

/// Largest answer, in bytes: a page of 100 videos with the longest descriptions is 2 MB.
const MAX_ANSWER: usize = 4 << 20;

/// Well below the 75 s for which a service keeps a connection, so that it is rarely closed under a request.
const IDLE: Duration = Duration::from_secs(15);

/// The way to api-service. Cheap to clone; one for the process.
#[derive(Clone)]
pub struct Api {
    replicas: Replicas,
    http: reqwest::Client,
    turns: Arc<Semaphore>,
}

/// What all requests of one call have in common.
pub struct Trip<'a> {
    /// Without one it is asked as a visitor.
    pub caller: Option<&'a Caller>,
    pub operation: &'a OperationId,
    /// The call has ended by then.
    pub until: Instant,
}

/// Why there is no answer.
enum Failure {
    /// Nothing was sent.
    Unreachable(String),
    /// Whether it was done is not known.
    Broken(String),
    /// It was sent, or not: time is over.
    Late,
}

impl Api {
    /// For the public listeners of api-service at `replicas`.
    pub fn new(replicas: Replicas, connect: Duration) -> Result<Self, ConfigError> {
        // Addresses are configuration, never a user's: no proxy of the environment, no redirect is followed.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(connect)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IN_FLIGHT)
            .build()
            .map_err(|error| ConfigError::new("proxy.api", error))?;
        Ok(Api {
            replicas,
            http,
            turns: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        })
    }

    /// The JSON of the answer, empty for none.
    pub async fn call(&self, call: &HttpCall, trip: &Trip<'_>) -> Result<String, Refusal> {
        let until = trip.until.into();
        let Ok(turn) = timeout_at(until, self.turns.acquire()).await else {
            return Err(Refusal::of(
                Code::Overloaded,
                "Too many calls at once; try again shortly.",
            ));
        };
        let _turn = turn.expect("the semaphore is never closed");
        match timeout_at(until, self.ask(call, trip)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => Err(refused(call, trip, &failure)),
            Err(_) => Err(refused(call, trip, &Failure::Late)),
        }
    }

    /// The answer, good or bad. A request that reached nobody, or that changes nothing and was lost, is made once more, of
    /// another copy.
    async fn ask(&self, call: &HttpCall, trip: &Trip<'_>) -> Result<Result<String, Refusal>, Failure> {
        self.replicas.earn();
        let first = self.replicas.next(&[]).ok_or_else(nobody)?;
        let mut sent = self.send(call, trip, &first).await;
        let mut _second = None;
        let again = match &sent {
            Err(Failure::Unreachable(_)) => true,
            Err(Failure::Broken(_)) => call.method == Method::GET,
            _ => false,
        };
        if again && self.replicas.may_repeat() {
            let turn = self.replicas.next(std::slice::from_ref(&first)).ok_or_else(nobody)?;
            sent = self.send(call, trip, &turn).await;
            _second = Some(turn);
        }
        let mut response = sent?;
        let status = response.status();
        let body = body(&mut response).await?;
        if status.is_success() {
            good(status, body).map(Ok)
        } else {
            problem(status, &body).map(Err)
        }
    }

    async fn send(&self, call: &HttpCall, trip: &Trip<'_>, turn: &Turn) -> Result<Response, Failure> {
        let address = format!("{}{}", turn.base(), call.path);
        let mut request = self
            .http
            .request(call.method.clone(), address)
            .header(OPERATION_ID_HEADER, trip.operation.as_str());
        if let Some(caller) = trip.caller {
            request = request
                .bearer_auth(caller.token.expose())
                .header("x-forwarded-for", caller.address.to_string());
        }
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let sent = tokio::select! {
            biased;
            sent = request.send() => sent,
            () = turn.found_silent(), if call.method == Method::GET => {
                return Err(Failure::Broken("others got no answer from it either".into()));
            }
        };
        match sent {
            Ok(response) => {
                turn.answered();
                Ok(response)
            }
            Err(error) if error.is_connect() => {
                let reason = with_causes(error);
                turn.unreachable(&reason);
                Err(Failure::Unreachable(reason))
            }
            Err(error) => {
                let reason = with_causes(error);
                turn.silent(&reason);
                Err(Failure::Broken(reason))
            }
        }
    }
}

impl Failure {
    fn broken(error: reqwest::Error) -> Self {
        Failure::Broken(with_causes(error))
    }

    fn reason(&self) -> &str {
        match self {
            Failure::Unreachable(reason) | Failure::Broken(reason) => reason,
            Failure::Late => "no answer in time",
        }
    }
}

fn nobody() -> Failure {
    Failure::Unreachable("no address is configured".into())
}

async fn body(response: &mut Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::broken)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Failure::Broken(format!("the answer has more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The JSON of a good answer, as it came.
fn good(status: StatusCode, body: Vec<u8>) -> Result<String, Failure> {
    if body.is_empty() && status == StatusCode::NO_CONTENT {
        return Ok(String::new());
    }
    let garbage = || Failure::Broken(format!("status {status} without JSON"));
    let text = String::from_utf8(body).map_err(|_| garbage())?;
    let json: Box<RawValue> = serde_json::from_str(&text).map_err(|_| garbage())?;
    Ok(Box::<str>::from(json).into_string())
}

/// A refusal in the words of the problem document.
fn problem(status: StatusCode, body: &[u8]) -> Result<Refusal, Failure> {
    let problem: Problem =
        serde_json::from_slice(body).map_err(|_| Failure::Broken(format!("status {status} without a problem")))?;
    if problem.err_code == err_code::OK {
        return Err(Failure::Broken(format!(
            "status {status} with a problem that has no number"
        )));
    }
    let fields: Vec<String> = problem
        .errors
        .iter()
        .map(|field| format!("{}: {}", field.pointer, field.detail))
        .collect();
    let message = if fields.is_empty() {
        problem.detail
    } else {
        fields.join("; ")
    };
    Ok(Refusal::new(problem.err_code, message))
}

/// The log is told why; the client, that it may try again.
fn refused(call: &HttpCall, trip: &Trip<'_>, failure: &Failure) -> Refusal {
    let (method, path) = (&call.method, &call.path);
    log::warn!(operation_id = trip.operation.as_str(); "api-service did not answer {method} {path}: {}", failure.reason());
    let safe = call.method == Method::GET || matches!(failure, Failure::Unreachable(_));
    let message = if safe {
        "The service can't answer just now; try again shortly."
    } else {
        "The service did not answer; it is not known whether it was done."
    };
    Refusal::of(Code::UpstreamUnavailable, message)
}

/// reqwest's own text stops at "error sending request"; the reason is below it. The address may hold a user's words.
fn with_causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
