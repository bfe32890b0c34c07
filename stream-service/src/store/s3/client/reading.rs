//! A range of an object while it comes in.
//!
//! A body that breaks in the middle is continued by a new request for the rest, of the same object (`If-Match`), a bounded number
//! of times in a row. What is asked for next comes when it is asked for: beside the piece that is handed out, the connection reads
//! ahead one buffer ([`super::http`]: 256 KiB) and the kernel its own.

use super::{
    Client,
    error::S3Error,
    http::{Http, Task, causes, collect},
    patience::{Attempts, Patience},
    request::Request,
};
use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    body::{Body, Incoming},
    header,
};
use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;

/// A body that brings no byte for this long is taken for broken.
pub const STILL: Duration = Duration::from_secs(15);

/// Breaks in a row: a body that brought this many bytes since the last one begins to count anew.
const BREAKS: u32 = 4;
const PROGRESS: u64 = 4 << 20;

/// How often the body of a range broke.
pub struct Breaks {
    in_a_row: u32,
    /// Where the last break was, or the range began.
    at: u64,
}

impl Breaks {
    pub fn new(start: u64) -> Self {
        Self { in_a_row: 0, at: start }
    }

    /// One more, `at` this byte of the object: the name by which the rest of it may be asked for, or an error when that has happened
    /// too often, or the object has no name.
    pub fn another<'a>(
        &mut self,
        at: u64,
        etag: Option<&'a str>,
        why: &dyn std::fmt::Display,
    ) -> Result<&'a str, S3Error> {
        if at - self.at >= PROGRESS {
            self.in_a_row = 0;
        }
        self.in_a_row += 1;
        self.at = at;
        // Without a name for this very object its rest could be another's.
        etag.filter(|_| self.in_a_row <= BREAKS)
            .ok_or_else(|| S3Error::Away(why.to_string()))
    }
}

pub struct Reading {
    http: Http,
    key: String,
    etag: Option<String>,
    size: u64,
    /// What is still to come.
    next: u64,
    end: u64,
    from: From,
    /// Runs while a piece is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    breaks: Breaks,
}

enum From {
    Body(Incoming),
    Again(Task<Result<Opened, S3Error>>),
    Nothing,
}

/// The head of an answer.
struct Opened {
    body: Incoming,
    size: u64,
    etag: Option<String>,
}

impl Client {
    /// Opens a range of an object (in bytes, of at least one), up to the head of the answer. It ends with the object when that is
    /// shorter ([`Reading::size`]).
    pub async fn get(&self, key: &str, range: Range<u64>) -> Result<Reading, S3Error> {
        let (http, wanted) = (self.http.clone(), range.clone());
        let request = request(key, &range, None);
        let opened = self
            .http
            .spawn(async move { open(&http, &request, &wanted).await })
            .await?;
        Ok(Reading {
            http: self.http.clone(),
            key: key.to_owned(),
            etag: opened.etag,
            size: opened.size,
            next: range.start,
            end: range.end.min(opened.size),
            from: From::Body(opened.body),
            deadline: None,
            breaks: Breaks::new(range.start),
        })
    }
}

pub(super) fn request(key: &str, range: &Range<u64>, etag: Option<&str>) -> Request {
    let last = range.end.saturating_sub(1);
    let request = Request::new(Method::GET, key).header("range", format!("bytes={}-{last}", range.start));
    match etag {
        Some(etag) => request.header("if-match", etag),
        None => request,
    }
}

async fn open(http: &Http, request: &Request, wanted: &Range<u64>) -> Result<Opened, S3Error> {
    let mut attempts = Attempts::new(Patience::READ);
    loop {
        match opened(http, request, wanted).await {
            Err(error) => attempts.another(error).await?,
            opened => return opened,
        }
    }
}

async fn opened(http: &Http, request: &Request, wanted: &Range<u64>) -> Result<Opened, S3Error> {
    let response = http.send(request, Patience::READ.still()).await?;
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        return Err(S3Error::of(head.status, &collect(body, Patience::READ.still()).await?));
    }
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let size = match head.status {
        StatusCode::PARTIAL_CONTENT => text(header::CONTENT_RANGE).and_then(|range| total(range, wanted)),
        // The whole object, where it is all that was asked for.
        StatusCode::OK => text(header::CONTENT_LENGTH)
            .and_then(|length| length.parse().ok())
            .filter(|size| (0..*size) == *wanted),
        _ => None,
    };
    let size = size.ok_or_else(|| S3Error::unreadable(head.status, "another range than was asked for"))?;
    let etag = text(header::ETAG).map(str::to_owned);
    Ok(Opened { body, size, etag })
}

/// The size in `bytes 0-9/1000`, when the range is the one that is wanted, or as much of it as there is.
pub(super) fn total(content_range: &str, wanted: &Range<u64>) -> Option<u64> {
    let (range, size) = content_range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size) = (
        first.parse::<u64>().ok()?,
        last.parse::<u64>().ok()?,
        size.parse::<u64>().ok()?,
    );
    let ordered = first <= last && last < size;
    (ordered && first == wanted.start && last + 1 == wanted.end.min(size)).then_some(size)
}

impl Reading {
    /// Bytes of the whole object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next piece of the range; `None` at its end. After an error there is nothing more.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.next == self.end {
            self.from = From::Nothing;
            return Poll::Ready(None);
        }
        loop {
            match &mut self.from {
                From::Nothing => return Poll::Ready(None),
                From::Again(task) => match ready!(Pin::new(task).poll(cx)) {
                    Ok(opened) => self.from = From::Body(opened.body),
                    Err(error) => return Poll::Ready(Some(Err(self.give_up(error)))),
                },
                From::Body(body) => {
                    let broken = match Pin::new(body).poll_frame(cx) {
                        Poll::Ready(Some(Ok(frame))) => {
                            self.deadline = None;
                            // Trailers are nobody's.
                            let Ok(data) = frame.into_data() else { continue };
                            if data.is_empty() {
                                continue;
                            }
                            return Poll::Ready(Some(self.taken(data)));
                        }
                        Poll::Ready(Some(Err(error))) => causes(&error),
                        Poll::Ready(None) => "the answer is shorter than the range".to_owned(),
                        Poll::Pending => {
                            let late = || Box::pin(tokio::time::sleep(STILL));
                            ready!(self.deadline.get_or_insert_with(late).as_mut().poll(cx));
                            format!("no byte for {STILL:?}")
                        }
                    };
                    if let Err(error) = self.again(broken) {
                        return Poll::Ready(Some(Err(self.give_up(error))));
                    }
                }
            }
        }
    }

    /// The next piece, for those who can wait.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn taken(&mut self, data: Bytes) -> io::Result<Bytes> {
        if data.len() as u64 > self.end - self.next {
            let error = S3Error::unreadable(StatusCode::PARTIAL_CONTENT, "more than was asked for");
            return Err(self.give_up(error));
        }
        self.next += data.len() as u64;
        Ok(data)
    }

    /// Asks for the rest.
    fn again(&mut self, why: String) -> Result<(), S3Error> {
        self.deadline = None;
        let etag = self.breaks.another(self.next, self.etag.as_deref(), &why)?.to_owned();
        log::debug!("S3: {} broke at {}: {why}; going on", self.key, self.next);
        let (http, wanted) = (self.http.clone(), self.next..self.end);
        let request = request(&self.key, &wanted, Some(&etag));
        self.from = From::Again(self.http.spawn(async move { open(&http, &request, &wanted).await }));
        Ok(())
    }

    fn give_up(&mut self, error: S3Error) -> io::Error {
        self.from = From::Nothing;
        io::Error::new(io::ErrorKind::ConnectionAborted, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_was_not_asked_for_is_refused() {
        assert_eq!(total("bytes 0-9/1000", &(0..10)), Some(1000));
        assert_eq!(total("bytes 990-999/1000", &(990..2000)), Some(1000));
        for other in [
            "bytes 0-9/1000",
            "bytes 1-9/1000",
            "bytes 1-10/*",
            "bytes 1-10",
            "1-10/1000",
            "bytes 1-18446744073709551615/9",
            "bytes 1-0/1",
        ] {
            assert_eq!(total(other, &(1..11)), None, "{other}");
        }
    }
}
