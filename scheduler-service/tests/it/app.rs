//! A whole running service, a method for each way to call it.

use std::time::Duration;

use common::db::Backend;
use common::testing::{INTERNAL_TOKEN, Running, TestDatabase, eventually, spawn, test_config};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::worker::SOON;
use crate::world::World;

/// scheduler-service on free ports, with the other services played by [`World`].
pub struct App {
    pub world: World,
    pub service: Running,
    pub http: reqwest::Client,
}

impl App {
    pub async fn start(database: &TestDatabase, poll: Duration) -> App {
        let world = World::start();
        world.things().tokens.insert("operator".into(), "operator");
        world.things().tokens.insert("user".into(), "user");
        let mut config = test_config();
        config.database.scheduler = database.url.as_str().into();
        config.internal.api = vec![world.url.clone()];
        config.internal.stream = vec![world.url.clone()];
        config.scheduler.poll = common::config::Span(poll);
        let service = spawn(config, |config, platform| async move {
            scheduler_service::start(&config, &platform).await
        });
        App {
            world,
            service: service.await.unwrap(),
            http: reqwest::Client::new(),
        }
    }

    pub async fn call(
        &self,
        base: &str,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{base}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (
            status,
            if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            },
        )
    }

    pub async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(&self.service.public, "operator", method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.operator(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str) -> (StatusCode, Value) {
        self.operator(Method::POST, path, None).await
    }

    pub async fn internal(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(&self.service.internal, INTERNAL_TOKEN, method, path, body)
            .await
    }

    pub async fn put(&self, key: &str, run_at: &str) -> (StatusCode, Value) {
        let body = json!({ "payload": {}, "runAt": run_at, "operationID": "op-1" });
        self.internal(Method::PUT, &format!("/internal/jobs/purge/{key}"), Some(body))
            .await
    }

    pub async fn until(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} is {state}"), SOON, || async {
            Some(self.get(&format!("/api/v1/jobs/{id}")).await).filter(|job| job["state"] == state)
        })
        .await
    }

    pub async fn stop(self) {
        self.service.stop().await;
        self.world.stop().await;
    }
}

pub const FAR: &str = "2100-01-01T00:00:00.000Z";
pub const PAST: &str = "2001-01-01T00:00:00.000Z";

/// The story with a service that looks often.
pub fn check<Fut: Future<Output = ()>>(story: impl Fn(App) -> Fut) {
    check_with(Duration::from_millis(100), |app, _| story(app));
}

/// The story with a service that looks every `poll`, and the URL of its database.
pub fn check_with<Fut: Future<Output = ()>>(poll: Duration, story: impl Fn(App, String) -> Fut) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let database = TestDatabase::new(backend);
        actix_web::rt::System::new()
            .block_on(async { story(App::start(&database, poll).await, database.url.clone()).await });
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
