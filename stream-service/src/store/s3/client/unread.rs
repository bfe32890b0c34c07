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
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tower_service::Service;
use url::Position;

/// Bytes of a head looked at at once (stores say some 600), and at most.
const LOOK: usize = 2 << 10;
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 64;

/// Bytes of a refusal's document that are read here.
const MAX_REFUSAL: usize = 16 << 10;

/// How long a store that has given an odd answer is asked in the other way.
const ODD_FOR: Duration = Duration::from_secs(600);

thread_local! {
    /// The connections of this thread, by host and port.
    static SHELVES: RefCell<HashMap<String, Rc<Shelf>>> = RefCell::default();
}

/// A store that is asked in this way.
pub struct Plain {
    connector: HttpConnector,
    uri: Uri,
    /// Until then its answers are not asked for in this way.
    odd_until: Mutex<Option<Instant>>,
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
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The answer is not one that the kernel can be left alone with. Another way of asking may understand it.
    Odd(&'static str),
    /// A refusal whose document can't be read here: what its status says. Another way of asking may say more.
    Illegible(S3Error),
    /// The connection ended, or can't be used.
    Lost(String),
    Failed(S3Error),
}

impl From<S3Error> for Unanswered {
    fn from(error: S3Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<Unanswered> for S3Error {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Failed(error) | Unanswered::Illegible(error) => error,
            Unanswered::Lost(why) => Self::Away(why),
            Unanswered::Odd(what) => Self::unreadable(StatusCode::OK, what),
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
            odd_until: Mutex::new(None),
        })
    }

    fn is_odd(&self) -> bool {
        let until = *self.odd_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn found_odd(&self, what: &str) {
        log::warn!("The store's answers can't be left to the kernel ({what}). Media is copied for {ODD_FOR:?}.");
        *self.odd_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + ODD_FOR);
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

    /// One attempt, up to the end of the head: on a connection that was kept, and on a new one when that is lost or silent.
    async fn ask(&self, head: &[u8], range: &Range<u64>) -> Result<Unread, Unanswered> {
        let still = Patience::READ.still();
        let (kept, mut silent) = (self.shelf().take(), false);
        if let Some(line) = kept {
            match timeout(still / 2, self.ask_on(line, head, range)).await {
                // The others lead to the same process, which is gone.
                Ok(Err(Unanswered::Lost(_))) => self.shelf().clear(),
                Ok(answered) => return answered,
                Err(_) => silent = true,
            }
        }
        let asked = async {
            let line = self.connect().await?;
            self.ask_on(line, head, range).await
        };
        let late = |_| Unanswered::Lost(format!("no answer within {still:?}"));
        let answered = timeout(still, asked).await.map_err(late)?;
        if silent && answered.is_ok() {
            // It was the connection, and not the store.
            self.shelf().clear();
        }
        answered
    }

    async fn ask_on(&self, mut line: Line, head: &[u8], range: &Range<u64>) -> Result<Unread, Unanswered> {
        match answer(&mut line.io, head, range).await? {
            Answer::Good(says) => Ok(Unread {
                line,
                keep: says.keep,
                length: says.length,
                size: says.size,
                etag: says.etag,
            }),
            Answer::Refusal { error, keep } => {
                if keep {
                    self.shelf().give_back(line);
                }
                Err(Unanswered::Failed(error))
            }
        }
    }
}

impl Client {
    /// As [`Client::get`] without the bytes; `etag` is the object's, if it has to be the same. On a thread whose connections may
    /// stay there.
    pub async fn get_unread(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Unread, Unanswered> {
        let Some(plain) = &self.plain else {
            return Err(Unanswered::Odd("TLS"));
        };
        // Whoever goes on with an object has no other way.
        if etag.is_none() && plain.is_odd() {
            return Err(Unanswered::Odd("as answers before"));
        }
        let mut attempts = Attempts::new(Patience::READ);
        loop {
            let head = written(&request(key, &range, etag), self.http.settings())?;
            match plain.ask(&head, &range).await {
                Err(Unanswered::Odd(what)) => {
                    plain.found_odd(what);
                    return Err(Unanswered::Odd(what));
                }
                Err(Unanswered::Illegible(error)) if etag.is_none() => return Err(Unanswered::Illegible(error)),
                Err(other) => attempts.another(other.into()).await?,
                Ok(unread) => return Ok(unread),
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

/// What the head of a good answer says.
#[derive(Debug, PartialEq, Eq)]
struct Says {
    keep: bool,
    length: u64,
    size: u64,
    etag: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Good(Says),
    /// It was read to its end; whether the connection may be used again.
    Refusal {
        error: S3Error,
        keep: bool,
    },
}

/// Sends a request, and reads its answer up to the bytes that were asked for, or to the end of a refusal.
async fn answer(io: &mut TcpStream, request: &[u8], range: &Range<u64>) -> Result<Answer, Unanswered> {
    let head = converse(io, request).await?;
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    if !matches!(parsed.parse(&head), Ok(httparse::Status::Complete(_))) {
        return Err(Unanswered::Odd("a head that can't be read"));
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| !status.is_informational());
    let status = status.ok_or(Unanswered::Odd("an answer before the answer"))?;
    let framing = Framing::of(&parsed);
    if !status.is_success() {
        let legible = framing.and_then(|framing| {
            let length = usize::try_from(framing.length?).ok()?;
            (length <= MAX_REFUSAL).then_some((length, framing.keep))
        });
        let Some((length, keep)) = legible else {
            return Err(Unanswered::Illegible(S3Error::of(status, &[])));
        };
        let mut document = vec![0; length];
        io.read_exact(&mut document).await?;
        let error = S3Error::of(status, &document);
        return Ok(Answer::Refusal { error, keep });
    }
    says(status, &parsed, framing, range).map(Answer::Good)
}

/// Reads the head of the answer to a request, and not a byte more.
async fn converse(io: &mut TcpStream, request: &[u8]) -> Result<Vec<u8>, Unanswered> {
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
            _ if seen == 0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => head.len(),
            Ok(httparse::Status::Partial) => return Err(Unanswered::Odd("a head that does not end")),
            Err(_) => return Err(Unanswered::Odd("a head that can't be read")),
        };
        head.truncate(end);
        io.read_exact(&mut head[known..]).await?;
        if matches!(parsed, Ok(httparse::Status::Complete(_))) {
            return Ok(head);
        }
    }
}

/// What a success says of the range that was asked for.
fn says(
    status: StatusCode,
    head: &httparse::Response<'_, '_>,
    framing: Option<Framing>,
    wanted: &Range<u64>,
) -> Result<Says, Unanswered> {
    let Some(Framing {
        length: Some(length),
        keep,
        ..
    }) = framing
    else {
        return Err(Unanswered::Odd("no plain length"));
    };
    let text = |name: &str| {
        let field = head
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let size = match status {
        StatusCode::PARTIAL_CONTENT => text("content-range").and_then(|range| total(range, wanted)),
        // The whole object, where it is all that was asked for.
        StatusCode::OK => Some(length).filter(|size| (0..*size) == *wanted),
        _ => None,
    };
    // Of an object that is shorter than was thought, as much as there is.
    let size = size.filter(|size| wanted.end.min(*size).checked_sub(wanted.start) == Some(length));
    let size = size.ok_or_else(|| S3Error::unreadable(status, "another range than was asked for"))?;
    let etag = text("etag").map(str::to_owned);
    Ok(Says {
        keep,
        length,
        size,
        etag,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    /// The head of an answer that comes in `pieces` and with a body behind it is read to its end, and the body is left.
    async fn check(pieces: &[&[u8]], expected: Result<&[u8], Unanswered>) {
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
            let head = converse(&mut near, b"request").await;
            assert_eq!(head.as_deref(), expected.as_ref().map(|head| *head));
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
        let ended = || Unanswered::from(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(matches!(ended(), Unanswered::Lost(_)));
        check(&[], Err(ended())).await;
        check(&[&HEAD[..20]], Err(ended())).await;
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 2 * MAX_HEAD]].concat();
        check(&[&endless], Err(Unanswered::Odd("a head that does not end"))).await;
        let unreadable = Unanswered::Odd("a head that can't be read");
        check(&[b"SSH-2.0-x\r\n\r\n"], Err(unreadable)).await;
    }

    /// An answer to a request for the bytes 10 to 19: how many follow, of how many in all, and whether the connection is kept.
    async fn says(text: &str) -> Result<(u64, u64, bool), Unanswered> {
        let (mut near, mut far) = pair().await;
        far.write_all(format!("HTTP/1.1 {text}").as_bytes()).await.unwrap();
        match answer(&mut near, b"request", &(10..20)).await? {
            Answer::Good(says) => Ok((says.length, says.size, says.keep)),
            Answer::Refusal { error, .. } => Err(Unanswered::Failed(error)),
        }
    }

    /// The same without a body.
    async fn says_head(fields: &str) -> Result<(u64, u64, bool), Unanswered> {
        says(&format!("{fields}\r\n\r\n")).await
    }

    #[tokio::test]
    async fn what_an_answer_says_of_its_bytes() {
        let part = "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10";
        assert_eq!(says_head(part).await, Ok((10, 100, true)));
        let closing = format!("{part}\r\nConnection: close");
        assert_eq!(says_head(&closing).await, Ok((10, 100, false)));
        let short = "206 P\r\nContent-Range: bytes 10-14/15\r\nContent-Length: 5";
        assert_eq!(says_head(short).await, Ok((5, 15, true)));
        for no_length in [
            "206 P\r\nContent-Range: bytes 10-19/100\r\nTransfer-Encoding: chunked",
            "206 P\r\nContent-Range: bytes 10-19/100",
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10\r\nContent-Length: 10",
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: +10",
        ] {
            assert_eq!(
                says_head(no_length).await,
                Err(Unanswered::Odd("no plain length")),
                "{no_length}"
            );
        }
        for before in ["100 Continue", "103 Early Hints"] {
            assert_eq!(
                says_head(before).await,
                Err(Unanswered::Odd("an answer before the answer"))
            );
        }
        for other in [
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 9",
            "206 P\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10",
            "206 P\r\nContent-Range: bytes 10-4/5\r\nContent-Length: 10",
            "206 P\r\nContent-Length: 10",
            "200 OK\r\nContent-Length: 100",
            "204 N\r\nContent-Length: 0",
        ] {
            let unreadable = matches!(says_head(other).await, Err(Unanswered::Failed(S3Error::Other { .. })));
            assert!(unreadable, "{other}");
        }
    }

    #[tokio::test]
    async fn refusals_are_understood_by_their_documents() {
        let failed = |error| Err(Unanswered::Failed(error));
        assert_eq!(says_head("404 N\r\nContent-Length: 0").await, failed(S3Error::Missing));
        assert_eq!(says_head("412 P\r\nContent-Length: 0").await, failed(S3Error::Changed));
        for unread in ["Transfer-Encoding: chunked", "Content-Length: 16385", "Server: old"] {
            let illegible = says_head(&format!("404 N\r\n{unread}")).await;
            assert_eq!(illegible, Err(Unanswered::Illegible(S3Error::Missing)), "{unread}");
        }
        let document = "<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>";
        let length = document.len();
        let told = says(&format!("404 N\r\nContent-Length: {length}\r\n\r\n{document}")).await;
        assert_eq!(told, failed(S3Error::NoBucket));
    }
}
