//! Response bodies that read what is stored and copy it: for objects in a bucket that the kernel can't move ([`super::relayed`]), for
//! several ranges in one answer, and for connections whose bytes can't go past the framework (`server.zero_copy = false`). All others
//! are a [`super::job`].
//!
//! Pieces that lie in the page cache are read on the worker without waiting (`preadv2` with `RWF_NOWAIT`); the others on the
//! blocking pool, so that a slow disk holds up one stream and not the worker. File and permit ride on the body (through the
//! registry, which may take them away: [`super::registry`]): they come back when the body is dropped, after its last byte or
//! when the viewer leaves.

use super::{
    file::StoredFile,
    pace::Pace,
    registry::{OpenFile, Reader, Stored, taken_away},
};
use crate::{limit::meter::Meter, metrics::StreamMetrics};
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::{
    collections::VecDeque,
    fs::File,
    future::Future,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll, ready},
};
use tokio::task::JoinHandle;

/// Bytes read at once: what a stream costs in memory beside the connection's own buffer.
pub const PIECE: usize = 128 << 10;

/// What is sent, in order.
#[derive(Debug)]
pub enum Part {
    /// Bytes `start..end` of what is stored.
    Stored { start: u64, end: u64 },
    /// The framing of `multipart/byteranges`.
    Text(Bytes),
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Stored { start, end } => end - start,
            Self::Text(text) => text.len() as u64,
        }
    }
}

/// A body of known length, with the hold on its file.
pub struct FileBody {
    reader: Reader,
    parts: VecDeque<Part>,
    length: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    pace: Pace,
    meter: Meter,
    metrics: StreamMetrics,
}

impl FileBody {
    pub fn new(
        (reader, meter): (Reader, Meter),
        parts: Vec<Part>,
        pace: Arc<AtomicU64>,
        metrics: StreamMetrics,
    ) -> Self {
        metrics.streams.inc();
        let length = parts.iter().map(Part::len).sum();
        let pace = Pace::new(pace);
        Self {
            reader,
            parts: parts.into(),
            length,
            reading: None,
            pace,
            meter,
            metrics,
        }
    }

    /// Bytes of all parts.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next piece; `Ok(None)` at the end.
    fn poll_piece(&mut self, file: Arc<OpenFile>, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if let Some(reading) = &mut self.reading {
            let piece = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
            self.reading = None;
            return Poll::Ready(self.taken(piece?).map(Some));
        }
        let (start, end) = match self.parts.front() {
            None => return Poll::Ready(Ok(None)),
            Some(Part::Text(_)) => {
                let Some(Part::Text(text)) = self.parts.pop_front() else {
                    return Poll::Ready(Ok(None));
                };
                return Poll::Ready(Ok(Some(text)));
            }
            Some(&Part::Stored { start, end }) => (start, end),
        };
        let wanted = (end - start).min(PIECE as u64) as usize;
        match file.content() {
            Stored::Remote(remote) => {
                let piece = ready!(remote.poll_piece(start..end, cx));
                Poll::Ready(self.taken(piece?).map(Some))
            }
            Stored::Relayed(_) => Poll::Ready(Err(io::Error::other("what the kernel moves can't be copied"))),
            Stored::File(stored) => match read_cached(stored.file(), start, wanted) {
                Some(piece) => Poll::Ready(self.taken(piece).map(Some)),
                None => {
                    self.reading = Some(fetched(&file, stored, start, wanted));
                    self.poll_piece(file, cx)
                }
            },
        }
    }

    /// Counts a piece off the first part.
    fn taken(&mut self, piece: Bytes) -> io::Result<Bytes> {
        if piece.is_empty() {
            return Err(shorter());
        }
        if let Some(Part::Stored { start, end }) = self.parts.front_mut() {
            *start += piece.len() as u64;
            if start == end {
                self.parts.pop_front();
            }
        }
        self.metrics.sent_bytes.inc_by(piece.len() as u64);
        self.pace.sent(piece.len() as u64);
        self.meter.sent(piece.len() as u64);
        Ok(piece)
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}

impl MessageBody for FileBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self.get_mut();
        let Some(file) = this.reader.file(cx) else {
            return Poll::Ready(Some(Err(taken_away())));
        };
        if this.reading.is_none() {
            if !this.parts.is_empty() {
                this.meter.go_on().map_err(io::Error::other)?;
            }
            ready!(this.pace.poll_due(cx));
        }
        this.poll_piece(file, cx).map(Result::transpose)
    }
}

/// A piece that the disk has to be asked for. The stream is not over while it reads.
fn fetched(open: &Arc<OpenFile>, stored: &Arc<StoredFile>, start: u64, wanted: usize) -> JoinHandle<io::Result<Bytes>> {
    let (open, stored) = (Arc::clone(open), Arc::clone(stored));
    tokio::task::spawn_blocking(move || {
        let piece = read_waiting(stored.file(), start, wanted);
        drop((stored, open));
        piece
    })
}

pub fn shorter() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the stored file is shorter than its ledger says",
    )
}

/// What the page cache has of these bytes: some of them, or `None` when the disk has to be asked (or the kernel can't tell).
fn read_cached(file: &File, start: u64, wanted: usize) -> Option<Bytes> {
    let mut buffer = vec![0; wanted];
    loop {
        match preadv2(file, &mut [IoSliceMut::new(&mut buffer)], start, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return None,
            Ok(read) => {
                buffer.truncate(read);
                return Some(buffer.into());
            }
            Err(Errno::INTR) => {}
            // Let the plain read name it.
            Err(_) => return None,
        }
    }
}

fn read_waiting(file: &File, start: u64, wanted: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; wanted];
    loop {
        match file.read_at(&mut buffer, start) {
            Ok(read) => {
                buffer.truncate(read);
                return Ok(buffer.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
