//! `/healthz` (the process is up; touches nothing), `/readyz` (its dependencies answer; `?verbose` names them) and, on the
//! internal listener, `/metrics`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, web};
use futures_util::future::{BoxFuture, join_all};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::near;

/// A dependency that takes longer than this counts as away.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

/// How long an answer serves others who ask.
const FRESH: Duration = Duration::from_secs(1);

/// Asks one dependency; the error says what is wrong.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What this process needs to serve.
#[derive(Clone, Default)]
pub struct Health {
    drain: Drain,
    checks: Vec<(&'static str, Check)>,
    /// Shown, but not needed.
    notes: Vec<(&'static str, Check)>,
    /// The name of the socket by which the process is reached on its own machine.
    socket: Option<HeaderValue>,
    /// The last answer, so that many who ask cost the dependencies one question.
    last: Arc<Mutex<Option<(Instant, Answer)>>>,
}

/// Whether all answer, and each dependency with its state.
type Answer = (bool, Vec<(&'static str, Result<(), String>)>);

/// How much `?verbose` tells: reasons hold addresses and paths, which are not for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Names,
    Reasons,
}

#[derive(Deserialize)]
struct ReadyQuery {
    verbose: Option<String>,
}

impl Health {
    #[must_use]
    pub fn new(drain: Drain) -> Self {
        Health {
            drain,
            checks: Vec::new(),
            notes: Vec::new(),
            socket: None,
            last: Arc::default(),
        }
    }

    /// Adds a dependency under the name that `?verbose` shows.
    pub fn add(&mut self, name: &'static str, check: Check) {
        self.checks.push((name, check));
    }

    /// Adds something that is shown with the dependencies, and that people are served without.
    pub fn note(&mut self, name: &'static str, check: Check) {
        self.notes.push((name, check));
    }

    /// Says in every answer by which socket the process is reached on its own machine ([`near`]).
    pub fn say_socket(&mut self, name: &str) {
        self.socket = HeaderValue::from_str(name).ok();
    }

    /// Every dependency with its state, and whether all answer; up to [`FRESH`] old.
    pub async fn ask(&self) -> Answer {
        // Held while the dependencies are asked, at most CHECK_DEADLINE: the others wait for the same answer.
        let mut last = self.last.lock().await;
        if let Some((asked, answer)) = &*last
            && asked.elapsed() < FRESH
            && !self.drain.is_leaving()
        {
            return answer.clone();
        }
        let answer = self.ask_now().await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn ask_now(&self) -> Answer {
        let asked = self.checks.iter().chain(&self.notes).map(|(name, check)| async move {
            let answer = tokio::time::timeout(CHECK_DEADLINE, check()).await;
            (
                *name,
                answer.unwrap_or_else(|_| Err(format!("no answer within {CHECK_DEADLINE:?}"))),
            )
        });
        let mut states: Vec<_> = join_all(asked).await;
        let stopping = self.drain.is_leaving();
        let needed = states.iter().take(self.checks.len());
        let ready = !stopping && needed.into_iter().all(|(_, state)| state.is_ok());
        if stopping {
            states.push(("drain", Err("stopping".into())));
        }
        (ready, states)
    }
}

/// Mounts `/healthz` and `/readyz`.
pub fn routes(health: &Health, detail: Detail) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let (health, detail) = (web::Data::new(health.clone()), web::Data::new(detail));
    move |config| {
        config
            .service(
                web::resource("/healthz")
                    .route(web::get().to(alive))
                    .route(web::head().to(alive)),
            )
            .service(
                web::resource("/readyz")
                    .app_data(health)
                    .app_data(detail)
                    .route(web::get().to(ready))
                    .route(web::head().to(ready)),
            );
    }
}

/// Mounts `/metrics`.
pub fn metrics_route(metrics: &Metrics) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let metrics = web::Data::new(metrics.clone());
    move |config| {
        config.service(web::resource("/metrics").app_data(metrics).route(web::get().to(expose)));
    }
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

async fn ready(health: web::Data<Health>, detail: web::Data<Detail>, query: web::Query<ReadyQuery>) -> HttpResponse {
    let (all, states) = health.ask().await;
    let mut response = if all {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    if let Some(name) = &health.socket {
        response.insert_header((near::HEADER, name.clone()));
    }
    if query.verbose.is_none() {
        return response.json(json!({ "ready": all }));
    }
    let checks: serde_json::Map<_, _> = states
        .into_iter()
        .map(|(name, state)| {
            let text = match (state, **detail) {
                (Ok(()), _) => "ok".into(),
                (Err(_), Detail::Names) => "away".into(),
                (Err(reason), Detail::Reasons) => reason,
            };
            (name.to_owned(), text.into())
        })
        .collect();
    response.json(json!({ "ready": all, "checks": checks }))
}

async fn expose(metrics: web::Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.encode())
}
