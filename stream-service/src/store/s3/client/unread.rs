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
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    if let Some(status) = status.filter(|status| !status.is_success()) {
        return Err(S3Error::of(status, &[]));
    }
    let Some(Framing {
        status,
        length: Some(length),
        keep,
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
        return Err(S3Error::unreadable(
            hyper::StatusCode::PARTIAL_CONTENT,
            "another range than was asked for",
        ));
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
