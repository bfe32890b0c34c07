//! Fifty requests a second as people make them: a video's row, a piece of its bytes, a comment, a call over a socket that is
//! kept. Each has a deadline; each that fails is kept with its time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::socket;
use super::world::World;

pub const KINDS: [&str; 4] = ["read", "media", "write", "socket"];

/// From one request of a kind to its next: together 50 a second.
const EVERY: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(100),
];

/// A person waits no longer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One request that was not answered as it should be.
#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: &'static str,
    pub began: Instant,
    pub ended: Instant,
    pub why: String,
}

/// What all probes share.
#[derive(Clone, Default)]
pub struct Log {
    failures: Arc<Mutex<Vec<Failure>>>,
    requests: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    /// Comments that were acknowledged, by id.
    kept: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn done(&self, kind: &'static str, began: Instant, result: Result<(), String>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(why) = result {
            let ended = Instant::now();
            self.failures.lock().expect("no panic holds it").push(Failure {
                kind,
                began,
                ended,
                why,
            });
        }
    }
}

pub struct Probes {
    log: Log,
    tasks: Vec<JoinHandle<()>>,
    socket: std::thread::JoinHandle<()>,
}

impl Probes {
    pub fn begin(runtime: &Runtime, world: &World) -> Probes {
        let log = Log::default();
        let http = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let asked = Arc::new(Asked {
            http,
            base: world.base.clone(),
            token: world.person.token.clone(),
            video: world.video.clone(),
            media: world.media.clone(),
            log: log.clone(),
        });
        let tasks = (0..3).map(|kind| runtime.spawn(asked.clone().every(kind))).collect();
        let socket = socket::begin(world, log.clone(), EVERY[3]);
        Probes { log, tasks, socket }
    }

    /// In the order in which they ended.
    pub fn failures(&self) -> Vec<Failure> {
        self.log.failures.lock().expect("no panic holds it").clone()
    }

    /// Ends them; gives the failures and the number of all requests.
    pub async fn end(self, world: &mut World) -> (Vec<Failure>, usize) {
        self.log.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a probe does not panic");
        }
        tokio::task::spawn_blocking(|| self.socket.join().expect("a probe does not panic"))
            .await
            .expect("it is waited for");
        world.kept.append(&mut self.log.kept.lock().expect("no panic holds it"));
        let failures = self.log.failures.lock().expect("no panic holds it").clone();
        (failures, self.log.requests.load(Ordering::Relaxed))
    }
}

struct Asked {
    http: Client,
    base: String,
    token: String,
    video: String,
    media: String,
    log: Log,
}

impl Asked {
    /// Asks without waiting for the answers before the next.
    async fn every(self: Arc<Self>, kind: usize) {
        let mut running = Vec::new();
        let mut ticks = tokio::time::interval(EVERY[kind]);
        while !self.log.is_over() {
            ticks.tick().await;
            let asked = self.clone();
            running.push(tokio::spawn(async move {
                let began = Instant::now();
                let result = match kind {
                    0 => asked.read().await,
                    1 => asked.media().await,
                    _ => asked.write().await,
                };
                asked.log.done(KINDS[kind], began, result);
            }));
            running.retain(|task| !task.is_finished());
        }
        for task in running {
            task.await.expect("a probe does not panic");
        }
    }

    async fn read(&self) -> Result<(), String> {
        let request = self.http.get(format!("{}/api/v1/videos/{}", self.base, self.video));
        let answer = said(request.bearer_auth(&self.token)).await?;
        (answer["id"] == *self.video)
            .then_some(())
            .ok_or_else(|| format!("not the video: {answer}"))
    }

    async fn media(&self) -> Result<(), String> {
        let request = self.http.get(format!("{}{}", self.base, self.media));
        let response = request.header("range", "bytes=0-16383").send().await;
        let response = response.map_err(|error| chain(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| chain(&error))?;
        (status == 206 && bytes.len() == 16_384)
            .then_some(())
            .ok_or_else(|| format!("{status}, {} bytes", bytes.len()))
    }

    async fn write(&self) -> Result<(), String> {
        let request = self
            .http
            .post(format!("{}/api/v1/videos/{}/comments", self.base, self.video));
        let answer = said(request.bearer_auth(&self.token).json(&json!({ "text": "here" }))).await?;
        let id = answer["id"].as_str().ok_or_else(|| format!("no id: {answer}"))?;
        self.log.kept.lock().expect("no panic holds it").push(id.to_owned());
        Ok(())
    }
}

async fn said(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let response = request.send().await.map_err(|error| chain(&error))?;
    let status = response.status();
    let text = response.text().await.map_err(|error| chain(&error))?;
    if !status.is_success() {
        return Err(format!("{status} {text}"));
    }
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        text.push_str(&format!(": {below}"));
        source = below.source();
    }
    text
}
