//! Typed clients of the internal routes: one method per call, the same in both ways to run. Every call carries the
//! internal token and the operation id and has a deadline. A call that reached nobody is made of another copy, one that only
//! asks also when its copy was lost; everything else is repeated by the callers' outboxes and jobs, which know how.

mod api;
mod batch;
mod scheduler;
mod stream;
mod together;

use std::time::Duration;

use reqwest::{Method, Request, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use api::ApiClient;
pub use batch::carry;
pub use scheduler::SchedulerClient;
pub use stream::StreamClient;
pub use together::Together;

use crate::config::{ConfigError, Secret};
use crate::error::{ApiError, Code, Problem};
use crate::operation::{self, OPERATION_ID_HEADER};
use crate::replicas::{Replicas, Turn};

/// Longest time to connect. On the network between services it takes less than a millisecond, or for ever.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Stands for the copy that is chosen when a request is sent.
const PLACE: &str = "http://copy";

/// Why a call to another service brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The service refused, with this entry of the catalogue.
    #[error("{service} answered {status} {code}: {detail}")]
    Refused {
        service: &'static str,
        status: u16,
        code: String,
        detail: String,
    },
    /// No usable answer: not reachable, too slow, or not in our language. Trying again may help.
    #[error("{service} is away: {reason}")]
    Away { service: &'static str, reason: String },
}

impl ClientError {
    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Refused { status, .. } => Some(*status),
            ClientError::Away { .. } => None,
        }
    }
}

impl ClientError {
    /// Nobody is there to answer just now, or what the service needs is not: it says nothing about what was asked.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self.status(), None | Some(502..=504))
    }

    /// Of a request that carries many calls: who answers knows none such (a version before the one that has it, or somebody else at
    /// the address), or not so large a one.
    #[must_use]
    pub fn is_no_batch(&self) -> bool {
        matches!(self.status(), Some(404 | 405 | 413))
    }
}

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        let (code, detail) = match &error {
            ClientError::Away { service, .. } => (
                Code::UpstreamUnavailable,
                format!("{service} can't be reached just now."),
            ),
            ClientError::Refused { service, status, .. } if *status >= 500 => {
                (Code::UpstreamUnavailable, format!("{service} can't answer just now."))
            }
            ClientError::Refused {
                code, status, detail, ..
            } => (
                Code::from_name(code, *status).unwrap_or(Code::from_status(*status)),
                detail.clone(),
            ),
        };
        let answer = ApiError::new(code, detail).because(&error);
        if code == Code::UpstreamUnavailable {
            answer.retry_after(Duration::from_secs(1))
        } else {
            answer
        }
    }
}

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It changes nothing.
    Asks,
    Does,
}

/// One service's internal addresses and how to call them. Cheap to clone.
#[derive(Clone)]
struct Endpoint {
    service: &'static str,
    replicas: Replicas,
    http: reqwest::Client,
    token: Secret,
    timeout: Duration,
}

impl Endpoint {
    fn new(service: &'static str, replicas: Replicas, token: &Secret, timeout: Duration) -> Self {
        // Addresses are configuration, never a user's: no proxy of the environment, no redirect is followed.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.min(CONNECT_WITHIN))
            .timeout(timeout)
            .pool_max_idle_per_host(64)
            .build()
            .expect("a client without TLS has nothing that can fail");
        Endpoint {
            service,
            replicas,
            http,
            token: token.clone(),
            timeout,
        }
    }

    /// The same service for a call that does a lot before it answers: at least this deadline.
    fn patient(&self, timeout: Duration) -> Endpoint {
        Endpoint {
            timeout: self.timeout.max(timeout),
            ..self.clone()
        }
    }

    /// A request to whichever copy it will be.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{PLACE}{path}"));
        let request = request.bearer_auth(self.token.expose());
        request.header(OPERATION_ID_HEADER, operation::current_or_mint().as_str())
    }

    /// Sends and reads a JSON answer.
    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.json(self.send(request, Kind::Does).await?).await
    }

    async fn json<T: DeserializeOwned>(&self, (response, _turn): (Response, Turn)) -> Result<T, ClientError> {
        response.json().await.map_err(|error| self.away(&error))
    }

    /// Sends and expects success without a body of interest.
    async fn tell(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.send(request, Kind::Does).await.map(drop)
    }

    async fn send(&self, request: RequestBuilder, kind: Kind) -> Result<(Response, Turn), ClientError> {
        let request = request.build().map_err(|error| self.away(&error))?;
        let kind = if request.method().is_safe() { Kind::Asks } else { kind };
        let sending = tokio::time::timeout(self.timeout, self.try_copies(&request, kind));
        let (response, turn) = sending.await.unwrap_or_else(|_| Err(self.late()))?;
        if response.status().is_success() {
            Ok((response, turn))
        } else {
            Err(self.refusal(response).await)
        }
    }

    /// The first answer, good or bad.
    async fn try_copies(&self, request: &Request, kind: Kind) -> Result<(Response, Turn), ClientError> {
        let mut tried: Vec<Turn> = Vec::new();
        self.replicas.earn();
        loop {
            let turn = self.replicas.next(&tried).ok_or_else(|| ClientError::Away {
                service: self.service,
                reason: "no address is configured".into(),
            })?;
            let asked = tokio::select! {
                answer = self.http.execute(self.to(&turn, request)) => answer.map_err(|error| (error.is_connect(), self.away(&error))),
                () = turn.found_silent(), if kind == Kind::Asks => Err((false, self.late())),
            };
            let (unreachable, error) = match asked {
                Ok(answer) => {
                    turn.answered();
                    return Ok((answer, turn));
                }
                Err(failure) => failure,
            };
            let reason = error.to_string();
            if unreachable {
                turn.unreachable(&reason);
            } else {
                turn.silent(&reason);
            }
            tried.push(turn);
            let again = unreachable || (kind == Kind::Asks && tried.len() == 1);
            if !again || tried.len() == self.replicas.tries() || !self.replicas.may_repeat() {
                return Err(error);
            }
        }
    }

    /// `request` for this copy. What is left of the deadline is the caller's.
    fn to(&self, turn: &Turn, request: &Request) -> Request {
        let mut request = request.try_clone().expect("its body is in memory");
        let mut url: Url = turn.base().parse().expect("a base is an address");
        url.set_path(request.url().path());
        url.set_query(request.url().query());
        *request.url_mut() = url;
        *request.timeout_mut() = Some(self.timeout);
        request
    }

    fn late(&self) -> ClientError {
        ClientError::Away {
            service: self.service,
            reason: format!("no answer within {:?}", self.timeout),
        }
    }

    async fn refusal(&self, response: reqwest::Response) -> ClientError {
        let status: StatusCode = response.status();
        match response.json::<Problem>().await {
            Ok(problem) => self.refused(Problem {
                status: status.as_u16(),
                ..problem
            }),
            Err(_) => ClientError::Away {
                service: self.service,
                reason: format!("status {status} without a problem document"),
            },
        }
    }

    fn refused(&self, problem: Problem) -> ClientError {
        ClientError::Refused {
            service: self.service,
            status: problem.status,
            code: problem.code,
            detail: problem.detail,
        }
    }

    fn away(&self, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() && !error.is_connect() {
            return self.late();
        }
        ClientError::Away {
            service: self.service,
            reason: with_causes(error),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, ClientError> {
        self.call(self.request(Method::GET, path).query(query)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.call(self.request(Method::POST, path).json(body)).await
    }

    /// [`Endpoint::post`] for a question that is too long for an address: it changes nothing.
    async fn ask<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let request = self.request(Method::POST, path).json(body);
        self.json(self.send(request, Kind::Asks).await?).await
    }
}

/// reqwest's own text stops at "error sending request"; the reason is below it.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The clients of a process.
#[derive(Clone)]
pub struct Clients {
    pub api: ApiClient,
    pub stream: StreamClient,
    pub scheduler: SchedulerClient,
}

impl Clients {
    /// Clients for the addresses of `[internal]`.
    pub fn new(config: &crate::config::Config) -> Result<Self, ConfigError> {
        let (internal, token) = (&config.internal, &config.secrets.internal_token);
        let endpoint = |service, key, bases: &[String]| {
            let replicas = Replicas::new(key, bases)?;
            Ok(Endpoint::new(service, replicas, token, internal.timeout.0))
        };
        Ok(Clients {
            api: ApiClient(endpoint("api-service", "internal.api", &internal.api)?),
            stream: StreamClient(endpoint("stream-service", "internal.stream", &internal.stream)?),
            scheduler: SchedulerClient(endpoint(
                "scheduler-service",
                "internal.scheduler",
                &internal.scheduler,
            )?),
        })
    }

    pub(crate) fn replicas(&self) -> impl Iterator<Item = &Replicas> {
        let lists = [
            &self.api.0.replicas,
            &self.stream.0.replicas,
            &self.scheduler.0.replicas,
        ];
        lists.into_iter().filter(|replicas| !replicas.all().is_empty())
    }
}
