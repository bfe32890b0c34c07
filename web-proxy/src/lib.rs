//! The edge: the page, the published OpenAPI document, the real-time gateway and, in scaled mode, the reverse proxy to the
//! other services.
//!
//! It has no tables and no rule of its own. In the embedded way the services' routes are mounted beside it and it takes
//! what they leave ([`Mode::Pages`]); in scaled mode it also passes requests on by path ([`Mode::Edge`]).

mod answer;
pub mod doctor;
pub mod gateway;
mod openapi;
pub mod pages;
mod path;
mod proxy;
mod security;

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use common::config::Config;
use common::error::{ApiError, Code};
use common::http::resource;
use common::service::{Platform, Service, StartError};

pub use openapi::Documents;
use pages::Pages;
use proxy::Proxy;
pub use security::security_headers;

/// How much of the edge is needed.
pub enum Mode {
    /// The other services are in this process: the page and their documents.
    Pages(Documents),
    /// The other services are elsewhere: the page, and a proxy to `proxy.{api,stream,scheduler}`.
    Edge,
}

/// The edge with the page that was compiled in.
pub async fn start(config: &Config, platform: &Platform, mode: Mode) -> Result<Service, StartError> {
    start_with(config, platform, mode, Pages::embedded()).await
}

/// [`start`] with a page of one's own.
#[allow(clippy::unused_async, reason = "every service starts the same way")]
pub async fn start_with(config: &Config, platform: &Platform, mode: Mode, pages: Pages) -> Result<Service, StartError> {
    let pages = Arc::new(pages);
    let (service, api) = match mode {
        Mode::Pages(documents) => {
            let api = proxy::needed("proxy.api", &config.proxy.api)?;
            (pages_only(config, pages, documents), api)
        }
        Mode::Edge => {
            let proxy = Proxy::new(config, platform)?;
            let api = proxy.api();
            (edge(pages, proxy), api)
        }
    };
    Ok(Service {
        upgrades: Some(gateway::start(config, platform, api)?),
        ..service
    })
}

/// A request to the gateway that doesn't ask for a WebSocket: those that do never come here.
#[allow(clippy::unused_async, reason = "handlers are")]
async fn no_upgrade() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(
        Code::BadRequest,
        "This address speaks WebSocket: ask with `Upgrade: websocket`.",
    ))
}

fn pages_only(config: &Config, pages: Arc<Pages>, documents: Documents) -> Service {
    let merged = openapi::Merged::new(&config.server.public_url, documents);
    let routes = move |config: &mut web::ServiceConfig| {
        let (pages, merged) = (pages.clone(), web::Data::new(merged.clone()));
        config
            .service(
                resource("/openapi.json")
                    .get(openapi::ready_made)
                    .done()
                    .app_data(merged),
            )
            .service(resource(gateway::PATH).get(no_upgrade).done())
            .default_service(web::to(move |request: HttpRequest| {
                let pages = pages.clone();
                async move { pages.answer(&request) }
            }));
    };
    Service {
        name: "web-proxy",
        public: Some(Arc::new(routes)),
        internal: None,
        upgrades: None,
        direct: None,
        ready: Vec::new(),
    }
}

fn edge(pages: Arc<Pages>, proxy: Proxy) -> Service {
    let ready = proxy.checks();
    let routes = move |config: &mut web::ServiceConfig| {
        // Each worker has its own client: a pooled connection lives on the thread that opened it.
        let worker = std::rc::Rc::new(proxy.worker());
        proxy::serve_here(&worker);
        let documents = web::Data::new(proxy.documents());
        let pages = pages.clone();
        config
            .service(
                resource("/openapi.json")
                    .get(openapi::fetched)
                    .done()
                    .app_data(documents),
            )
            .service(resource(gateway::PATH).get(no_upgrade).done())
            .default_service(web::to(move |request: HttpRequest, payload: web::Payload| {
                let (worker, pages) = (worker.clone(), pages.clone());
                async move {
                    match worker.serve(&request, payload).await? {
                        Some(answer) => Ok(answer),
                        None => pages.answer(&request),
                    }
                }
            }));
    };
    Service {
        name: "web-proxy",
        public: Some(Arc::new(routes)),
        internal: None,
        upgrades: None,
        direct: Some(Arc::new(proxy::DirectReads)),
        ready,
    }
}
