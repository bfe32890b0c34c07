//! A request body on its way to a service: read from the client no faster than the service takes it, with at most
//! [`PIECES`] pieces between them.
//!
//! The client's side lives on its connection's thread and can't leave it; the service's side must be able to. A bounded
//! channel joins them. Its end is said explicitly: a channel that closes without it is a body that was cut, and cuts the
//! service's connection instead of looking complete.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::web;
use common::error::ApiError;
use common::http::payload_error;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::headers::Length;
use super::spliced::not_taken;

/// Pieces between client and service. The framework's pieces have 32 KiB at most.
const PIECES: usize = 4;

enum Piece {
    Data(Bytes),
    End,
}

/// The body was cut: the client left, stalled, or was refused.
#[derive(Debug, thiserror::Error)]
#[error("the request body was cut")]
pub struct Cut;

/// Where the body can be taken from, by one call. A call that failed before it took a byte leaves it whole.
pub struct Source {
    length: Length,
    pieces: Arc<Mutex<Option<mpsc::Receiver<Piece>>>>,
}

/// The work of moving the body. Does nothing unless it is polled.
pub struct Upload(Option<LocalBoxFuture<'static, Result<(), ApiError>>>);

/// Begins to pass on `payload`, without one nothing; the service may take `wait` for each piece.
pub fn begin(length: Length, payload: Option<web::Payload>, wait: Duration) -> (Source, Upload) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let upload: Option<LocalBoxFuture<'static, _>> = match (length, payload) {
        (Length::None, _) | (_, None) => None,
        (Length::Known(_) | Length::Unknown, Some(payload)) => Some(Box::pin(pass_on(payload, sender, wait))),
    };
    let source = Source {
        length,
        pieces: Arc::new(Mutex::new(Some(receiver))),
    };
    (source, Upload(upload))
}

async fn pass_on(mut payload: web::Payload, to: mpsc::Sender<Piece>, wait: Duration) -> Result<(), ApiError> {
    loop {
        let piece = match payload.next().await {
            Some(bytes) => Piece::Data(bytes.map_err(|error| payload_error(&error))?),
            None => Piece::End,
        };
        let last = matches!(piece, Piece::End);
        match timeout(wait, to.send(piece)).await {
            Ok(Ok(())) if last => return Ok(()),
            Ok(Ok(())) => {}
            // The service takes no more: its answer, or the loss of it, says why.
            Ok(Err(_)) => return Ok(()),
            Err(_) => return Err(not_taken(wait)),
        }
    }
}

impl Upload {
    /// There is no body to move.
    pub fn none() -> Self {
        Upload(None)
    }

    pub fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// Moves the body until its end, or until the service takes no more.
    pub async fn run(&mut self) -> Result<(), ApiError> {
        std::future::poll_fn(|cx| self.poll_run(cx)).await
    }

    pub fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        let Some(work) = &mut self.0 else {
            return Poll::Ready(Ok(()));
        };
        let done = ready!(work.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(done)
    }
}

impl Source {
    /// The body for one call.
    pub fn body(&self) -> Outgoing {
        Outgoing {
            length: self.length,
            source: self.pieces.clone(),
            pieces: None,
            ended: self.length == Length::None,
        }
    }

    /// Whether no call has taken anything yet.
    pub fn is_whole(&self) -> bool {
        self.length == Length::None || self.pieces.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The body as the client of the service reads it.
pub struct Outgoing {
    /// What is still to come.
    length: Length,
    source: Arc<Mutex<Option<mpsc::Receiver<Piece>>>>,
    pieces: Option<mpsc::Receiver<Piece>>,
    ended: bool,
}

impl Outgoing {
    /// No body.
    pub fn none() -> Self {
        Outgoing {
            length: Length::None,
            source: Arc::default(),
            pieces: None,
            ended: true,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if this.pieces.is_none() {
            this.pieces = this.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        let piece = match &mut this.pieces {
            Some(pieces) => ready!(pieces.poll_recv(cx)),
            None => None,
        };
        match piece {
            Some(Piece::Data(bytes)) => {
                if let Length::Known(left) = &mut this.length {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Piece::End) => {
                this.ended = true;
                Poll::Ready(None)
            }
            None => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Length::None => SizeHint::with_exact(0),
            Length::Known(left) => SizeHint::with_exact(left),
            Length::Unknown => SizeHint::default(),
        }
    }
}
