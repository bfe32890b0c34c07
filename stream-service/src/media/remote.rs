//! A stored object in a bucket while it is sent by copying ([`super::relayed`] is the other way): ranges of it, one after the other,
//! each by a request of its own.
//!
//! What a stream costs in memory: what its connection to the store reads ahead (256 KiB) and the piece that is handed out, whatever
//! the size of the object. A viewer who takes nothing holds that connection, not the bytes behind it.

use super::body::PIECE;
use crate::store::s3::client::{Client, Reading, S3Error};
use bytes::Bytes;
use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

/// Bytes of an object, behind a lock that is only held while it is polled.
pub struct Remote {
    client: Client,
    key: String,
    size: u64,
    from: Mutex<From>,
}

enum From {
    Nothing,
    Opening(Opening),
    Open(Box<Open>),
}

struct Opening {
    range: Range<u64>,
    answer: Pin<Box<dyn Future<Output = Result<Reading, S3Error>> + Send>>,
}

struct Open {
    reading: Reading,
    /// What of a piece was not handed out yet.
    rest: Bytes,
    /// What is handed out next, and where the reading ends.
    range: Range<u64>,
}

impl Remote {
    /// Asks for the first range that is to be sent and waits for the head of the answer, so that an object that is lost or a store
    /// that is away is known before anything is answered. An empty range asks nothing.
    pub async fn open(client: &Client, key: String, first: Range<u64>) -> Result<Self, S3Error> {
        let (size, from) = match first.is_empty() {
            true => (first.end, From::Nothing),
            false => {
                let reading = client.get(&key, first.clone()).await?;
                (reading.size(), From::Open(Box::new(Open::new(reading, first))))
            }
        };
        Ok(Self {
            client: client.clone(),
            key,
            size,
            from: Mutex::new(from),
        })
    }

    /// Bytes of the object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A piece of what begins at `range.start`, empty when there is nothing more.
    pub fn poll_piece(&self, range: Range<u64>, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &mut *from {
                From::Open(open) if open.range == range => return open.poll_piece(cx),
                From::Opening(opening) if opening.range == range => {
                    let reading = match ready!(opening.answer.as_mut().poll(cx)) {
                        Ok(reading) => reading,
                        Err(error) => {
                            *from = From::Nothing;
                            return Poll::Ready(Err(io::Error::other(error)));
                        }
                    };
                    *from = From::Open(Box::new(Open::new(reading, range.clone())));
                }
                // The next of several ranges.
                From::Nothing | From::Opening(_) | From::Open(_) => {
                    let (client, key, wanted) = (self.client.clone(), self.key.clone(), range.clone());
                    *from = From::Opening(Opening {
                        range: range.clone(),
                        answer: Box::pin(async move { client.get(&key, wanted).await }),
                    });
                }
            }
        }
    }
}

impl Open {
    fn new(reading: Reading, range: Range<u64>) -> Self {
        Self {
            reading,
            rest: Bytes::new(),
            range,
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.rest.is_empty() {
            match ready!(self.reading.poll_next(cx)).transpose()? {
                None => return Poll::Ready(Ok(Bytes::new())),
                Some(piece) => self.rest = piece,
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.range.start += piece.len() as u64;
        Poll::Ready(Ok(piece))
    }
}
