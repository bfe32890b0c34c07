//! A range of an object in a bucket that goes from the store's connection to the viewer's inside the kernel, through a pipe.
//!
//! What it costs is a connection to the store and a pipe, whatever the size of the object, and none of our memory: nothing is fetched
//! that nobody takes, but what the pipe and the sockets hold. A store that breaks off is asked for the rest, as
//! [`super::remote`] does for ranges that are copied.

use crate::store::s3::client::{Breaks, Client, S3Error, STILL, Unanswered, Unread};
use common::{
    relay::{Flow, Pipe},
    slot::Outlet,
};
use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

/// The bytes of a range, behind a lock that is only held while they move.
pub struct Relayed {
    client: Client,
    key: String,
    etag: Option<String>,
    size: u64,
    rest: Mutex<Rest>,
}

struct Rest {
    /// What the viewer has not got yet.
    range: Range<u64>,
    from: From,
    breaks: Breaks,
}

enum From {
    Flow { flow: Flow, keep: bool },
    Asking { answer: Asking, pipe: Option<Pipe> },
    Over,
}

type Asking = Pin<Box<dyn Future<Output = Result<Unread, S3Error>> + Send>>;

impl Relayed {
    /// Asks for the range and waits for the head of the answer; `None` when it has to be asked for in the other way.
    pub async fn open(client: &Client, key: &str, range: Range<u64>) -> Result<Option<Self>, S3Error> {
        let Unread {
            line,
            keep,
            length,
            size,
            etag,
        } = match client.get_unread(key, range.clone(), None).await {
            Ok(unread) => unread,
            Err(Unanswered::Odd(_) | Unanswered::Illegible(_)) => return Ok(None),
            Err(failed) => return Err(failed.into()),
        };
        let pipe = match Pipe::get() {
            Ok(pipe) => pipe,
            Err(error) => {
                log::warn!("Media is copied, because there is no pipe for it: {error}");
                return Ok(None);
            }
        };
        let flow = Flow::new(line, pipe, length);
        Ok(Some(Self {
            client: client.clone(),
            key: key.to_owned(),
            etag,
            size,
            rest: Mutex::new(Rest {
                breaks: Breaks::new(range.start),
                range: range.start..range.start + length,
                from: From::Flow { flow, keep },
            }),
        }))
    }

    /// Bytes of the object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Moves the next bytes, at most `most`, and says how many.
    pub fn poll_send(&self, to: &mut Outlet<'_>, cx: &mut Context<'_>, most: u64) -> Poll<io::Result<u64>> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let Rest { range, from, breaks } = &mut *rest;
        loop {
            match from {
                From::Over => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                From::Asking { answer, pipe } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    let pipe = pipe.take();
                    *from = From::Over;
                    let unread = answer.map_err(given_up)?;
                    let pipe = pipe.map_or_else(Pipe::get, Ok)?;
                    *from = From::Flow {
                        flow: Flow::new(unread.line, pipe, unread.length),
                        keep: unread.keep,
                    };
                }
                From::Flow { flow, .. } if !flow.is_dry() => {
                    let sent = ready!(flow.poll_drain(cx, to))?;
                    range.start += sent;
                    if flow.is_over() {
                        self.end(std::mem::replace(from, From::Over));
                    }
                    return Poll::Ready(Ok(sent));
                }
                From::Flow { flow, .. } => {
                    let Err(error) = ready!(flow.poll_fill(cx, most, STILL)) else {
                        continue;
                    };
                    let pipe = match std::mem::replace(from, From::Over) {
                        From::Flow { flow, .. } => Some(flow.into_parts().1),
                        From::Asking { .. } | From::Over => None,
                    };
                    let answer = self.again(range, breaks, &error).map_err(given_up)?;
                    *from = From::Asking { answer, pipe };
                }
            }
        }
    }

    /// Asks for the rest.
    fn again(&self, range: &Range<u64>, breaks: &mut Breaks, why: &io::Error) -> Result<Asking, S3Error> {
        let etag = breaks.another(range.start, self.etag.as_deref(), why)?.to_owned();
        log::debug!("S3: {} broke at {}: {why}; going on", self.key, range.start);
        let (client, key, range) = (self.client.clone(), self.key.clone(), range.clone());
        Ok(Box::pin(async move {
            match client.get_unread(&key, range.clone(), Some(&etag)).await {
                Ok(unread) if unread.length != range.end - range.start => Err(S3Error::Changed),
                answer => answer.map_err(S3Error::from),
            }
        }))
    }

    /// What it used may be used again.
    fn end(&self, from: From) {
        if let From::Flow { flow, keep } = from {
            let (line, pipe) = flow.into_parts();
            pipe.give_back();
            if keep {
                self.client.give_back(line);
            }
        }
    }
}

/// The store has no more of it. What came of it is the viewer's (see `common::slot`), and the length in the head says that it is not all.
fn given_up(error: S3Error) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, error)
}
