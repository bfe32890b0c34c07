//! What a tus client sends, one request at a time.

use crate::{
    app::{App, SOON, upload_grant},
    clip::sha256,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{
    grant::{Grant, Permission},
    ids::{Id, VideoId},
    testing::{eventually, raw::Raw},
};
use reqwest::{Method, RequestBuilder, Response};
use sha1::{Digest, Sha1};

pub const BYTES: &str = "application/offset+octet-stream";

/// One user with a grant for one video.
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub video: VideoId,
    pub token: String,
}

impl Client {
    /// For a new video, with a grant for 64 MiB.
    pub fn new(app: &App) -> Self {
        let video = VideoId::random();
        let token = app.upload_token(&video);
        Self::with(app, video, token)
    }

    pub fn with(app: &App, video: VideoId, token: String) -> Self {
        Self::at(&app.running.public, app.http.clone(), video, token)
    }

    pub fn at(base: &str, http: reqwest::Client, video: VideoId, token: String) -> Self {
        Self {
            http,
            base: base.to_owned(),
            video,
            token,
        }
    }

    /// A new video and a grant for `max_bytes`.
    pub fn limited(app: &App, max_bytes: u64) -> Self {
        let video = VideoId::random();
        let permission = Permission::Upload {
            max_bytes,
            session: Id::now(),
        };
        let token = app.sign(&Grant {
            permission,
            ..upload_grant(&video)
        });
        Self::with(app, video, token)
    }

    /// With the grant and nothing of tus.
    pub fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).header("tus-resumable", "1.0.0")
    }

    /// The address of a new upload; `fields` say its length.
    pub async fn create(&self, fields: &[(&str, &str)]) -> String {
        let response = self.creation(fields, None).await;
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    pub async fn creation(&self, fields: &[(&str, &str)], body: Option<Vec<u8>>) -> Response {
        let mut request = self.request("POST", "/uploads");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", BYTES).body(body);
        }
        request.send().await.unwrap()
    }

    pub async fn patch(&self, upload: &str, offset: usize, bytes: impl Into<reqwest::Body>) -> Response {
        self.try_patch(upload, offset, bytes).await.unwrap()
    }

    pub async fn try_patch(
        &self,
        upload: &str,
        offset: usize,
        bytes: impl Into<reqwest::Body>,
    ) -> reqwest::Result<Response> {
        let request = self.request("PATCH", upload).header("content-type", BYTES);
        request.header("upload-offset", offset).body(bytes).send().await
    }

    /// Sends bytes and expects them to be taken.
    pub async fn send(&self, upload: &str, offset: usize, bytes: &[u8]) {
        let response = self.patch(upload, offset, bytes.to_vec()).await;
        assert_eq!(response.status(), 204, "{}", response.text().await.unwrap());
        assert_eq!(offset_of(&response), Some(offset + bytes.len()));
    }

    /// In the words of the draft.
    pub fn draft(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).header("upload-draft-interop-version", "8")
    }

    pub fn appending(&self, upload: &str, offset: usize, last: bool) -> RequestBuilder {
        self.draft("PATCH", upload)
            .header("content-type", "application/partial-upload")
            .header("upload-complete", if last { "?1" } else { "?0" })
            .header("upload-offset", offset)
    }

    /// Sends bytes in the words of the draft and expects them to be taken.
    pub async fn append(&self, upload: &str, offset: usize, bytes: &[u8], last: bool) -> Response {
        let response = self.appending(upload, offset, last).body(bytes.to_vec()).send();
        let response = response.await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(status, if last { 200 } else { 204 });
        assert_eq!(offset_of(&response), Some(offset + bytes.len()));
        response
    }

    pub async fn head(&self, upload: &str) -> Response {
        self.request("HEAD", upload).send().await.unwrap()
    }

    /// The acknowledged offset.
    pub async fn offset(&self, upload: &str) -> usize {
        let response = self.head(upload).await;
        assert_eq!(response.status(), 200);
        offset_of(&response).unwrap()
    }

    pub async fn delete(&self, upload: &str) -> Response {
        self.request("DELETE", upload).send().await.unwrap()
    }
}

pub fn offset_of(response: &Response) -> Option<usize> {
    response.headers().get("upload-offset")?.to_str().ok()?.parse().ok()
}

pub fn sha1(bytes: &[u8]) -> String {
    format!("sha1 {}", STANDARD.encode(Sha1::digest(bytes)))
}

fn length(bytes: &[u8]) -> String {
    bytes.len().to_string()
}

pub async fn create(client: &Client, bytes: &[u8]) -> String {
    client.create(&[("upload-length", &length(bytes))]).await
}

pub async fn plays(app: &App, client: &Client, bytes: &[u8]) {
    let response = app.get(&client.video).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["etag"], format!("\"{}\"", sha256(bytes)));
    assert!(response.bytes().await.unwrap() == *bytes);
}

pub fn patch_head(app: &App, client: &Client, upload: &str, at: usize, length: usize, more: &str) -> String {
    let host = app.running.public.strip_prefix("http://").unwrap();
    format!(
        "PATCH {upload} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\nContent-Type: {BYTES}\r\n\
         Upload-Offset: {at}\r\nContent-Length: {length}\r\n{more}\r\n",
        client.token
    )
}

/// A request that has sent `sent` bytes from the start of the upload and sends no more.
pub async fn stalled(app: &App, client: &Client, upload: &str, bytes: &[u8], sent: usize) -> Raw {
    let before = app.bytes_on_disk();
    let mut raw = Raw::connect(&app.running.public).await;
    raw.send(&patch_head(app, client, upload, 0, bytes.len(), "")).await;
    raw.send_bytes(&bytes[..sent]).await;
    eventually("it is being received", SOON, || async {
        (app.bytes_on_disk() > before).then_some(())
    })
    .await;
    raw
}
