//! The fast path: plain requests before the framework, with the same answers, deadlines and ends, and the way from the one to the
//! other.

mod ends;
mod returns;

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use common::error::{ApiError, Code};
use common::plain::{Answer, Body, PlainHandler, PlainRequest};
use common::slot::{Job, Outlet};
use common::testing::eventually;
use common::testing::random::noise;
use common::testing::raw::{self, Raw};
use futures_util::future::LocalBoxFuture;

use super::{Held, Hold, Starving, config, start};

pub const SIZE: usize = 5 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// `/plain/…`.
pub struct Handler(pub Held);

fn content() -> Vec<u8> {
    noise(SIZE, 0)
}

impl PlainHandler for Handler {
    fn wants(&self, request: &PlainRequest<'_>) -> bool {
        matches!(*request.method, Method::GET | Method::HEAD) && request.path.starts_with("/plain/")
    }

    fn outlasts_half_close(&self, request: &PlainRequest<'_>) -> bool {
        !request.path.starts_with("/plain/leave/")
    }

    fn answer<'a>(&'a self, request: PlainRequest<'a>, moves: bool) -> LocalBoxFuture<'a, Result<Answer, ApiError>> {
        Box::pin(async move {
            let body = match request.path {
                "/plain/moved" if *request.method == Method::HEAD => Body::Empty { length: Some(7) },
                "/plain/bytes" => Body::Bytes(Bytes::from_static(b"plainly")),
                "/plain/slow" => {
                    let _hold = self.0.take();
                    tokio::time::sleep(super::SLOW).await;
                    Body::Bytes(Bytes::from_static(b"slowly"))
                }
                "/plain/slower" => {
                    let _hold = self.0.take();
                    tokio::time::sleep(5 * super::SLOW).await;
                    Body::Bytes(Bytes::from_static(b"slowly"))
                }
                "/plain/hang" | "/plain/leave/hang" => {
                    let _hold = self.0.take();
                    std::future::pending().await
                }
                "/plain/copied" => copied(Some(6)),
                "/plain/copied-short" => copied(Some(7)),
                "/plain/copied-long" => copied(Some(5)),
                "/plain/chunked" => copied(None),
                "/plain/moved" if moves => moved(&self.0, SIZE as u64),
                "/plain/begun" if moves => begun(moved(&self.0, SIZE as u64)),
                // One byte more than there is.
                "/plain/short" if moves => moved(&self.0, SIZE as u64 + 1),
                "/plain/starving" | "/plain/leave/starving" if moves => Body::Moved {
                    length: 10,
                    first: Bytes::new(),
                    job: Box::new(Starving(self.0.take())),
                },
                "/plain/endless" => Body::Copied {
                    length: None,
                    body: BoxBody::new(Endless(self.0.take())),
                },
                "/plain/panic" => panic!("this handler always panics"),
                _ => return Err(ApiError::new(Code::NotFound, "No.").with("plain", true)),
            };
            Ok(Answer {
                status: StatusCode::OK,
                fields: vec![
                    (header::CONTENT_TYPE, HeaderValue::from_static("video/mp4")),
                    (HeaderName::from_static("x-own"), HeaderValue::from_static("1")),
                ]
                .into(),
                body,
            })
        })
    }
}

/// "copied" in two pieces, said to have this length.
fn copied(length: Option<u64>) -> Body {
    let pieces = vec![Bytes::from_static(b"ied"), Bytes::from_static(b"cop")];
    let size = length.map_or(BodySize::Stream, BodySize::Sized);
    Body::Copied {
        length,
        body: BoxBody::new(Pieces(pieces, size)),
    }
}

fn moved(held: &Held, length: u64) -> Body {
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, &content()).unwrap();
    let job = Send {
        file,
        at: 0,
        end: length,
        _hold: held.take(),
    };
    Body::Moved {
        length,
        first: Bytes::new(),
        job: Box::new(job),
    }
}

/// With something in front.
fn begun(body: Body) -> Body {
    let Body::Moved { length, job, .. } = body else {
        panic!("this body is not moved")
    };
    Body::Moved {
        length: length + 4,
        first: Bytes::from_static(b"this"),
        job,
    }
}

struct Send {
    file: std::fs::File,
    at: u64,
    end: u64,
    _hold: Hold,
}

impl Job for Send {
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.at < self.end {
            let left = usize::try_from(self.end - self.at).unwrap();
            if ready!(to.poll_sendfile(cx, self.file.as_fd(), &mut self.at, left))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The last piece comes first.
struct Pieces(Vec<Bytes>, BodySize);

impl MessageBody for Pieces {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        self.1
    }

    fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        Poll::Ready(self.get_mut().0.pop().map(Ok))
    }
}

/// Does not end.
struct Endless(#[expect(dead_code, reason = "held until it is dropped")] Hold);

impl MessageBody for Endless {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        Poll::Ready(Some(Ok(Bytes::from_static(&[7; 64 << 10]))))
    }
}

fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

async fn none_is_held(held: &Held) {
    eventually("everything is given back", PATIENCE, || async {
        (held.count() == 0).then_some(())
    })
    .await;
}

/// With a field that only the framework may decide about.
const FOR_THE_FRAMEWORK: &str = "Expect: 100-continue\r\n";

fn comparable(answer: &raw::Answer) -> (u16, Vec<String>, Vec<u8>) {
    let mut fields: Vec<String> = answer.head.lines().skip(1).map(str::to_ascii_lowercase).collect();
    fields.retain(|field| !field.starts_with("date:"));
    fields.sort();
    (answer.status, fields, answer.body.clone())
}

#[actix_web::test]
async fn the_answers_are_those_of_the_framework() {
    let mut without = config();
    without.server.fast_path = false;
    let ((with, held), (without, _)) = (start(config()).await, start(without).await);
    let mut fast = Raw::connect(&with.public).await;
    let mut slow = Raw::connect(&without.public).await;
    for path in [
        "bytes", "slow", "copied", "chunked", "moved", "begun", "panic", "nowhere",
    ] {
        let asked = request("GET", &format!("/plain/{path}"), "X-Operation-Id: one\r\n");
        let mut answers = Vec::new();
        for client in [&mut fast, &mut slow] {
            client.send(&asked).await;
            let answer = client.answer().await;
            let date = httpdate::parse_http_date(answer.header("date").unwrap()).unwrap();
            assert!(date.elapsed().is_ok_and(|since| since < PATIENCE), "{path}");
            assert_eq!(answer.header("x-request-id"), Some("one"));
            answers.push(comparable(&answer));
        }
        assert!(
            answers[0] == answers[1],
            "{path}: {:?} and {:?}",
            answers[0].1,
            answers[1].1
        );
        let expected = match path {
            "bytes" => &b"plainly"[..],
            "slow" => b"slowly",
            "copied" | "chunked" => b"copied",
            "moved" => &content(),
            "begun" => &[b"this", &content()[..]].concat(),
            _ => continue,
        };
        assert!(answers[0].2 == expected, "{path}");
    }
    for path in ["bytes", "moved", "copied", "panic", "nowhere"] {
        let asked = request("HEAD", &format!("/plain/{path}"), "X-Operation-Id: one\r\n");
        let mut answers = Vec::new();
        for client in [&mut fast, &mut slow] {
            client.send(&asked).await;
            answers.push(comparable(&client.head().await));
            let next = client.get("/plain/bytes").await;
            assert_eq!(next.body, b"plainly", "{path}: something came behind the head");
        }
        assert!(
            answers[0] == answers[1],
            "{path}: {:?} and {:?}",
            answers[0].1,
            answers[1].1
        );
    }
    none_is_held(&held).await;
    let plain = [&with, &without].map(|server| server.platform.metrics.http.plain.get());
    assert_eq!(plain, [18, 0], "the one is fast");
    drop((fast, slow));
    with.stop().await;
    without.stop().await;
}

#[actix_web::test]
async fn what_is_not_plain_goes_on_with_the_framework() {
    let (server, held) = start(config()).await;
    for first in ["", &request("GET", "/plain/moved", "")] {
        let mut client = Raw::connect(&server.public).await;
        client.send(first).await;
        if !first.is_empty() {
            assert!(client.answer().await.body == content());
        }
        // A body, half a head, two requests at once, one that nobody in front wants, another protocol's field.
        client
            .send("POST /count/0 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n123")
            .await;
        client.send("45").await;
        assert_eq!(client.answer().await.body, b"5");
        client.send("GET /plain/by").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send("tes HTTP/1.1\r\nHost: t\r\n\r\n").await;
        assert_eq!(client.answer().await.body, b"plainly");
        client
            .send(&(request("GET", "/plain/copied", "") + &request("GET", "/small", "")))
            .await;
        assert_eq!(client.answer().await.body, b"copied");
        assert_eq!(client.answer().await.body, b"small");
        assert!(client.get("/plain/moved").await.body == content());
    }
    for begin in [
        "GET /plain/by",
        "GET /plain/bytes HTTP/1.1\r\nHost: t\r\n\r\nGET /plain/copied HTTP/1.1\r\nHo",
    ] {
        let mut client = Raw::connect(&server.public).await;
        client.send(begin).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let rest = if begin.len() < 20 {
            "tes HTTP/1.1\r\nHost: t\r\n\r\n"
        } else {
            "st: t\r\n\r\n"
        };
        client.send(rest).await;
        assert_eq!(client.answer().await.body, b"plainly");
        if begin.len() > 20 {
            assert_eq!(client.answer().await.body, b"copied");
        }
    }
    let mut client = Raw::connect(&server.public).await;
    client.send(&request("GET", "/plain/bytes", FOR_THE_FRAMEWORK)).await;
    assert_eq!(client.head().await.status, 100);
    assert_eq!(client.answer().await.body, b"plainly");
    let mut client = Raw::connect(&server.public).await;
    client
        .send("GET /plain/bytes HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n")
        .await;
    client.answer().await.check_problem(400, "bad_request");
    none_is_held(&held).await;
    drop(client);
    server.stop().await;
}

#[actix_web::test]
async fn plain_requests_are_counted_like_all_others() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    for path in ["bytes", "moved", "nowhere", "panic"] {
        client.get(&format!("/plain/{path}")).await;
    }
    client.send(&request("HEAD", "/plain/bytes", "")).await;
    client.head().await;
    let counts = server.platform.metrics.encode();
    for line in [
        "sluice_http_requests_total{method=\"GET\",status=\"2xx\"} 2",
        "sluice_http_requests_total{method=\"GET\",status=\"4xx\"} 1",
        "sluice_http_requests_total{method=\"GET\",status=\"5xx\"} 1",
        "sluice_http_requests_total{method=\"HEAD\",status=\"2xx\"} 1",
        "sluice_http_duration_seconds_count 5",
    ] {
        assert!(counts.lines().any(|found| found == line), "{line}\n{counts}");
    }
    drop(client);
    server.stop().await;
}
