//! The few calls that set a measurement up.

use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

pub const PASSWORD: &str = "a long enough passphrase";

/// Somebody signed in.
#[derive(Clone)]
pub struct Person {
    pub base: String,
    pub http: Client,
    pub token: String,
}

impl Person {
    pub async fn register(base: &str, username: &str) -> Person {
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(600))
            .build()
            .expect("a client");
        let person = Person {
            base: base.to_owned(),
            http,
            token: String::new(),
        };
        let body = json!({ "username": username, "password": PASSWORD });
        let answer = person.call(Method::POST, "/api/v1/users", &body).await;
        let token = answer["session"]["token"].as_str().expect("a token").to_owned();
        Person { token, ..person }
    }

    /// Sends and expects success.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .json(body);
        let response = request.send().await.expect("an answer");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, &json!({})).await
    }

    /// Creates a video; gives its id, and the address and the grant for its bytes.
    pub async fn ticket(&self, title: &str) -> (String, String, String) {
        let made = self
            .call(Method::POST, "/api/v1/videos", &json!({ "title": title }))
            .await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let upload = &made["upload"];
        (text(&made["video"]["id"]), text(&upload["url"]), text(&upload["grant"]))
    }

    /// Creates a video and sends `body` as its bytes; gives its id.
    pub async fn upload(&self, title: &str, body: reqwest::Body, length: u64) -> String {
        let (id, url, grant) = self.ticket(title).await;
        let request = self
            .http
            .put(format!("{}{url}", self.base))
            .bearer_auth(grant)
            .header("content-length", length);
        let response = request.body(body).send().await.expect("an answer");
        let status = response.status();
        assert_eq!(status, 201, "{}", response.text().await.unwrap_or_default());
        id
    }

    /// Where a video's bytes are.
    pub async fn playback(&self, id: &str) -> String {
        let answer = self.get(&format!("/api/v1/videos/{id}/playback")).await;
        answer["sources"][0]["url"].as_str().expect("an address").to_owned()
    }

    /// Deletes a video, and waits until its bytes are gone.
    pub async fn purge(&self, id: &str) {
        let path = format!("/api/v1/videos/{id}");
        self.call(Method::DELETE, &format!("{path}?permanent=true"), &json!({}))
            .await;
        let began = Instant::now();
        while self.get(&format!("{path}/deletion")).await["state"] != "done" {
            assert!(began.elapsed() < Duration::from_secs(60), "{id} is not purged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
