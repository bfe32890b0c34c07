//! The service under test and its answers.

use std::time::Duration;

use api_service::MIGRATIONS;
use common::config::{Config, Secret};
use common::db::{AnyConn, Backend, Db, DbError, DbOptions};
use common::testing::{INTERNAL_TOKEN, Running, on_each_backend_with, spawn, test_config};
use diesel::prelude::*;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

pub use crate::person::Person;

pub const PASSWORD: &str = "a long enough passphrase";
pub const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Runs `body` with a fresh service on each backend.
pub fn each(body: impl AsyncFn(&App) + Sync) {
    each_with(|_| {}, body);
}

/// The same with a configuration of its own.
pub fn each_with(configure: impl Fn(&mut Config) + Sync, body: impl AsyncFn(&App) + Sync) {
    each_database(async |db, url| {
        let app = App::start(db, url, &configure).await;
        body(&app).await;
        app.stop().await;
    });
}

/// Gives `body` a fresh database of each backend, to start services on as it likes.
pub fn each_database(body: impl AsyncFn(&Db, &str) + Sync) {
    crate::logs::capture();
    on_each_backend_with(&MIGRATIONS, &DbOptions::default(), |db, url| {
        let body = &body;
        async move { body(&db, &url).await }
    });
}

pub struct App {
    pub running: Running,
    pub http: Client,
    /// The test's own look into the tables.
    pub db: Db,
    pub url: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    async fn read(response: Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer {
            status,
            headers,
            text,
            body,
        }
    }

    /// The body of an answer that must have `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// Checks that this is the problem `code` with `status`.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.headers["x-request-id"], self.body["operationID"].as_str().unwrap());
        self
    }

    /// The same for 422, which names the fields.
    #[track_caller]
    pub fn invalid(&self, pointers: &[&str]) {
        self.problem(422, "invalid");
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(named, pointers, "{}", self.text);
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }
}

impl App {
    /// Starts a service on the database at `url`.
    pub async fn start(db: &Db, url: &str, configure: impl Fn(&mut Config)) -> App {
        let mut config = test_config();
        config.database.api = Secret::from(url);
        config.database.connections = 4;
        // All people of a test come from one address.
        config.api.registrations_per_address = 10_000;
        config.api.posts_per_second = 1_000_000;
        config.api.post_burst = 1_000_000;
        configure(&mut config);
        let running = spawn(config, |config, platform| async move {
            api_service::start(&config, &platform).await
        });
        App {
            running: running.await.unwrap(),
            http: Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            db: db.clone(),
            url: url.to_owned(),
        }
    }

    /// A second service on the same database; it has a bus of its own.
    pub async fn copy(&self, configure: impl Fn(&mut Config)) -> App {
        App::start(&self.db, &self.url, configure).await
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.running.public))
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::read(request.send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// A call on the internal listener.
    pub async fn internal(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.running.internal);
        let request = self.http.request(method.clone(), url).bearer_auth(INTERNAL_TOKEN);
        let request = if method == Method::GET {
            request
        } else {
            request.json(&body)
        };
        self.send(request).await
    }

    pub async fn report(&self, path: &str, body: Value) -> Answer {
        self.internal(Method::POST, path, body).await
    }

    pub async fn register(&self, username: &str) -> Person<'_> {
        let body = json!({ "username": username, "password": PASSWORD });
        self.enter(self.post("/api/v1/users", body).await)
    }

    pub async fn sign_in(&self, username: &str, password: &str) -> Answer {
        let body = json!({ "username": username, "password": password });
        self.post("/api/v1/sessions", body).await
    }

    /// The person an answer to registering or signing in is for.
    #[track_caller]
    pub fn enter(&self, answer: Answer) -> Person<'_> {
        let body = answer.expect(201);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Person {
            app: self,
            token: text(&body["session"]["token"]),
            session: text(&body["session"]["id"]),
            id: text(&body["user"]["id"]),
            username: text(&body["user"]["username"]),
        }
    }

    /// How often argon2 has run.
    pub async fn hashes(&self) -> u64 {
        let url = format!("{}/metrics", self.running.internal);
        let answer = self.send(self.http.get(url).bearer_auth(INTERNAL_TOKEN)).await;
        let line = answer
            .text
            .lines()
            .find(|line| line.starts_with("sluice_api_password_hashes_total "));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Changes tables behind the service's back; `$now` is the database's clock.
    pub async fn sql(&self, statement: &str) -> usize {
        let statement = statement.to_owned();
        self.db
            .write(move |conn| {
                let now = common::db::now_ms(conn)?.to_string();
                Ok::<_, DbError>(diesel::sql_query(statement.replace("$now", &now)).execute(conn)?)
            })
            .await
            .unwrap()
    }

    /// One number.
    pub async fn count(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        let query = query.to_owned();
        let read = move |conn: &mut AnyConn| Ok::<_, DbError>(diesel::sql_query(query).get_result::<Count>(conn)?.n);
        self.db.read(read).await.unwrap()
    }

    pub fn backend(&self) -> Backend {
        self.db.backend()
    }

    /// What stream-service says when a video is there.
    pub async fn media_ready(&self, video: &str) -> Answer {
        self.report(&format!("/internal/videos/{video}/media-ready"), media())
            .await
    }
}

pub fn media() -> Value {
    json!({ "sizeBytes": 1000, "sha256": SHA256, "mime": "video/mp4", "durationMs": 2736, "width": 1280,
        "height": 720, "codecs": ["avc1.64001f", "mp4a.40.2"] })
}

/// The named member of each item of a list.
pub fn members(list: &Value, name: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item[name].as_str().unwrap().to_owned())
        .collect()
}
