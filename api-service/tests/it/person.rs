//! What a person does with the service, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App};

/// Somebody with an account, signed in.
pub struct Person<'a> {
    pub app: &'a App,
    pub token: String,
    pub session: String,
    pub id: String,
    pub username: String,
}

impl<'a> Person<'a> {
    /// The same person at another copy of the service.
    pub fn at<'b>(&self, app: &'b App) -> Person<'b> {
        Person {
            app,
            token: self.token.clone(),
            session: self.session.clone(),
            id: self.id.clone(),
            username: self.username.clone(),
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.app.request(method, path).bearer_auth(&self.token);
        self.app.send(request.json(&body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.app
            .send(self.app.request(Method::GET, path).bearer_auth(&self.token))
            .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.app
            .send(self.app.request(Method::DELETE, path).bearer_auth(&self.token))
            .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, body).await
    }

    /// Creates a video that waits for its upload.
    pub async fn create(&self, draft: Value) -> String {
        let body = self.post("/api/v1/videos", draft).await.expect(201);
        body["video"]["id"].as_str().unwrap().to_owned()
    }

    /// A public video that is ready.
    pub async fn publish(&self, title: &str) -> String {
        let id = self.create(json!({ "title": title })).await;
        self.app.media_ready(&id).await.expect(200);
        id
    }

    pub async fn video(&self, id: &str) -> Answer {
        self.get(&format!("/api/v1/videos/{id}")).await
    }

    pub async fn trash(&self, id: &str) -> Answer {
        self.delete(&format!("/api/v1/videos/{id}")).await
    }

    pub async fn restore(&self, id: &str) -> Answer {
        self.post(&format!("/api/v1/videos/{id}/restore"), json!({})).await
    }

    pub async fn deletion(&self, id: &str) -> Answer {
        self.get(&format!("/api/v1/videos/{id}/deletion")).await
    }

    pub async fn comment(&self, video: &str, text: &str) -> Answer {
        self.post(&format!("/api/v1/videos/{video}/comments"), json!({ "text": text }))
            .await
    }

    pub async fn danmaku(&self, video: &str, text: &str, at_ms: i64) -> Answer {
        let body = json!({ "text": text, "atMs": at_ms });
        self.post(&format!("/api/v1/videos/{video}/danmaku"), body).await
    }

    /// The whole log of a room, as this person sees it.
    pub async fn events(&self, video: &str) -> Value {
        let path = format!("/api/v1/videos/{video}/events?limit=1000");
        self.get(&path).await.expect(200)["items"].clone()
    }

    /// Trashes for good and goes through the purge as the scheduler does.
    pub async fn purge(&self, id: &str) {
        self.delete(&format!("/api/v1/videos/{id}?permanent=true"))
            .await
            .expect(202);
        self.app
            .report(&format!("/internal/videos/{id}/purge/begin"), json!({}))
            .await
            .expect(200);
        let receipt = json!({ "receipt": { "objects": 1, "bytes": 1000 } });
        self.app
            .report(&format!("/internal/videos/{id}/purge/done"), receipt)
            .await
            .expect(200);
    }
}
