//! The services' documents in scaled mode: asked for together, kept briefly.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::Value;

use super::{content, merge};
use crate::answer::Content;
use crate::proxy::{Kind, Upstreams};

/// A new version of a service shows within this time.
const KEEP_WHOLE: Duration = Duration::from_secs(30);
/// A document with holes is tried again soon.
const KEEP_PARTIAL: Duration = Duration::from_secs(2);
/// The largest of the three has about 100 KiB.
const MAX_DOCUMENT: usize = 4 << 20;
/// A reader of documentation waits no longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The merged document of services elsewhere. Cheap to clone; clones share what was fetched.
#[derive(Clone)]
pub struct Fetched {
    http: reqwest::Client,
    upstreams: Arc<Upstreams>,
    public_url: String,
    kept: Arc<Mutex<Option<(Instant, Content)>>>,
}

impl Fetched {
    pub fn new(http: reqwest::Client, upstreams: Arc<Upstreams>, public_url: String) -> Self {
        Fetched {
            http,
            upstreams,
            public_url,
            kept: Arc::default(),
        }
    }

    /// What is there now.
    pub async fn content(&self) -> Content {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((until, content)) = kept
            && Instant::now() < until
        {
            return content;
        }
        let answers = join_all(Kind::ALL.map(|kind| async move { (kind, self.ask(kind).await) })).await;
        let (mut documents, mut missing) = (Vec::new(), Vec::new());
        for (kind, answer) in answers {
            match answer {
                Ok(document) => documents.push(document),
                Err(reason) => {
                    log::warn!("The OpenAPI document of {} is missing: {reason}", kind.name());
                    missing.push(kind.name());
                }
            }
        }
        let keep = if missing.is_empty() { KEEP_WHOLE } else { KEEP_PARTIAL };
        let content = content(&merge(&self.public_url, documents, &missing));
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now() + keep, content.clone()));
        content
    }

    /// The first replica that answers.
    async fn ask(&self, kind: Kind) -> Result<Value, String> {
        let mut reason = String::from("no address is configured");
        for replica in self.upstreams.of(kind).all().iter() {
            let base = replica.base();
            let url = format!("{base}{}", kind.document());
            match tokio::time::timeout(DEADLINE, self.read(&url)).await {
                Ok(Ok(document)) => return Ok(document),
                Ok(Err(error)) => reason = error,
                Err(_) => reason = format!("{base} gave no answer within {DEADLINE:?}"),
            }
        }
        Err(reason)
    }

    async fn read(&self, url: &str) -> Result<Value, String> {
        let response = self.http.get(url).send().await.map_err(|error| error.to_string())?;
        if !response.status().is_success() {
            return Err(format!("{url} answered {}", response.status()));
        }
        let mut bytes = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(|error| error.to_string())?);
            if bytes.len() > MAX_DOCUMENT {
                return Err(format!("{url} sent more than {MAX_DOCUMENT} bytes"));
            }
        }
        let document: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{url} sent no JSON: {error}"))?;
        if document["paths"].is_object() {
            Ok(document)
        } else {
            Err(format!("{url} sent no OpenAPI document"))
        }
    }
}
