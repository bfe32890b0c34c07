//! Sending a range of a stored file by sendfile: the job that an answer leaves in the slot of its connection.
//!
//! In each turn it looks whether the stream was cut, or its client's budget of the day used up, keeps the pace, has cold windows
//! fetched by the blocking pool, and hands the rest to the kernel. A viewer that takes nothing holds its permit and one deadline, and no buffer of ours.

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

/// Bytes `start..end` of the file of `reader`.
pub struct FileJob {
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

impl FileJob {
    pub fn new(
        (reader, meter): (Reader, Meter),
        (start, end): (u64, u64),
        pace: Arc<AtomicU64>,
        metrics: StreamMetrics,
    ) -> Self {
        metrics.streams.inc();
        FileJob {
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

impl Job for FileJob {
    fn poll_send(&mut self, to: &mut Outlet<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.offset < self.end {
            let Some(open) = self.reader.file(cx) else {
                return Poll::Ready(Err(taken_away()));
            };
            self.meter.go_on().map_err(io::Error::other)?;
            ready!(self.pace.poll_due(cx));
            let Stored::File(file) = open.content() else {
                return Poll::Ready(Err(io::Error::other("only a file can be sent past the framework")));
            };
            ready!(self.poll_warm(&open, file, cx))?;
            let most = (self.warm - self.offset).min(self.pace.slice());
            let count = usize::try_from(most).unwrap_or(usize::MAX);
            let sent = ready!(to.poll_sendfile(cx, file.file().as_fd(), &mut self.offset, count))? as u64;
            if sent == 0 {
                return Poll::Ready(Err(shorter()));
            }
            self.pace.sent(sent);
            self.meter.sent(sent);
            self.metrics.sent_bytes.inc_by(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for FileJob {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}
