//! The slot under the real dispatcher of actix-http, over a socket in memory that takes one byte at a time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;

use actix_http::{HttpService, Request, Response, StatusCode};
use actix_service::{Service, ServiceFactory, fn_service};
use actix_web::body::{BoxBody, MessageBody};
use bytes::Bytes;
use futures_util::task::noop_waker;
use tokio::io::ReadBuf;

use super::*;

mod tcp;
mod turn;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Through the framework.
    Write,
    Sendfile,
    Shutdown,
}

#[derive(Default)]
struct Wire {
    input: VecDeque<u8>,
    output: Vec<u8>,
    events: Vec<Event>,
    /// Every second call is put off.
    put_off: bool,
}

impl Wire {
    fn take(&mut self, cx: &mut Context<'_>, bytes: &[u8], event: Event) -> Poll<io::Result<usize>> {
        self.put_off = !self.put_off;
        if self.put_off {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = bytes.len().min(1);
        self.output.extend_from_slice(&bytes[..count]);
        if self.events.last() != Some(&event) {
            self.events.push(event);
        }
        Poll::Ready(Ok(count))
    }
}

#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Wire>>);

impl AsyncRead for Memory {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let input = &mut self.0.borrow_mut().input;
        let count = input.len().min(buf.remaining());
        buf.put_slice(&input.drain(..count).collect::<Vec<u8>>());
        // No end: the last request closes the connection. Without input nobody wakes the task, nor has to.
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().take(cx, buf, Event::Write)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().events.push(Event::Shutdown);
        Poll::Ready(Ok(()))
    }
}

impl Socket for Memory {
    fn poll_sendfile(
        &self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = vec![0; count.min(1)];
        let read = rustix::io::pread(file, &mut bytes, *offset)?;
        let result = self.0.borrow_mut().take(cx, &bytes[..read], Event::Sendfile);
        if let Poll::Ready(Ok(count)) = result {
            *offset += count as u64;
        }
        result
    }

    /// Takes all that it is offered; no bytes come out of it.
    fn poll_splice(&self, _: &mut Context<'_>, _: BorrowedFd<'_>, count: usize, _: bool) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(count))
    }
}

/// Sends `offset..end` of a file.
struct Range {
    file: std::fs::File,
    offset: u64,
    end: u64,
}

impl Job for Range {
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.offset < self.end {
            let count = usize::try_from(self.end - self.offset).unwrap();
            let sent = std::task::ready!(to.poll_sendfile(cx, self.file.as_fd(), &mut self.offset, count))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn file(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn job(bytes: &[u8], end: u64) -> Range {
    Range {
        file: file(bytes),
        offset: 0,
        end,
    }
}

/// Answers by path: `/slot/<prefix>` through the slot, others as usual.
fn respond(request: &Request) -> Response<BoxBody> {
    let (path, slot) = (request.path(), request.conn_data::<SlotHandle>().unwrap());
    let Some(prefix) = path.strip_prefix("/slot/") else {
        return Response::with_body(StatusCode::OK, BoxBody::new(path.to_owned()));
    };
    let length = (prefix.len() + 4) as u64;
    let body = SlotBody::new(slot, Bytes::from(prefix.to_owned()), job(b"BODY", 4));
    Response::build(StatusCode::PARTIAL_CONTENT)
        .no_chunking(length)
        .body(body)
        .map_into_boxed_body()
}

/// Paths with `inform` in them are told of themselves before they are answered; those with `late` have no time for it.
async fn inform(request: &Request) {
    if request.path().contains("inform") {
        let slot = request.conn_data::<SlotHandle>().unwrap();
        slot.inform(format!("HTTP/1.1 104 Soon\r\nabout: {}\r\n\r\n", request.path()));
        if !request.path().contains("late") {
            // Turns enough to write a part of it, but not all: the answer waits for the rest.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// What a connection answers to `requests`, the last of which closes it.
async fn converse(requests: &str) -> (String, Vec<Event>, u64, Counter) {
    let (wire, violations) = (Memory::default(), Counter::default());
    wire.0.borrow_mut().input.extend(requests.bytes());
    let stream = SlotStream::new(wire.clone(), std::time::Duration::from_secs(60), violations.clone());
    let handle = stream.handle();
    let service = HttpService::build()
        .on_connect_ext(|io: &SlotStream<Memory>, data| {
            data.insert(io.handle());
        })
        .h1(fn_service(|request: Request| async move {
            inform(&request).await;
            Ok::<_, Infallible>(respond(&request))
        }));
    let service = service.new_service(()).await.unwrap();
    service.call((stream, None)).await.unwrap();
    let (output, events) = {
        let mut wire = wire.0.borrow_mut();
        (std::mem::take(&mut wire.output), std::mem::take(&mut wire.events))
    };
    (
        String::from_utf8(output).unwrap(),
        events,
        handle.take_sent(),
        violations,
    )
}

/// The answers without their Date lines.
fn undated(text: &str) -> String {
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
    lines.join("\r\n")
}

const HOST: &str = "host: x\r\n";
const CLOSE: &str = "connection: close\r\n";

#[actix_web::test]
async fn the_head_is_whole_before_the_job_and_the_job_before_the_next_head() {
    let (text, events, sent, violations) = converse(&format!(
        "GET /slot/ HTTP/1.1\r\n{HOST}\r\nGET /plain HTTP/1.1\r\n{HOST}\r\nGET /slot/pre HTTP/1.1\r\n{HOST}{CLOSE}\r\n"
    ))
    .await;
    let text = undated(&text);
    // P3: the first answer neither closes nor chunks. The codec tells the last request of the others to close already.
    assert!(
        text.starts_with("HTTP/1.1 206 Partial Content\r\ncontent-length: 4\r\n\r\nBODY"),
        "{text}"
    );
    assert_eq!(
        text.replace(CLOSE, ""),
        "HTTP/1.1 206 Partial Content\r\ncontent-length: 4\r\n\r\nBODY\
         HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n/plain\
         HTTP/1.1 206 Partial Content\r\ncontent-length: 7\r\n\r\npreBODY"
    );
    let (head, job) = (Event::Write, Event::Sendfile);
    // The plain answer goes out together with the head after it.
    assert_eq!(events, [head, job, head, job, Event::Shutdown]);
    assert_eq!((sent, violations.get()), (8, 0));
}

#[actix_web::test]
async fn twelve_pipelined_requests_are_answered_in_their_order() {
    let mut requests = String::new();
    let mut expected = String::new();
    for number in 0..12 {
        let (path, close) = (["slot/", "p"][number % 2], if number == 11 { CLOSE } else { "" });
        requests.push_str(&format!("GET /{path}{number} HTTP/1.1\r\n{HOST}{close}\r\n"));
        let body = [format!("{number}BODY"), format!("/p{number}")][number % 2].clone();
        expected.push_str(&body);
    }
    let (text, _, _, violations) = converse(&requests).await;
    let bodies: String = undated(&text)
        .split("HTTP/1.1 ")
        .filter_map(|answer| answer.split_once("\r\n\r\n"))
        .map(|(_, body)| body)
        .collect();
    assert_eq!((bodies, violations.get()), (expected, 0));
}

/// A stream with one deposited body, and what it counts.
fn deposited(bytes: &[u8], end: u64) -> (SlotStream<Memory>, SlotBody, Memory, Counter) {
    let (wire, violations) = (Memory::default(), Counter::default());
    let stream = SlotStream::new(wire.clone(), std::time::Duration::from_secs(60), violations.clone());
    let mut body = SlotBody::new(&stream.handle(), Bytes::new(), job(bytes, end));
    assert!(poll_body(&mut body).is_pending());
    (stream, body, wire, violations)
}

fn poll_body(body: &mut SlotBody) -> Poll<Option<io::Result<Bytes>>> {
    let waker = noop_waker();
    Pin::new(body).poll_next(&mut Context::from_waker(&waker))
}

async fn write_all(stream: &mut SlotStream<Memory>, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        written += std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, &bytes[written..])).await?;
    }
    Ok(())
}

async fn flush(stream: &mut SlotStream<Memory>) -> io::Result<()> {
    std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
}

#[actix_web::test]
async fn a_job_before_the_end_of_its_head_closes_the_connection_and_is_counted() {
    let (mut stream, mut body, wire, violations) = deposited(b"BODY", 4);
    write_all(&mut stream, b"HTTP/1.1 200 OK\r\n").await.unwrap();
    assert!(flush(&mut stream).await.is_err());
    assert!(matches!(poll_body(&mut body), Poll::Ready(Some(Err(_)))));
    assert!(write_all(&mut stream, b"more").await.is_err(), "nothing follows it");
    assert_eq!(violations.get(), 1);
    assert_eq!(wire.0.borrow().output, b"HTTP/1.1 200 OK\r\n");
}

#[actix_web::test]
async fn a_write_into_the_middle_of_a_job_closes_the_connection_and_is_counted() {
    let (mut stream, _body, wire, violations) = deposited(b"BODY", 4);
    write_all(&mut stream, b"head\r\n\r\n").await.unwrap();
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    while wire.0.borrow().output.len() < 10 {
        assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_pending());
    }
    assert!(write_all(&mut stream, b"HTTP/1.1 200 OK").await.is_err());
    assert!(flush(&mut stream).await.is_err());
    assert_eq!((violations.get(), wire.0.borrow().output.len()), (1, 10));
}

#[actix_web::test]
async fn a_body_that_is_given_up_ends_its_job_and_the_connection() {
    let (mut stream, body, wire, violations) = deposited(b"BODY", 4);
    write_all(&mut stream, b"head\r\n\r\n").await.unwrap();
    drop(body);
    assert!(flush(&mut stream).await.is_err());
    assert_eq!((violations.get(), wire.0.borrow().output.len()), (0, 8));
}

#[actix_web::test]
async fn a_file_shorter_than_promised_is_an_error() {
    let (mut stream, mut body, wire, _) = deposited(b"BODY", 9);
    write_all(&mut stream, b"head\r\n\r\n").await.unwrap();
    assert_eq!(
        flush(&mut stream).await.unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    assert!(matches!(poll_body(&mut body), Poll::Ready(Some(Err(_)))));
    assert_eq!(wire.0.borrow().output, b"head\r\n\r\nBODY");
}

#[actix_web::test]
async fn a_second_body_before_the_end_of_the_first_is_refused() {
    let (stream, mut first, _, violations) = deposited(b"BODY", 4);
    let mut second = SlotBody::new(&stream.handle(), Bytes::new(), job(b"BODY", 4));
    assert!(matches!(poll_body(&mut second), Poll::Ready(Some(Err(_)))));
    assert!(matches!(poll_body(&mut first), Poll::Ready(Some(Err(_)))));
    assert_eq!(violations.get(), 1);
}

#[test]
fn the_tail_is_the_last_four_bytes_however_they_came() {
    let all = b"GET / HTTP/1.1\r\n\r\n";
    for cut in 0..=all.len() {
        let tail = tail_after(tail_after(Tail::default(), &all[..cut]), &all[cut..]);
        assert_eq!(&tail, b"\r\n\r\n", "{cut}");
    }
}

#[actix_web::test]
async fn an_interim_response_comes_whole_before_the_final_one_or_not_at_all() {
    let (text, _, _, violations) = converse(&format!(
        "GET /slot/a HTTP/1.1\r\n{HOST}\r\nGET /slot/inform HTTP/1.1\r\n{HOST}\r\nGET /inform HTTP/1.1\r\n{HOST}\r\n\
         GET /inform/behind HTTP/1.1\r\n{HOST}\r\nGET /slot/b HTTP/1.1\r\n{HOST}\r\nGET /late/inform HTTP/1.1\r\n{HOST}{CLOSE}\r\n"
    ))
    .await;
    let text = undated(&text);
    let messages: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
    // The last but two is queued while the answer before it is still being written, the last one when its own comes already.
    let expected = [
        ("206", "aBODY"),
        ("104 Soon\r\n", "about: /slot/inform\r\n\r\n"),
        ("206", "informBODY"),
        ("104 Soon\r\n", "about: /inform\r\n\r\n"),
        ("200", "/inform"),
        ("200", "/inform/behind"),
        ("206", "bBODY"),
        ("200", "/late/inform"),
    ];
    assert_eq!(messages.len(), expected.len(), "{text}");
    for (message, (begin, end)) in messages.iter().zip(expected) {
        assert!(
            message.starts_with(begin) && message.ends_with(end),
            "{message} in {text}"
        );
    }
    assert_eq!(violations.get(), 0);
}
