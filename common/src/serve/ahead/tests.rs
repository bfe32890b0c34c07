//! What is shown when; and the framework under a flood of requests whose answers nobody takes.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_service::{Service, ServiceFactory, fn_service};
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::task::noop_waker;
use tokio::io::AsyncWrite;

use super::*;
use crate::serve::{Connection, DeadlineStream, Deadlines, Serving};

/// What is shown of `input` piece by piece, when each of `answers` times a request is answered once all stopped.
fn shown(input: &[u8], cut: usize, answers: usize) -> Vec<String> {
    let (mut ahead, waker) = (Ahead::default(), noop_waker());
    let mut cx = Context::from_waker(&waker);
    let mut input = pieces_of(input, cut);
    let (mut pieces, mut serving) = (Vec::new(), false);
    for _ in 0..=answers {
        let mut piece = Vec::new();
        // Each turn: reads until it must not, then serves what is whole.
        for _ in 0..input.pieces.len() + 4 {
            let mut space = [0; 1024];
            let mut buf = ReadBuf::new(&mut space);
            let more = ahead.poll_read(&mut input, serving, &mut cx, &mut buf);
            piece.extend_from_slice(buf.filled());
            if more.is_pending() && !piece.is_empty() && ahead.next == Next::Head {
                serving = true;
            }
        }
        pieces.push(String::from_utf8(piece).unwrap());
        serving = false;
        ahead.answered();
    }
    pieces
}

/// Gives its input in two pieces, then waits.
struct Pieces {
    pieces: Vec<Vec<u8>>,
}

fn pieces_of(input: &[u8], cut: usize) -> Pieces {
    let pieces = [&input[cut..], &input[..cut]].map(<[u8]>::to_vec).to_vec();
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    Pieces { pieces }
}

impl AsyncRead for Pieces {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().pieces.pop() {
            Some(piece) => {
                buf.put_slice(&piece);
                Poll::Ready(Ok(()))
            }
            None => Poll::Pending,
        }
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const HEAD: &str = "HEAD /b HTTP/1.1\nHost: x\n\n";
const POST: &str = "POST /c HTTP/1.1\r\nContent-Length: 9\r\n\r\nA\r\n\r\nB\n\nC";

#[test]
fn requests_are_shown_one_by_one_wherever_they_are_cut() {
    let input = [GET, POST, HEAD, GET].concat();
    for cut in 0..=input.len() {
        assert_eq!(shown(input.as_bytes(), cut, 3), [GET, POST, HEAD, GET], "{cut}");
    }
}

#[test]
fn a_body_without_a_length_is_shown_with_all_that_follows() {
    for field in [
        "Transfer-Encoding: chunked",
        "Content-Length: +5",
        "Content-Length: 1\r\ncontent-length: 1",
    ] {
        let input = format!("POST / HTTP/1.1\r\n{field}\r\n\r\n5\r\nhello\r\n0\r\n\r\n{GET}");
        for cut in 0..=input.len() {
            assert_eq!(shown(input.as_bytes(), cut, 0), [input.as_str()], "{cut}");
        }
    }
}

#[test]
fn what_comes_too_early_is_bounded() {
    let (mut ahead, waker) = (Ahead::default(), noop_waker());
    let mut cx = Context::from_waker(&waker);
    let mut endless = tokio::io::repeat(b'x');
    let mut space = [0; 64];
    let mut buf = ReadBuf::new(&mut space);
    assert!(ahead.poll_read(&mut endless, true, &mut cx, &mut buf).is_pending());
    assert!(buf.filled().is_empty() && ahead.bytes.len() < MOST + 2048);
}

#[test]
fn lengths_are_read_as_the_framework_reads_them() {
    let check = |fields: &str, next: Next| {
        assert_eq!(
            after(format!("PUT / HTTP/1.1\r\n{fields}\r\n").as_bytes()),
            next,
            "{fields}"
        );
    };
    check("", Next::Head);
    check("Host: x\r\n", Next::Head);
    check("CONTENT-length:  12 \r\n", Next::Body(12));
    check("Content-Length: 0\r\n", Next::Head);
    check("Content-Length: 012\n", Next::Body(12));
    check("Content-Length: 99999999999999999999\r\n", Next::Open);
    check("Content-Length: -1\r\n", Next::Open);
    check("Content-Length: 1, 1\r\n", Next::Open);
    check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Next::Open);
}

/// A head that comes in pieces may hold what looks like one, exactly where a piece begins.
#[test]
fn a_piece_of_a_head_is_no_head() {
    let hidden = "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n";
    let begin = "GET /a HTTP/1.1\r\nX-A: ";
    let (mut ahead, waker) = (Ahead::default(), noop_waker());
    let mut cx = Context::from_waker(&waker);
    let mut between = Vec::new();
    for piece in [GET, begin, hidden, hidden] {
        let mut input = pieces_of(piece.as_bytes(), piece.len());
        let mut space = [0; 1024];
        let mut buf = ReadBuf::new(&mut space);
        let before = ahead.is_between_heads();
        while buf.filled().is_empty() {
            drop(ahead.poll_read(&mut input, false, &mut cx, &mut buf));
        }
        assert_eq!(buf.filled(), piece.as_bytes());
        between.push((before, ahead.showed_one_head(), ahead.heads()));
    }
    assert_eq!(
        between,
        [(false, true, 1), (true, false, 1), (false, true, 2), (true, true, 3)]
    );
}

/// A client that has sent two requests at once and closed its side, and takes everything.
struct Two(Pieces);

impl AsyncRead for Two {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.0.pieces.is_empty() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Two {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// None of them is reached.
fn patient() -> Deadlines {
    let hour = Duration::from_secs(3600);
    Deadlines {
        head: hour,
        stall: hour,
        idle: hour,
    }
}

/// The framework serves what it sees, also behind a last answer whose end it could not write yet.
#[tokio::test]
async fn nothing_is_shown_before_the_answer_is_written() {
    let input = [GET, HEAD].concat();
    let io = Two(pieces_of(input.as_bytes(), input.len()));
    let mut stream = DeadlineStream::new(io, patient(), std::sync::Arc::new([]));
    let connection = stream.connection();
    let woken = std::sync::Arc::new(Woken::default());
    let waker = woken.clone().into();
    let mut cx = Context::from_waker(&waker);
    let read = |stream: &mut DeadlineStream<Two>, cx: &mut Context<'_>| {
        let mut space = [0; 1024];
        let mut buf = ReadBuf::new(&mut space);
        let shown = Pin::new(stream).poll_read(cx, &mut buf).is_ready();
        shown.then(|| String::from_utf8(buf.filled().to_vec()).unwrap())
    };
    assert_eq!(read(&mut stream, &mut cx).as_deref(), Some(GET));
    let serving = connection.begin_request();
    assert_eq!(read(&mut stream, &mut cx), None);
    drop(serving);
    for _ in 0..3 {
        assert_eq!(
            read(&mut stream, &mut cx),
            None,
            "the answer is not written: neither the request nor the end behind it"
        );
    }
    woken.0.store(false, Ordering::SeqCst);
    assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
    assert!(woken.0.load(Ordering::SeqCst), "it is told when it is");
    assert_eq!(read(&mut stream, &mut cx).as_deref(), Some(HEAD));
}

/// A client that asks and asks, and takes nothing.
struct Flood;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

impl AsyncRead for Flood {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while buf.remaining() >= REQUEST.len() {
            buf.put_slice(REQUEST);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An answer of a megabyte, under way until it is dropped.
struct Long(usize, #[expect(dead_code, reason = "held")] Serving);

impl MessageBody for Long {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(1 << 20)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.0 += 1;
        Poll::Ready((self.0 <= 16).then(|| Ok(Bytes::from_static(&[0; 1 << 16]))))
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[actix_web::test]
async fn promise_7_a_flood_of_requests_does_not_make_the_framework_turn_in_circles() {
    let stream = DeadlineStream::new(Flood, patient(), std::sync::Arc::new([]));
    let service = HttpService::build()
        .on_connect_ext(|io: &DeadlineStream<Flood>, data| {
            data.insert(io.connection());
        })
        .h1(fn_service(|request: Request| async move {
            let serving = request.conn_data::<Connection>().unwrap().begin_request();
            Ok::<_, Infallible>(Response::ok().set_body(Long(0, serving)))
        }));
    let service = service.new_service(()).await.unwrap();
    let mut serving = Box::pin(service.call((stream, None)));
    let woken = std::sync::Arc::new(Woken::default());
    let waker = woken.clone().into();
    // Nothing moves: after some turns the connection has to rest until the client takes something.
    for _ in 0..100 {
        woken.0.store(false, Ordering::SeqCst);
        assert!(serving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if !woken.0.load(Ordering::SeqCst) {
            return;
        }
    }
    panic!("it wakes itself again and again");
}
