//! A range of an object up to the head of the answer: its bytes stay in the socket, for the kernel to move. Over plain http only, and
//! of answers that can be read in one way; for everything else there is [`Client::get`].
//!
//! The connections are the calling thread's own, and one request's at a time.

use super::{
    Client,
    error::S3Error,
    http::{CONNECT, IDLE, KEEP, causes},
    patience::{Attempts, Patience},
    reading::{request, total},
    request::Request,
    settings::Settings,
};
use common::relay::{Framing, Line, Shelf};
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use jiff::Timestamp;
use std::{
    cell::RefCell,
    collections::HashMap,
    future::poll_fn,
    io,
    ops::Range,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tower_service::Service;
use url::Position;

/// Bytes of a head looked at at once (stores say some 600), and at most.
const LOOK: usize = 2 << 10;
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 64;

thread_local! {
    /// The connections of this thread, by host and port.
    static SHELVES: RefCell<HashMap<String, Rc<Shelf>>> = RefCell::default();
}

/// A store that is asked in this way.
pub struct Plain {
    connector: HttpConnector,
    uri: Uri,
    /// Its answers are of a kind that the kernel can't be left alone with.
    odd: AtomicBool,
}

/// The bytes of a range, which were not read yet.
pub struct Unread {
    pub line: Line,
    /// Whether the connection may be used again behind them.
    pub keep: bool,
    pub length: u64,
    /// Of the whole object.
    pub size: u64,
    pub etag: Option<String>,
}

/// Why there are none.
pub enum Unanswered {
    /// Nothing came in time: another way would not be quicker.
    Late(S3Error),
    /// Asked in the other way, the store may say more, or do it.
    Other(S3Error),
}

impl From<Unanswered> for S3Error {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Late(error) | Unanswered::Other(error) => error,
        }
    }
}

impl Plain {
    /// `None` for a store that is reached by TLS.
    pub fn of(settings: &Settings) -> Option<Self> {
        if settings.endpoint.scheme() != "http" {
            return None;
        }
        let url = Request::new(hyper::Method::GET, "").address(settings).ok()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        Some(Self {
            connector,
            uri: url[..Position::AfterPort].parse().ok()?,
            odd: AtomicBool::new(false),
        })
    }

    fn shelf(&self) -> Rc<Shelf> {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        SHELVES.with_borrow_mut(|shelves| {
            if let Some(shelf) = shelves.get(authority) {
                return shelf.clone();
            }
            // A process has one store; tests have many, one after the other.
            shelves.retain(|_, shelf| !shelf.is_empty());
            let shelf = Rc::new(Shelf::new(IDLE, KEEP));
            shelves.entry(authority.to_owned()).or_insert(shelf).clone()
        })
    }

    async fn connect(&self) -> Result<Line, S3Error> {
        let mut connector = self.connector.clone();
        let opening = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(self.uri.clone()).await
        };
        let io = opening.await.map_err(|error| S3Error::Away(causes(&error)))?;
        Ok(Line::new(io.into_inner()))
    }

    /// One attempt, up to the end of the head.
    async fn ask(&self, head: &[u8], range: &Range<u64>) -> Result<Unread, S3Error> {
        let kept = self.shelf().take();
        let mut line = match kept {
            Some(line) => line,
            None => self.connect().await?,
        };
        let answered = converse(&mut line.io, head).await;
        let answered = answered.map_err(|error| {
            // The others lead to the same process, which may be gone.
            self.shelf().clear();
            S3Error::Away(error.to_string())
        })?;
        let unread = read(&answered, range, line)?;
        if unread.is_none() && !self.odd.swap(true, Ordering::Relaxed) {
            log::warn!("The store's answers have no plain length. Media is copied on its way from now on.");
        }
        unread.ok_or_else(|| S3Error::unreadable(StatusCode::OK, "no plain length"))
    }
}

impl Client {
    /// As [`Client::get`], in one attempt and without the bytes; `etag` is the object's, if it has to be the same. On a thread
    /// whose connections may stay there.
    pub async fn get_unread(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Unread, Unanswered> {
        let Some(plain) = self.plain.as_ref().filter(|plain| !plain.odd.load(Ordering::Relaxed)) else {
            let error = S3Error::unreadable(StatusCode::OK, "not a plain store");
            return Err(Unanswered::Other(error));
        };
        let head = written(&request(key, &range, etag), self.http.settings()).map_err(Unanswered::Other)?;
        let still = Patience::READ.still();
        match timeout_at(Instant::now() + still, plain.ask(&head, &range)).await {
            Ok(answer) => answer.map_err(Unanswered::Other),
            Err(_) => Err(Unanswered::Late(S3Error::Away(format!("no answer within {still:?}")))),
        }
    }

    /// The same for the rest of the object that is named `etag`, repeated as far as patience goes.
    pub async fn get_rest(&self, key: &str, range: Range<u64>, etag: &str) -> Result<Unread, S3Error> {
        let mut attempts = Attempts::new(Patience::READ);
        loop {
            match self.get_unread(key, range.clone(), Some(etag)).await {
                Err(error) => attempts.another(error.into()).await?,
                Ok(unread) if unread.length == range.end - range.start => return Ok(unread),
                Ok(_) => return Err(S3Error::Changed),
            }
        }
    }

    /// A connection for the next request, after the last byte of an answer that keeps it.
    pub fn give_back(&self, line: Line) {
        if let Some(plain) = &self.plain {
            plain.shelf().give_back(line);
        }
    }
}

/// The request on the wire.
fn written(request: &Request, settings: &Settings) -> Result<Vec<u8>, S3Error> {
    let url = request.signed(settings, Timestamp::now());
    let url = url.map_err(|error| S3Error::unreadable(StatusCode::OK, error))?;
    let (target, host) = (
        &url[Position::BeforePath..],
        &url[Position::BeforeHost..Position::AfterPort],
    );
    let fields = request
        .headers
        .iter()
        .flat_map(|(name, value)| [name, ": ", value, "\r\n"]);
    let begin = [
        "GET ",
        target,
        " HTTP/1.1\r\nhost: ",
        host,
        "\r\nuser-agent: sluice\r\n",
    ];
    let all: Vec<&str> = begin.into_iter().chain(fields).chain(["\r\n"]).collect();
    Ok(all.concat().into_bytes())
}

/// Sends a request and reads the head of its answer, and not a byte more.
async fn converse(io: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    io.write_all(request).await?;
    let mut head = Vec::with_capacity(LOOK);
    loop {
        let known = head.len();
        head.resize(known + LOOK, 0);
        let seen = io.peek(&mut head[known..]).await?;
        head.truncate(known + seen);
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let parsed = httparse::Response::new(&mut fields).parse(&head);
        let end = match parsed {
            _ if seen == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => head.len(),
            Ok(httparse::Status::Partial) => return Err(io::Error::other("a head that does not end")),
            Err(error) => return Err(io::Error::other(error)),
        };
        head.truncate(end);
        io.read_exact(&mut head[known..]).await?;
        if matches!(parsed, Ok(httparse::Status::Complete(_))) {
            return Ok(head);
        }
    }
}

/// What a head says of the range that was asked for; `None` when it does not say where its bytes end.
fn read(head: &[u8], wanted: &Range<u64>, line: Line) -> Result<Option<Unread>, S3Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_))) {
        return Ok(None);
    }
    let Some(status) = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()) else {
        return Ok(None);
    };
    if !status.is_success() {
        return Err(S3Error::of(status, &[]));
    }
    let Some(Framing {
        length: Some(length),
        keep,
        ..
    }) = Framing::of(&parsed)
    else {
        return Ok(None);
    };
    let text = |name: &str| {
        let field = parsed
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let size = match status.as_u16() {
        206 => text("content-range").and_then(|range| total(range, wanted)),
        // The whole object, where it is all that was asked for.
        200 => Some(length).filter(|size| (0..*size) == *wanted),
        _ => None,
    };
    // Of an object that is shorter than was thought, as much as there is.
    let size = size.filter(|size| wanted.end.min(*size) - wanted.start == length);
    let Some(size) = size else {
        return Err(S3Error::unreadable(status, "another range than was asked for"));
    };
    let etag = text("etag").map(str::to_owned);
    Ok(Some(Unread {
        line,
        keep,
        length,
        size,
        etag,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    /// The head of an answer that comes in `pieces` and with a body behind it is read to its end, and the body is left.
    async fn check(pieces: &[&[u8]], expected: Result<&[u8], io::ErrorKind>) {
        let (mut near, mut far) = pair().await;
        let sending = async move {
            let mut asked = [0; 7];
            far.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"request");
            for piece in pieces {
                far.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reading = async move {
            let head = converse(&mut near, b"request").await.map_err(|error| error.kind());
            assert_eq!(head.as_deref().map_err(|kind| *kind), expected);
            if head.is_ok() {
                let mut body = Vec::new();
                near.read_to_end(&mut body).await.unwrap();
                assert_eq!(body, b"body");
            }
        };
        tokio::join!(sending, reading);
    }

    #[tokio::test]
    async fn a_head_is_read_to_its_end_and_no_further() {
        const HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\n\r\n";
        let whole = [HEAD, b"body"].concat();
        check(&[&whole], Ok(HEAD)).await;
        check(&[HEAD, b"body"], Ok(HEAD)).await;
        check(&whole.chunks(7).collect::<Vec<_>>(), Ok(HEAD)).await;
        check(&[&HEAD[..HEAD.len() - 1], b"\nbody"], Ok(HEAD)).await;
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(3 * LOOK));
        check(&[long.as_bytes(), b"body"], Ok(long.as_bytes())).await;
        check(&[], Err(io::ErrorKind::UnexpectedEof)).await;
        check(&[&HEAD[..20]], Err(io::ErrorKind::UnexpectedEof)).await;
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 2 * MAX_HEAD]].concat();
        check(&[&endless], Err(io::ErrorKind::Other)).await;
        check(&[b"SSH-2.0-x\r\n\r\n"], Err(io::ErrorKind::Other)).await;
    }

    /// `fields` of an answer to a request for the bytes 10 to 19: how many follow, of how many in all, and whether the connection
    /// is kept.
    async fn says(fields: &str) -> Result<Option<(u64, u64, bool)>, S3Error> {
        let (line, _far) = pair().await;
        let head = format!("HTTP/1.1 {fields}\r\n\r\n");
        let unread = read(head.as_bytes(), &(10..20), Line::new(line))?;
        Ok(unread.map(|unread| (unread.length, unread.size, unread.keep)))
    }

    #[tokio::test]
    async fn what_an_answer_says_of_its_bytes() {
        let part = "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10";
        assert_eq!(says(part).await, Ok(Some((10, 100, true))));
        let closing = format!("{part}\r\nConnection: close");
        assert_eq!(says(&closing).await, Ok(Some((10, 100, false))));
        let short = "206 P\r\nContent-Range: bytes 10-14/15\r\nContent-Length: 5";
        assert_eq!(says(short).await, Ok(Some((5, 15, true))));
        for no_length in [
            "206 P\r\nContent-Range: bytes 10-19/100\r\nTransfer-Encoding: chunked",
            "206 P\r\nContent-Range: bytes 10-19/100",
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10\r\nContent-Length: 10",
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: +10",
        ] {
            assert_eq!(says(no_length).await, Ok(None), "{no_length}");
        }
        for other in [
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 9",
            "206 P\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10",
            "206 P\r\nContent-Length: 10",
            "200 OK\r\nContent-Length: 100",
            "204 N\r\nContent-Length: 0",
        ] {
            assert!(matches!(says(other).await, Err(S3Error::Other { .. })), "{other}");
        }
        assert_eq!(says("404 N\r\nContent-Length: 0").await, Err(S3Error::Missing));
        assert_eq!(says("412 P\r\nContent-Length: 0").await, Err(S3Error::Changed));
        assert!(matches!(
            says("503 S\r\nTransfer-Encoding: chunked").await,
            Err(S3Error::Away(_))
        ));
    }
}
