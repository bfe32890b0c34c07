//! stream-service and scheduler-service as api-service sees them: the routes that its outbox calls, and what they were told.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse, web};
use common::config::Config;
use common::error::{ApiError, Code};
use common::http::resource;
use common::service::Service;
use common::testing::{Running, spawn, test_config};
use serde_json::Value;

#[derive(Clone, Default)]
struct Heard {
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    /// 0 is success, else the status of the refusal.
    refuse: Arc<AtomicU16>,
}

pub struct Neighbours {
    running: Running,
    heard: Heard,
}

async fn hear(request: HttpRequest, body: web::Bytes, heard: web::Data<Heard>) -> Result<HttpResponse, ApiError> {
    let status = heard.refuse.load(Ordering::SeqCst);
    if status != 0 {
        return Err(ApiError::new(Code::from_status(status), "not now"));
    }
    let body = serde_json::from_slice(&body).unwrap_or_default();
    heard
        .calls
        .lock()
        .unwrap()
        .push((format!("{} {}", request.method(), request.path()), body));
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

    /// What they were told so far, in order.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.heard.calls.lock().unwrap().clone()
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}
