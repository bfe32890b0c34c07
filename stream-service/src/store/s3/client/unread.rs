//! A range of an object up to the head of the answer: its bytes stay in the socket, for the kernel to move. Over plain http only, and
//! of answers that can be read in one way; for everything else there is [`Client::get`].
//!
//! The connections are the calling thread's own, and one request's at a time.

mod answer;

use super::{
    Client,
    error::S3Error,
    http::{CONNECT, IDLE, KEEP, causes},
    patience::{Attempts, Patience},
    reading::request,
    request::Request,
    settings::Settings,
};
use answer::{Answer, answer};
use common::relay::{Line, Shelf};
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
use tokio::time::{Instant, timeout};
use tower_service::Service;
use url::Position;

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
