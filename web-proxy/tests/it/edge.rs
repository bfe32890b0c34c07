//! The edge under test.

use std::time::Duration;

use actix_web::web::Bytes;
use common::config::{Config, Span};
use common::service::StartError;
use common::testing::raw::{Answer, Raw};
use common::testing::{Running, spawn_with_headers, test_config};
use web_proxy::pages::Pages;
use web_proxy::{Documents, Mode, security_headers, start_with};

use super::upstream::Upstream;

pub const INDEX: &str = "<!doctype html><title>Sluice</title>";

pub fn page() -> Pages {
    let files = [
        ("index.html", INDEX),
        ("assets/index-AbCd1234.js", "console.log(1);\n"),
        ("assets/style-Zz.css", "body{}\n"),
        ("assets/icon-9.svg", "<svg/>"),
        ("favicon.ico", "icon"),
        ("robots.txt", "User-agent: *\n"),
    ];
    Pages::of(files.map(|(name, text)| (name.to_owned(), Bytes::from(text))))
}

/// Deadlines long enough for a busy machine; tests that wait for one set it.
pub fn config(api: &[&str], stream: &[&str], scheduler: &[&str]) -> Config {
    let mut config = test_config();
    let owned = |bases: &[&str]| bases.iter().map(|base| (*base).to_owned()).collect();
    config.proxy.api = owned(api);
    config.proxy.stream = owned(stream);
    config.proxy.scheduler = owned(scheduler);
    config.proxy.connect_timeout = Span(Duration::from_secs(2));
    config.proxy.response_timeout = Span(Duration::from_secs(10));
    config.server.stall_timeout = Span(Duration::from_secs(10));
    config
}

pub async fn start(config: Config) -> Running {
    try_start(config, Mode::Edge, page()).await.unwrap()
}

pub async fn start_pages(mut config: Config, documents: Documents, pages: Pages) -> Running {
    config.proxy.api = vec!["http://127.0.0.1:9".into()];
    try_start(config, Mode::Pages(documents), pages).await.unwrap()
}

pub async fn try_start(config: Config, mode: Mode, pages: Pages) -> Result<Running, StartError> {
    let headers = security_headers(&config);
    spawn_with_headers(config, headers, |config, platform| async move {
        start_with(&config, &platform, mode, pages).await
    })
    .await
}

/// The edge with one service behind all paths.
pub async fn before(upstream: &Upstream) -> Running {
    let base = upstream.base.as_str();
    start(config(&[base], &[base], &[base])).await
}

/// [`before`], which moves long uploads or copies them.
pub async fn before_capturing(upstream: &Upstream, capture: bool) -> Running {
    let base = upstream.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.server.capture_uploads = capture;
    start(config).await
}

/// How the edge serves a connection: before the framework, behind it, or behind it by copying.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    Fast,
    Framework,
    Copying,
}

impl Way {
    pub const ALL: [Way; 3] = [Way::Fast, Way::Framework, Way::Copying];
}

/// [`before`], in one of the ways.
pub async fn before_in(upstream: &Upstream, way: Way) -> Running {
    let base = upstream.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.server.fast_path = way == Way::Fast;
    config.server.zero_copy = way != Way::Copying;
    start(config).await
}

/// Sends raw text on a connection of its own and reads one answer.
pub async fn ask(edge: &Running, text: &str) -> Answer {
    let mut client = Raw::connect(&edge.public).await;
    client.send(text).await;
    client.answer().await
}

/// The same for HEAD.
pub async fn ask_head(edge: &Running, text: &str) -> Answer {
    let mut client = Raw::connect(&edge.public).await;
    client.send(text).await;
    client.head().await
}
