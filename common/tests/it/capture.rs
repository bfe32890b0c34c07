//! Captured uploads on raw sockets: what of a connection belongs to which request, and what becomes of it when either side
//! stops. Every body that is taken is compared.

mod bodies;
mod ends;
mod fuzz;

use std::fmt::Write as _;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use common::capture::{self, Captured, WriteBack};
use common::config::{Config, Span};
use common::error::{ApiError, Code};
use common::http::payload_error;
use common::service::Service;
use common::testing::random::Random;
use common::testing::raw::{Answer, Raw};
use common::testing::{Running, spawn, test_config};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

const MIB: usize = 1 << 20;

/// Uploads that are worked on.
type Busy = Arc<AtomicUsize>;

struct Working(Busy);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn config() -> Config {
    let mut config = test_config();
    config.server.capture_uploads = true;
    config.server.stall_timeout = Span(Duration::from_millis(900));
    config
}

async fn start(config: Config) -> (Running, Busy) {
    let busy = Busy::default();
    let given = busy.clone();
    let running = spawn(config, |_, _| async move {
        let routes = move |config: &mut web::ServiceConfig| {
            config.app_data(web::Data::from(given.clone()));
            config.route("/uploads/by-video/{how}", web::put().to(upload));
            config.route("/uploads/{how}", web::patch().to(upload));
            config.route("/echo", web::post().to(echo));
            config.route("/small", web::get().to(async || HttpResponse::Ok().body("small")));
        };
        Ok(Service {
            name: "test",
            public: Some(Arc::new(routes)),
            internal: None,
            upgrades: None,
            direct: None,
            ready: Vec::new(),
        })
    });
    (running.await.unwrap(), busy)
}

/// Takes the body in the way that the address says, and answers with what it was.
async fn upload(
    request: HttpRequest,
    how: web::Path<String>,
    body: web::Payload,
    busy: web::Data<AtomicUsize>,
) -> Result<HttpResponse, ApiError> {
    busy.fetch_add(1, Ordering::SeqCst);
    let _working = Working(busy.into_inner());
    let length = request
        .headers()
        .get("content-length")
        .map(|value| value.to_str().unwrap().to_owned());
    let bytes = match how.as_str() {
        "refuse" => return Err(ApiError::new(Code::BodyTooLarge, "Too much.")),
        "panic" => panic!("this handler always panics"),
        "payload" => read_payload(body).await?,
        "late" => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            read(capture::take(&request).expect("captured"), usize::MAX).await?
        }
        "part" => {
            read(capture::take(&request).expect("captured"), 300_000).await?;
            return Err(ApiError::new(Code::Conflict, "Enough."));
        }
        "file" => to_file(capture::take(&request).expect("captured")).await?,
        "either" => match capture::take(&request) {
            Some(captured) => read(captured, usize::MAX).await?,
            None => {
                let bytes = read_payload(body).await?;
                return Ok(HttpResponse::Ok().body(format!("not captured {:?} {}", length, sum(&bytes))));
            }
        },
        _ => return Err(ApiError::not_found("way")),
    };
    assert_eq!(length, Some(bytes.len().to_string()), "the length that the client sent");
    Ok(HttpResponse::Created().body(sum(&bytes)))
}

async fn read(mut body: Captured, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while bytes.len() < most && body.read(&mut bytes, 50_000).await.map_err(ended)? > 0 {}
    Ok(bytes)
}

async fn to_file(mut body: Captured) -> Result<Vec<u8>, ApiError> {
    let file = Arc::new(tempfile::tempfile().unwrap());
    body.move_to_file(&file, 0, Duration::from_millis(900), WriteBack::Early)
        .await
        .map_err(ended)?;
    assert_eq!(body.left(), 0);
    let (mut bytes, mut file) = (Vec::new(), &*file);
    file.seek(SeekFrom::Start(0)).unwrap();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    Ok(bytes)
}

fn ended(error: std::io::Error) -> ApiError {
    ApiError::new(Code::BadRequest, format!("{error}"))
}

async fn read_payload(mut body: web::Payload) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.map_err(|error| payload_error(&error))?);
    }
    Ok(bytes)
}

async fn echo(body: web::Payload) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().body(sum(&read_payload(body).await?)))
}

/// How many bytes, and which.
fn sum(bytes: &[u8]) -> String {
    let mut text = format!("{} ", bytes.len());
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// Bytes that look like requests to whoever loses count.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::fixed(seed);
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        if random.below(50) == 0 {
            bytes.extend_from_slice(b"\r\n\r\nGET /small HTTP/1.1\r\nHost: evil\r\n\r\n");
        }
        bytes.extend_from_slice(&random.number().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn put(how: &str, length: usize) -> String {
    format!("PUT /uploads/by-video/{how} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

const GET: &str = "GET /small HTTP/1.1\r\nHost: t\r\n\r\n";

/// A stored body.
fn check(answer: &Answer, bytes: &[u8]) {
    assert_eq!(answer.status, 201, "{} {}", answer.head, answer.text());
    assert_eq!(answer.text(), sum(bytes));
    assert!(answer.header("connection").is_none(), "{}", answer.head);
}

/// Sends on a task of its own: the answer may come while bytes are still sent.
async fn upload_over(client: &mut Raw, head: &str, bytes: &[u8]) -> Answer {
    client.send(head).await;
    client.send_bytes(bytes).await;
    client.answer().await
}
