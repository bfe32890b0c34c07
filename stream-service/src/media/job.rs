//! Sending a range of what is stored inside the kernel: the job that an answer leaves in the slot of its connection. A file goes by
//! sendfile, an object of a bucket by splice from the store's connection.
//!
//! In each turn it looks whether the stream was cut, or its client's budget of the day used up, keeps the pace, has cold windows of
//! a file fetched by the blocking pool, and hands the rest to the kernel. A viewer that takes nothing holds its permit and one
//! deadline, and no buffer of ours.

use super::{
    body::shorter,
    file::{DISK, StoredFile},
    pace::Pace,
    registry::{OpenFile, Reader, Stored, taken_away},
};
use crate::{limit::meter::Meter, metrics::StreamMetrics};
use common::slot::{Job, Outlet};
use std::{
    future::Future,
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll, ready},
};
use tokio::{
    task::JoinHandle,
    time::{Timeout, timeout},
};

/// Bytes `start..end` of what `reader` has open.
pub struct StoredJob {
    reader: Reader,
    offset: u64,
    end: u64,
    /// Up to here the file is in memory.
    warm: u64,
    fetching: Option<Fetching>,
    pace: Pace,
    meter: Meter,
    metrics: StreamMetrics,
}

struct Fetching {
    until: u64,
    /// The stream is not over while the disk reads for it.
    work: Pin<Box<Timeout<JoinHandle<io::Result<()>>>>>,
}

impl StoredJob {
    pub fn new(
        (reader, meter): (Reader, Meter),
        (start, end): (u64, u64),
        pace: Arc<AtomicU64>,
        metrics: StreamMetrics,
    ) -> Self {
        metrics.streams.inc();
        StoredJob {
            reader,
            offset: start,
            end,
            warm: start,
            fetching: None,
            pace: Pace::new(pace),
            meter,
            metrics,
        }
    }

    /// The next bytes of a file, as many as are in memory, due, and taken at once.
    fn poll_file(
        &mut self,
        open: &Arc<OpenFile>,
        file: &Arc<StoredFile>,
        to: &mut Outlet<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        ready!(self.poll_warm(open, file, cx))?;
        let most = (self.warm - self.offset).min(self.pace.slice());
        let count = usize::try_from(most).unwrap_or(usize::MAX);
        let sent = ready!(to.poll_sendfile(cx, file.file().as_fd(), &mut self.offset, count))?;
        Poll::Ready(if sent == 0 { Err(shorter()) } else { Ok(sent as u64) })
    }

    /// Ready when there is something in memory to send.
    fn poll_warm(
        &mut self,
        open: &Arc<OpenFile>,
        file: &Arc<StoredFile>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.warm > self.offset {
            return Poll::Ready(Ok(()));
        }
        if self.fetching.is_none() {
            if let Some(warm) = file.warm_until(self.offset, self.end) {
                self.warm = warm;
                return Poll::Ready(Ok(()));
            }
            self.fetching = Some(fetch(open, file, self.offset, self.end));
        }
        let Some(fetching) = &mut self.fetching else {
            return Poll::Ready(Ok(()));
        };
        let fetched = ready!(fetching.work.as_mut().poll(cx));
        self.warm = fetching.until;
        self.fetching = None;
        Poll::Ready(match fetched {
            Ok(done) => done.unwrap_or_else(|error| Err(io::Error::other(error))),
            Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late)),
        })
    }
}

fn fetch(open: &Arc<OpenFile>, file: &Arc<StoredFile>, offset: u64, end: u64) -> Fetching {
    let until = StoredFile::window_end(offset).min(end);
    let (open, file) = (open.clone(), file.clone());
    let work = tokio::task::spawn_blocking(move || {
        let fetched = file.fetch(offset, until);
        drop(open);
        fetched
    });
    Fetching {
        until,
        work: Box::pin(timeout(DISK, work)),
    }
}

impl Job for StoredJob {
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.offset < self.end {
            let Some(open) = self.reader.file(cx) else {
                return Poll::Ready(Err(taken_away()));
            };
            self.meter.go_on().map_err(io::Error::other)?;
            ready!(self.pace.poll_due(cx));
            let sent = match open.content() {
                Stored::File(file) => ready!(self.poll_file(&open, file, to, cx))?,
                Stored::Relayed(relayed) => {
                    let most = (self.end - self.offset).min(self.pace.slice());
                    let sent = ready!(relayed.poll_send(to, cx, most))?;
                    self.offset += sent;
                    self.metrics.relayed_bytes.inc_by(sent);
                    sent
                }
                Stored::Remote(_) => return Poll::Ready(Err(io::Error::other("a copied object can't be moved"))),
            };
            self.pace.sent(sent);
            self.meter.sent(sent);
            self.metrics.sent_bytes.inc_by(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for StoredJob {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}
