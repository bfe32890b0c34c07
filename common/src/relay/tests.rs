//! A relay between two real connections, driven as the framework drives it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::MessageBody;
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::pipe::Pipes;
use super::*;
use crate::slot::{Job, Outlet, SlotBody, SlotStream};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// What all who use a flow do with it.
struct Moving {
    flow: Option<Flow>,
    pipes: Rc<Pipes>,
    most: u64,
}

impl Job for Moving {
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flow = self.flow.as_mut().unwrap();
        loop {
            while !flow.is_dry() {
                ready!(flow.poll_drain(cx, to))?;
            }
            if flow.is_over() {
                let (_, pipe) = self.flow.take().unwrap().into_parts();
                self.pipes.give_back(pipe);
                return Poll::Ready(Ok(()));
            }
            assert!(ready!(flow.poll_fill(cx, self.most, PATIENCE))? <= self.most);
        }
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// What a service sends.
#[derive(Clone, Copy)]
struct Sent {
    said: usize,
    /// What comes of it.
    length: usize,
    /// Written at once.
    piece: usize,
    /// Taken at once.
    most: u64,
}

/// Relays it to a client, and returns how that ended, how much the client has read, and whether it was what was sent. The
/// client reads nothing before every buffer on the way is full, and rests so again in the middle: a relay that forgot that
/// there is something to read would not be reminded by more bytes that come.
async fn relayed(pipes: &Rc<Pipes>, sent: Sent) -> (io::Result<()>, usize, bool) {
    let written = Cell::new(0);
    let (from, far) = pair().await;
    let (mut client, to) = pair().await;
    let mut stream = SlotStream::new(to, PATIENCE, Counter::default());
    let pipe = pipes.get().unwrap();
    let job = Moving {
        flow: Some(Flow::new(Line::new(from), pipe, sent.said as u64)),
        pipes: pipes.clone(),
        most: sent.most,
    };
    let mut body = SlotBody::new(&stream.handle(), Bytes::new(), job);
    let sending = async move {
        assert!(futures_util::poll!(std::future::poll_fn(|cx| Pin::new(&mut body).poll_next(cx))).is_pending());
        stream.write_all(HEAD).await?;
        stream.flush().await?;
        drop(body);
        stream.shutdown().await
    };
    let reading = async {
        client.read_exact(&mut [0; HEAD.len()]).await.unwrap();
        let (mut buffer, mut read, mut equal) = (vec![0; 256 * 1024], 0, true);
        let mut rests = [sent.length / 2, 0].to_vec();
        loop {
            if rests.last().is_some_and(|rest| read >= *rest) {
                rests.pop();
                settled(&written).await;
            }
            match client.read(&mut buffer).await {
                Ok(0) | Err(_) => return (read, equal),
                Ok(count) => {
                    equal &= buffer[..count] == sample(read, count);
                    read += count;
                }
            }
        }
    };
    let writing = write(far, sent, &written);
    let all = futures_util::future::join3(sending, reading, writing);
    let (ended, (read, equal), ()) = tokio::time::timeout(PATIENCE, all).await.expect("it stands still");
    (ended, read, equal)
}

/// `count` of the bytes that are sent, from `at` on: each page has its own.
fn sample(at: usize, count: usize) -> Vec<u8> {
    let page = |number: usize| [u8::try_from(number % 253).unwrap(); 4_096];
    let pages = (at / 4_096..=(at + count) / 4_096)
        .map(page)
        .collect::<Vec<_>>()
        .concat();
    pages[at % 4_096..][..count].to_vec()
}

async fn write(mut to: TcpStream, sent: Sent, written: &Cell<usize>) {
    while written.get() < sent.length {
        let end = sent.length.min(written.get() + sent.piece);
        if to.write_all(&sample(written.get(), end - written.get())).await.is_err() {
            return;
        }
        written.set(end);
    }
}

/// Waits until nothing more is written.
async fn settled(written: &Cell<usize>) {
    let (mut before, mut same) = (0, 0);
    while same < 10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        same = if written.get() == before { same + 1 } else { 0 };
        before = written.get();
    }
}

/// A pipe that is filled while it holds bytes makes this stand still (dataplane.md, B1).
#[tokio::test(flavor = "local")]
async fn two_hundred_megabytes_pass_through_a_pipe_of_64_kib() {
    let length = 200_000_000;
    let pipes = Rc::new(Pipes::of(64 * 1024));
    let sent = Sent {
        said: length,
        length,
        piece: 1 << 20,
        most: u64::MAX,
    };
    let (ended, read, equal) = relayed(&pipes, sent).await;
    ended.unwrap();
    assert!(equal && read == length, "{read}");
    let pipe = pipes.get().unwrap();
    assert!(pipe.is_empty());
    assert_eq!(pipe.size(), 64 * 1024, "the pipe came back");
}

/// As small as a pipe can be, with pieces that never fit.
#[tokio::test(flavor = "local")]
async fn a_pipe_of_one_page_is_enough() {
    let length = 3_000_001;
    let pipes = Rc::new(Pipes::of(4_096));
    for piece in [1_000, 4_097, 100_003] {
        let sent = Sent {
            said: length,
            length,
            piece,
            most: 4_001,
        };
        let (ended, read, equal) = relayed(&pipes, sent).await;
        ended.unwrap();
        assert!(equal && read == length, "{read} in pieces of {piece}");
    }
}

/// The client gets all that came, and no end.
#[tokio::test(flavor = "local")]
async fn a_service_that_ends_early_is_an_error() {
    let pipes = Rc::new(Pipes::default());
    let sent = Sent {
        said: 500_001,
        length: 500_000,
        piece: 64 * 1024,
        most: u64::MAX,
    };
    let (ended, read, equal) = relayed(&pipes, sent).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(equal && read == 500_000, "{read}");
}

#[tokio::test(flavor = "local")]
async fn a_flow_takes_no_more_than_it_may_and_waits_no_longer_than_it_may() {
    let wait = Duration::from_millis(200);
    let (from, mut far) = pair().await;
    let mut flow = Flow::new(Line::new(from), Pipes::default().get().unwrap(), 10);
    far.write_all(b"hello").await.unwrap();
    let filled = std::future::poll_fn(|cx| flow.poll_fill(cx, 3, wait)).await;
    assert_eq!((filled.unwrap(), flow.is_dry(), flow.is_over()), (3, false, false));
    let (_, pipe) = flow.into_parts();
    assert!(!pipe.is_empty());

    let (from, far) = pair().await;
    let mut flow = Flow::new(Line::new(from), Pipes::default().get().unwrap(), 10);
    let began = std::time::Instant::now();
    let silent = std::future::poll_fn(|cx| flow.poll_fill(cx, 10, wait)).await;
    assert_eq!(silent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
    drop(far);
}

/// A full pipe is never filled, a pipe that holds something is never given to another answer.
#[tokio::test(flavor = "local")]
async fn a_pipe_that_holds_bytes_is_used_for_nothing_else() {
    let pipes = Pipes::of(64 * 1024);
    let (from, mut far) = pair().await;
    far.write_all(b"hello").await.unwrap();
    let mut pipe = pipes.get().unwrap();
    let filled = std::future::poll_fn(|cx| pipe.poll_fill(cx, &from, 100)).await;
    assert_eq!(filled.unwrap(), 5);
    far.write_all(b"more").await.unwrap();
    let again = std::future::poll_fn(|cx| pipe.poll_fill(cx, &from, 100)).await;
    assert!(again.is_err());
    pipes.give_back(pipe);
    assert_eq!(pipes.idle(), 0);
    let empty = pipes.get().unwrap();
    pipes.give_back(empty);
    assert_eq!(pipes.idle(), 1);
}
