//! stream-service and scheduler-service as api-service sees them: the routes that its outbox calls, and what they were told.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse, web};
use common::config::Config;
use common::error::{ApiError, Code};
use common::http::{Body, SOON, resource, serve_each};
use common::messages::batch::{Calls, Done, Outcomes};
use common::messages::{MediaVisibility, NamedJob};
use common::operation;
use common::service::Service;
use common::testing::{Running, spawn, test_config};
use serde_json::{Value, json};

#[derive(Clone, Default)]
struct Heard {
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    /// What each was a part of.
    operations: Arc<Mutex<Vec<String>>>,
    /// 0 is success, else the status of the refusal.
    refuse: Arc<AtomicU16>,
    /// Requests that carried many calls.
    batches: Arc<AtomicUsize>,
    /// Of a version that takes none.
    before_batches: Arc<AtomicBool>,
}

impl Heard {
    fn told(&self, call: String, body: Value) -> Result<(), ApiError> {
        let status = self.refuse.load(Ordering::SeqCst);
        if status != 0 {
            return Err(ApiError::new(Code::from_status(status), "not now"));
        }
        self.calls.lock().unwrap().push((call, body));
        let operation = operation::current().expect("an operation");
        self.operations.lock().unwrap().push(operation.to_string());
        Ok(())
    }

    fn batch(&self) -> Result<(), ApiError> {
        if self.before_batches.load(Ordering::SeqCst) {
            return Err(ApiError::not_found("address"));
        }
        self.batches.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

async fn hear_hides(
    calls: Body<Calls<MediaVisibility>>,
    heard: web::Data<Heard>,
) -> Result<web::Json<Outcomes<Done>>, ApiError> {
    heard.batch()?;
    let one = async |MediaVisibility { video, visibility }| {
        let call = format!("PUT /internal/media/{video}/hidden");
        heard.told(call, json!(visibility)).map(|()| Done {})
    };
    serve_each(calls, SOON, one).await
}

async fn hear_jobs(
    calls: Body<Calls<NamedJob>>,
    heard: web::Data<Heard>,
) -> Result<web::Json<Outcomes<Done>>, ApiError> {
    heard.batch()?;
    let one = async |NamedJob { kind, key, job }| {
        heard
            .told(format!("PUT /internal/jobs/{kind}/{key}"), json!(job))
            .map(|()| Done {})
    };
    serve_each(calls, SOON, one).await
}

pub struct Neighbours {
    running: Running,
    heard: Heard,
}

async fn hear(request: HttpRequest, body: web::Bytes, heard: web::Data<Heard>) -> Result<HttpResponse, ApiError> {
    let body = serde_json::from_slice(&body).unwrap_or_default();
    heard.told(format!("{} {}", request.method(), request.path()), body)?;
    Ok(HttpResponse::NoContent().finish())
}

impl Neighbours {
    pub async fn start() -> Neighbours {
        let heard = Heard::default();
        let data = web::Data::new(heard.clone());
        let running = spawn(test_config(), |_, _| async {
            Ok(Service {
                name: "neighbours",
                public: None,
                internal: Some(Arc::new(move |config| {
                    for methods in [
                        resource("/internal/media/{id}/hidden").put(hear),
                        resource("/internal/jobs/{kind}/{key}").put(hear).delete(hear),
                        resource("/internal/visibilities").post(hear_hides),
                        resource("/internal/jobs").post(hear_jobs),
                    ] {
                        config.service(methods.done().app_data(data.clone()));
                    }
                })),
                upgrades: None,
                direct: None,
                ready: Vec::new(),
            })
        });
        Neighbours {
            running: running.await.unwrap(),
            heard,
        }
    }

    /// Sends the calls of `config` here.
    pub fn meet(&self, config: &mut Config) {
        config.internal.stream = vec![self.running.internal.clone()];
        config.internal.scheduler = vec![self.running.internal.clone()];
    }

    /// From now on every call is refused with this status; 0 is success.
    pub fn refuse(&self, status: u16) {
        self.heard.refuse.store(status, Ordering::SeqCst);
    }

    /// They are of a version that takes no batches from now on.
    pub fn are_before_batches(&self) {
        self.heard.before_batches.store(true, Ordering::SeqCst);
    }

    pub fn operations(&self) -> Vec<String> {
        self.heard.operations.lock().unwrap().clone()
    }

    pub fn batches(&self) -> usize {
        self.heard.batches.load(Ordering::SeqCst)
    }

    /// What they were told so far, in order.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.heard.calls.lock().unwrap().clone()
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}
