//! What a person does, over HTTP: one method for each thing.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::media::Clip;

pub const PASSWORD: &str = "a long enough passphrase";

/// Somebody with an account, signed in.
#[derive(Clone)]
pub struct Person {
    pub base: String,
    pub http: Client,
    pub username: String,
    pub token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

/// The request never got a whole answer: the process was killed.
#[derive(Debug)]
pub struct Cut;

impl Answer {
    pub async fn read(response: Response) -> Result<Answer, Cut> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.map_err(|_| Cut)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    /// The body of an answer that must have `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Checks that this is a problem document with `status` and `code`.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        assert_eq!(self.headers["x-request-id"], self.body["operationID"].as_str().unwrap());
    }
}

/// A request body that is sent piece by piece while the sender lives.
pub fn slow_body() -> (UnboundedSender<Vec<u8>>, reqwest::Body) {
    let (sender, receiver) = unbounded_channel();
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let piece: Vec<u8> = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    (sender, reqwest::Body::wrap_stream(pieces))
}

pub fn client() -> Client {
    Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

impl Person {
    pub async fn register(base: &str, username: &str) -> Person {
        let answer = Person::try_register(base, username).await.unwrap();
        answer.unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    pub async fn try_register(base: &str, username: &str) -> Result<Result<Person, Answer>, Cut> {
        let body = json!({ "username": username, "password": PASSWORD });
        Person::enter(base, "/api/v1/users", body).await
    }

    pub async fn sign_in(base: &str, username: &str, password: &str) -> Person {
        let body = json!({ "username": username, "password": password });
        Person::enter(base, "/api/v1/sessions", body)
            .await
            .unwrap()
            .unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    async fn enter(base: &str, path: &str, body: Value) -> Result<Result<Person, Answer>, Cut> {
        let http = client();
        let username = body["username"].as_str().unwrap().to_owned();
        let sent = http
            .post(format!("{base}{path}"))
            .json(&body)
            .send()
            .await
            .map_err(|_| Cut)?;
        let answer = Answer::read(sent).await?;
        if answer.status != 201 {
            return Ok(Err(answer));
        }
        let token = answer.body["session"]["token"].as_str().unwrap().to_owned();
        Ok(Ok(Person {
            base: base.to_owned(),
            http,
            username,
            token,
        }))
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    pub async fn try_send(&self, request: RequestBuilder) -> Result<Answer, Cut> {
        Answer::read(request.send().await.map_err(|_| Cut)?).await
    }

    /// A change that may have happened or not when there is no answer, or only that of an edge whose service was killed.
    pub async fn try_change(&self, request: RequestBuilder) -> Result<Answer, Cut> {
        let answer = self.try_send(request).await?;
        if [502, 503, 504].contains(&answer.status) {
            Err(Cut)
        } else {
            Ok(answer)
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_send(self.request(Method::GET, path)).await.unwrap()
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.try_send(self.request(method, path).json(&body)).await.unwrap()
    }

    pub async fn try_call(&self, method: Method, path: &str, body: Value) -> Result<Answer, Cut> {
        self.try_change(self.request(method, path).json(&body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.try_send(self.request(Method::DELETE, path)).await.unwrap()
    }

    /// Creates a video and gives its id and upload ticket.
    pub async fn create(&self, title: &str) -> (String, Value) {
        let body = self.post("/api/v1/videos", json!({ "title": title })).await.expect(201);
        (body["video"]["id"].as_str().unwrap().to_owned(), body["upload"].clone())
    }

    pub fn put(&self, upload: &Value, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let url = format!("{}{}", self.base, upload["url"].as_str().unwrap());
        self.http
            .put(url)
            .bearer_auth(upload["grant"].as_str().unwrap())
            .body(body)
    }

    pub async fn upload(&self, upload: &Value, clip: &Clip) -> Answer {
        self.try_send(self.put(upload, clip.bytes.clone())).await.unwrap()
    }

    /// A video that is ready.
    pub async fn publish(&self, title: &str, clip: &Clip) -> String {
        let (id, upload) = self.create(title).await;
        self.upload(&upload, clip).await.expect(201);
        self.wait_for(&id, "ready").await;
        id
    }

    pub async fn video(&self, id: &str) -> Answer {
        self.get(&format!("/api/v1/videos/{id}")).await
    }

    pub async fn wait_for(&self, id: &str, state: &str) -> Value {
        common::testing::eventually(&format!("video {id} is {state}"), Duration::from_secs(30), || async {
            let answer = self.video(id).await;
            (answer.body["state"] == state).then_some(answer.body)
        })
        .await
    }

    /// The address of the video's bytes.
    pub async fn source(&self, id: &str) -> String {
        let body = self.get(&format!("/api/v1/videos/{id}/playback")).await.expect(200);
        format!("{}{}", self.base, body["sources"][0]["url"].as_str().unwrap())
    }

    /// The whole content. A video that was restored a moment ago may still be hidden until the outbox is delivered.
    pub async fn download(&self, id: &str) -> Vec<u8> {
        common::testing::eventually(&format!("video {id} plays"), Duration::from_secs(20), || async {
            let response = self.http.get(self.source(id).await).send().await.unwrap();
            assert!(
                [200, 404].contains(&response.status().as_u16()),
                "{}",
                response.status()
            );
            (response.status() == 200).then_some(response)
        })
        .await
        .bytes()
        .await
        .unwrap()
        .to_vec()
    }

    /// Waits for the end of the purge and gives the receipt.
    pub async fn receipt(&self, id: &str) -> Value {
        common::testing::eventually(&format!("video {id} is purged"), Duration::from_secs(60), || async {
            let answer = self.get(&format!("/api/v1/videos/{id}/deletion")).await;
            (answer.body["state"] == "done").then(|| answer.body["receipt"].clone())
        })
        .await
    }

    /// Runs an operators' job and gives it when it is done. Only for an operator.
    pub async fn run_job(&self, body: Value) -> Value {
        let job = self.post("/api/v1/jobs", body).await.expect(202);
        let id = job["job"]["id"].as_str().or(job["id"].as_str()).unwrap().to_owned();
        common::testing::eventually(&format!("job {id} is done"), Duration::from_secs(60), || async {
            let job = self.get(&format!("/api/v1/jobs/{id}")).await.expect(200);
            assert_ne!(job["state"], "dead", "{job}");
            (job["state"] == "done").then_some(job)
        })
        .await
    }
}
