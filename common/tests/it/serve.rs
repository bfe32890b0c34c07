//! The server on raw sockets: deadlines, drain, refusals, panics. Promises 6, 8, 11 and 19.

mod deadlines;
mod drain;
mod fast;
mod logs;
mod pipelined;
mod refusals;
mod upgrades;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use common::config::{Config, Span};
use common::error::{ApiError, Code};
use common::http::{payload_error, resource};
use common::serve::Connection;
use common::service::Service;
use common::slot::{Job, Outlet, SlotBody, SlotHandle};
use common::testing::{Running, spawn, test_config};
use futures_util::StreamExt;

/// Deadlines short enough to be waited for, long enough for a busy machine. (The framework's clock for the first head of a
/// connection is up to half a second behind.)
const HEAD: Duration = Duration::from_millis(900);
const STALL: Duration = Duration::from_millis(700);
/// How long `/slow` takes.
const SLOW: Duration = Duration::from_millis(600);

/// What the handlers hold: it must come back to zero.
#[derive(Clone, Default)]
struct Held(Arc<AtomicUsize>);

struct Hold(Held);

impl Held {
    fn take(&self) -> Hold {
        self.0.fetch_add(1, Ordering::SeqCst);
        Hold(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn config() -> Config {
    let mut config = test_config();
    config.server.head_timeout = Span(HEAD);
    config.server.stall_timeout = Span(STALL);
    config.server.keep_alive = Span::seconds(60);
    config
}

async fn start(config: Config) -> (Running, Held) {
    let held = Held::default();
    let (given, direct_held) = (held.clone(), held.clone());
    let running = spawn(config, |_, _| async move {
        let routes = move |config: &mut web::ServiceConfig| {
            config.app_data(web::Data::new(given.clone()));
            config.service(resource("/small").get(small).done());
            config.service(resource("/slow").get(slow).done());
            config.service(resource("/big/{mib}").get(big).done());
            config.service(resource("/broken").get(broken).done());
            config.service(resource("/hang").get(hang).done());
            config.service(resource("/starve/{outlasts}").get(starve).done());
            config.service(resource("/panic").get(panics).done());
            config.service(resource("/mimic").get(mimic).done());
            config.service(resource("/refuse").post(refuse).done());
            config.service(resource("/count/{wait_ms}").post(count).done());
        };
        Ok(Service {
            name: "test",
            public: Some(Arc::new(routes)),
            internal: None,
            upgrades: None,
            direct: Some(Arc::new(fast::Handler(direct_held))),
            ready: Vec::new(),
        })
    });
    (running.await.unwrap(), held)
}

async fn small() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((HeaderName::from_static("x-own"), "1"))
        .body("small")
}

const MIMIC: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

/// Sends its head alone first, so that the body begins a write.
async fn mimic() -> HttpResponse {
    let pieces = futures_util::stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(MIMIC.as_bytes()))
    });
    let body = actix_web::body::SizedStream::new(MIMIC.len() as u64, Box::pin(pieces));
    HttpResponse::Ok().body(body)
}

async fn slow(held: web::Data<Held>) -> HttpResponse {
    let _hold = held.take();
    tokio::time::sleep(SLOW).await;
    HttpResponse::Ok().body("slow")
}

async fn big(mib: web::Path<usize>, held: web::Data<Held>) -> HttpResponse {
    let hold = held.take();
    let pieces = futures_util::stream::iter(0..*mib * 16).map(move |_| {
        let _hold = &hold;
        Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 * 1024]))
    });
    let size = (*mib as u64) << 20;
    HttpResponse::Ok().body(actix_web::body::SizedStream::new(size, pieces))
}

/// A stream that panics after its first piece.
async fn broken() -> HttpResponse {
    let pieces = futures_util::stream::iter(0..2).map(|number| {
        assert_eq!(number, 0, "the second piece can't be made");
        Ok::<_, std::io::Error>(Bytes::from_static(b"first"))
    });
    HttpResponse::Ok().streaming(pieces)
}

async fn hang(held: web::Data<Held>) -> HttpResponse {
    let _hold = held.take();
    std::future::pending().await
}

/// The job of a body whose source has nothing.
struct Starving(#[expect(dead_code, reason = "held until it is dropped")] Hold);

impl Job for Starving {
    fn poll_send(&mut self, _: &mut Outlet<'_>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

async fn starve(request: HttpRequest, outlasts: web::Path<bool>, held: web::Data<Held>) -> HttpResponse {
    let (connection, slot) = (request.conn_data::<Connection>(), request.conn_data::<SlotHandle>());
    if *outlasts {
        connection.unwrap().outlast_half_close();
    }
    let body = SlotBody::new(slot.unwrap(), Bytes::new(), Starving(held.take()));
    HttpResponse::Ok().no_chunking(10).body(body)
}

async fn panics() -> HttpResponse {
    panic!("this handler always panics")
}

async fn refuse() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(Code::BodyTooLarge, "Too much.").with("maxBytes", 5))
}

async fn count(wait_ms: web::Path<u64>, mut body: web::Payload) -> Result<HttpResponse, ApiError> {
    tokio::time::sleep(Duration::from_millis(*wait_ms)).await;
    let mut bytes = 0;
    while let Some(piece) = body.next().await {
        bytes += piece.map_err(|error| payload_error(&error))?.len();
    }
    Ok(HttpResponse::Ok().body(bytes.to_string()))
}
