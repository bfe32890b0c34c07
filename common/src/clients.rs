//! Typed clients of the internal routes: one method per call, the same in both ways to run. Every call carries the
//! internal token and the operation id and has a deadline; nothing is retried here, the callers' outboxes and jobs do
//! that.

mod api;
mod scheduler;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use api::ApiClient;
pub use scheduler::SchedulerClient;
pub use stream::StreamClient;

use crate::config::Secret;
use crate::error::{ApiError, Code, Problem};
use crate::operation::{self, OPERATION_ID_HEADER};

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

/// One service's internal addresses and how to call them. Cheap to clone.
#[derive(Clone)]
struct Endpoint {
    service: &'static str,
    bases: Arc<[String]>,
    turn: Arc<AtomicUsize>,
    http: reqwest::Client,
    token: Secret,
    timeout: Duration,
}

impl Endpoint {
    fn new(service: &'static str, bases: &[String], token: &Secret, timeout: Duration) -> Self {
        // Addresses are configuration, never a user's: no proxy of the environment, no redirect is followed.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.min(Duration::from_secs(3)))
            .timeout(timeout)
            .pool_max_idle_per_host(64)
            .build()
            .expect("a client without TLS has nothing that can fail");
        Endpoint {
            service,
            bases: bases.into(),
            turn: Arc::default(),
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

    /// A request to the next address in turn.
    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let count = self.bases.len();
        if count == 0 {
            return Err(ClientError::Away {
                service: self.service,
                reason: "no address is configured".into(),
            });
        }
        let base = &self.bases[self.turn.fetch_add(1, Ordering::Relaxed) % count];
        let request = self
            .http
            .request(method, format!("{base}{path}"))
            .timeout(self.timeout)
            .bearer_auth(self.token.expose());
        Ok(request.header(OPERATION_ID_HEADER, operation::current_or_mint().as_str()))
    }

    /// Sends and reads a JSON answer.
    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        response.json().await.map_err(|error| self.away(&error))
    }

    /// Sends and expects success without a body of interest.
    async fn tell(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.send(request).await.map(drop)
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, ClientError> {
        let response = request.send().await.map_err(|error| self.away(&error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refusal(response).await)
        }
    }

    async fn refusal(&self, response: reqwest::Response) -> ClientError {
        let status: StatusCode = response.status();
        match response.json::<Problem>().await {
            Ok(problem) => ClientError::Refused {
                service: self.service,
                status: status.as_u16(),
                code: problem.code,
                detail: problem.detail,
            },
            Err(_) => ClientError::Away {
                service: self.service,
                reason: format!("status {status} without a problem document"),
            },
        }
    }

    fn away(&self, error: &reqwest::Error) -> ClientError {
        let reason = if error.is_timeout() {
            format!("no answer within {:?}", self.timeout)
        } else {
            with_causes(error)
        };
        ClientError::Away {
            service: self.service,
            reason,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, ClientError> {
        self.call(self.request(Method::GET, path)?.query(query)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.call(self.request(Method::POST, path)?.json(body)).await
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
    #[must_use]
    pub fn new(config: &crate::config::Config) -> Self {
        let (internal, token) = (&config.internal, &config.secrets.internal_token);
        let endpoint = |service, bases: &[String]| Endpoint::new(service, bases, token, internal.timeout.0);
        Clients {
            api: ApiClient(endpoint("api-service", &internal.api)),
            stream: StreamClient(endpoint("stream-service", &internal.stream)),
            scheduler: SchedulerClient(endpoint("scheduler-service", &internal.scheduler)),
        }
    }
}
