//! Sending requests and waiting for answers: connections and deadlines.

use super::{
    body::{Moving, Sending},
    error::S3Error,
    patience::{Attempts, Patience},
    request::Request,
    settings::{Settings, SettingsError},
    tls::tls,
};
use bytes::{Bytes, BytesMut};
use common::connect::Connector;
use hyper::{
    Response, StatusCode,
    body::{Body, Incoming},
    header::HeaderMap,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioTimer,
};
use jiff::Timestamp;
use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::JoinHandle};

pub const CONNECT: Duration = Duration::from_secs(5);

/// Idle connections kept, and how long: shorter than the stores keep them.
pub const IDLE: usize = 32;
pub const KEEP: Duration = Duration::from_secs(10);

/// What a connection reads ahead and writes at once, at most, in bytes.
const BUFFER: usize = 256 << 10;

/// Largest document of an answer (a page of a thousand long keys), in bytes.
const MAX_DOCUMENT: usize = 4 << 20;

/// Cheap to clone. Does not keep the threads alive: tasks on them may own one.
#[derive(Clone)]
pub struct Http {
    pool: Pool<HttpsConnector<Connector>, Sending>,
    settings: Arc<Settings>,
    threads: Handle,
}

/// A task that ends with whoever waits for it.
pub struct Task<T>(JoinHandle<T>);

impl Http {
    pub fn new(settings: Settings, threads: Handle) -> Result<Self, SettingsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&settings)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector(tcp));
        let pool = Pool::builder(On(threads.clone()))
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(KEEP)
            .http1_max_buf_size(BUFFER)
            .build(connector);
        Ok(Self {
            pool,
            settings: Arc::new(settings),
            threads,
        })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs it on the client's threads, where the connections belong.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(self.threads.spawn(work))
    }

    /// The answer to a request with its whole document, repeated as far as patience goes. What is no success is an error.
    pub async fn call(&self, request: Request, patience: Patience) -> Result<Answer, S3Error> {
        let http = self.clone();
        let work = async move {
            let mut attempts = Attempts::new(patience);
            loop {
                match http.answer(&request, patience.still()).await {
                    Err(error) => attempts.another(error).await?,
                    done => return done,
                }
            }
        };
        self.spawn(work).await
    }

    async fn answer(&self, request: &Request, still: Duration) -> Result<Answer, S3Error> {
        let response = self.send(request, still).await?;
        let (head, body) = response.into_parts();
        let document = collect(body, still).await?;
        if !head.status.is_success() {
            return Err(S3Error::of(head.status, &document));
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            document,
        })
    }

    /// One attempt, up to the head of the answer. On the client's threads.
    pub async fn send(&self, request: &Request, still: Duration) -> Result<Response<Incoming>, S3Error> {
        let url = request.signed(&self.settings, Timestamp::now());
        let url = url.map_err(|error| S3Error::unreadable(StatusCode::OK, error))?;
        let moving = Moving::now();
        let mut sent = hyper::Request::builder()
            .method(request.method.clone())
            .uri(url.as_str())
            .header(hyper::header::USER_AGENT, "sluice");
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        let sent = sent
            .body(Sending::new(request.body.clone(), moving.clone()))
            .map_err(|error| S3Error::unreadable(StatusCode::OK, error))?;
        tokio::select! {
            answer = self.pool.request(sent) => answer.map_err(|error| away(&error)),
            () = moving.stopped(still) => Err(S3Error::Away(format!("no answer within {still:?}"))),
        }
    }
}

/// A successful answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub document: Bytes,
}

impl Answer {
    /// A header as text; `None` when it is absent or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The whole of a body, which is a document.
pub async fn collect(mut body: Incoming, still: Duration) -> Result<Bytes, S3Error> {
    let mut document = BytesMut::new();
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let late = |_| S3Error::Away(format!("an answer stopped for {still:?}"));
        let Some(frame) = tokio::time::timeout(still, frame).await.map_err(late)? else {
            return Ok(document.freeze());
        };
        let frame = frame.map_err(|error| S3Error::Away(causes(&error)))?;
        if let Some(data) = frame.data_ref() {
            if document.len() + data.len() > MAX_DOCUMENT {
                return Err(S3Error::unreadable(StatusCode::OK, "a document that is too long"));
            }
            document.extend_from_slice(data);
        }
    }
}

fn away(error: &(dyn std::error::Error + 'static)) -> S3Error {
    S3Error::Away(causes(error))
}

/// An error with what caused it, in one line: hyper's own texts end where they become interesting.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Spawns what hyper spawns on the client's threads.
#[derive(Clone)]
struct On(Handle);

impl<F> hyper::rt::Executor<F> for On
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}

impl<T> Future for Task<Result<T, S3Error>> {
    type Output = Result<T, S3Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let done = std::task::ready!(Pin::new(&mut self.0).poll(cx));
        std::task::Poll::Ready(done.unwrap_or_else(|error| Err(S3Error::Away(error.to_string()))))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
