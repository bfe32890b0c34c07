//! Where the bytes of an upload go: counted, gathered, written and hashed (see [`super::writer`]), synced when they have to be
//! durable.

use super::{
    hashes::Hashes,
    source::stalled,
    work::{blocking, ended_early, pool_failed, store_error, too_large},
    writer::Writer,
};
use crate::{
    metrics::StreamMetrics,
    state::State,
    store::{Incoming, Left, ObjectKey, StoreError},
    tus::fields::Checking,
};
use common::{capture::Captured, error::ApiError, ids::Id};
use log::warn;
use sha2::{Digest, Sha256};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// Bytes gathered before they are written. Pieces of a body are a few KiB, and a write of so few costs twice as much a byte; this
/// many still lie in the processor's cache when they are hashed. One buffer is all that an upload costs, a second one while
/// its disk is slow.
const BUFFER: usize = 256 << 10;

/// Buffers of a captured body after which others of the worker get their turn: a client on the same machine keeps the socket full,
/// and each of them takes a third of a millisecond to hash.
const TURN: u32 = 2;

/// What comes back from the pool: the writer, and an empty buffer.
type Returned = (Box<Writer>, Vec<u8>);

enum Place {
    Here(Box<Writer>),
    /// With the buffer that it writes, which comes back empty.
    OnThePool(JoinHandle<Result<Returned, StoreError>>),
    /// Writing failed; what was written is gone.
    Gone,
}

pub struct Sink {
    writer: Place,
    buffer: Vec<u8>,
    spare: Vec<u8>,
    /// Shared with whoever reports it.
    received: Arc<AtomicU64>,
    saved: Saved,
    max_bytes: u64,
    flushes: u32,
    metrics: StreamMetrics,
}

/// What was durable at the last [`Sink::save`].
#[derive(Default)]
struct Saved {
    bytes: u64,
    /// If it is known.
    hash: Option<Sha256>,
    /// Received by then.
    received: u64,
}

/// How much a save waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// For all that has come.
    All,
    /// For nothing that has just begun, where the store can tell what it has already.
    SoFar,
}

/// What may be acknowledged, and what the ledger keeps with it.
pub struct Durable {
    pub bytes: u64,
    pub kept: String,
}

/// A file whose bytes are all written (and not yet synced).
pub struct Whole {
    pub incoming: Incoming,
    /// Lower-case hex; none when the file has yet to be read for it.
    pub sha256: Option<String>,
    pub bytes: u64,
    /// The request that holds it, when the upload can be continued.
    pub holder: Option<Id>,
}

/// Lower-case hex.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sink {
    pub async fn create(state: &State, key: &ObjectKey, max_bytes: u64) -> Result<Self, ApiError> {
        let (store, key) = (state.store.clone(), key.clone());
        let incoming = blocking(move || store.create(&key)).await?.map_err(store_error)?;
        let writer = Writer::new(state, incoming, 0, Some(Sha256::new()), None);
        Ok(Self::new(state, writer, max_bytes))
    }

    /// Goes on with an upload.
    pub async fn resume(
        state: &State,
        key: &ObjectKey,
        left: Left,
        max_bytes: u64,
        checking: Option<Checking>,
    ) -> Result<Self, ApiError> {
        let (store, file) = (state.store.clone(), key.clone());
        let (at, known) = (left.at, left.kept.hash());
        let incoming = blocking(move || store.resume(&file, &left))
            .await?
            .map_err(store_error)?;
        let known = state.uploads.hashes.take(&key.object, at).or(known);
        let hash = if at == 0 { Some(Sha256::new()) } else { known };
        let writer = Writer::new(state, incoming, at, hash, checking);
        Ok(Self::new(state, writer, max_bytes))
    }

    fn new(state: &State, writer: Writer, max_bytes: u64) -> Self {
        Self {
            received: Arc::new(AtomicU64::new(writer.at())),
            saved: Saved {
                bytes: writer.at(),
                hash: writer.hash(),
                received: writer.at(),
            },
            writer: Place::Here(Box::new(writer)),
            buffer: Vec::with_capacity(BUFFER),
            spare: Vec::new(),
            max_bytes,
            flushes: 0,
            metrics: state.metrics.clone(),
        }
    }

    /// How many bytes have come so far.
    pub fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    /// Counts what came; an error for the byte that crosses the limit.
    fn count(&self, length: usize) -> Result<(), ApiError> {
        let length = length as u64;
        let received = self.received.fetch_add(length, Ordering::Relaxed) + length;
        self.metrics.received_bytes.inc_by(length);
        if received > self.max_bytes {
            return Err(too_large(self.max_bytes));
        }
        Ok(())
    }

    /// Takes what comes next of a captured body, from the socket straight into the buffer; `false` when all of it is here.
    pub async fn pull(&mut self, body: &mut Captured, stall: Duration) -> Result<bool, ApiError> {
        let before = self.buffer.len();
        let room = BUFFER - before;
        let read = tokio::time::timeout(stall, body.read(&mut self.buffer, room)).await;
        match read.map_err(|_| stalled())? {
            Ok(0) => return Ok(false),
            Ok(_) => self.keep_from(before)?,
            Err(error) => return Err(ended_early(error)),
        }
        if self.buffer.len() == BUFFER {
            self.flush().await?;
            self.flushes += 1;
            if self.flushes.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
        Ok(true)
    }

    /// Counts what was read into the buffer behind its first `before` bytes. What is refused is taken out again: the next save
    /// would acknowledge it.
    fn keep_from(&mut self, before: usize) -> Result<(), ApiError> {
        let counted = self.count(self.buffer.len() - before);
        if counted.is_err() {
            self.buffer.truncate(before);
        }
        counted
    }

    /// Takes a piece of the body. Refuses the byte that crosses the limit.
    pub async fn push(&mut self, mut piece: &[u8]) -> Result<(), ApiError> {
        self.count(piece.len())?;
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            piece = later;
            if self.buffer.len() == BUFFER {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Received since the last save.
    pub fn unsaved(&self) -> u64 {
        self.received
            .load(Ordering::Relaxed)
            .saturating_sub(self.saved.received)
    }

    /// Writes what has come and makes it durable. Cancel safe: a save that nobody waits for any more goes on, and the next one
    /// waits for it.
    pub async fn save(&mut self, save: Save) -> Result<Durable, ApiError> {
        self.flush().await?;
        let mut writer = self.take_writer().await?;
        let noted = save == Save::SoFar && writer.checkpoint().map_err(store_error)?;
        if !noted {
            let spare = std::mem::take(&mut self.spare);
            self.writer = Place::OnThePool(tokio::task::spawn_blocking(move || {
                writer.sync()?;
                Ok((writer, spare))
            }));
            writer = self.take_writer().await?;
        }
        let durable = Durable {
            bytes: writer.synced(),
            kept: writer.kept(),
        };
        self.saved = Saved {
            bytes: durable.bytes,
            hash: writer.hash().filter(|_| durable.bytes == writer.at()),
            received: self.received.load(Ordering::Relaxed),
        };
        self.writer = Place::Here(writer);
        Ok(durable)
    }

    /// Whether the ledger has what was saved last, or never will have it.
    pub async fn acknowledged(&mut self, done: bool) -> Result<(), ApiError> {
        let mut writer = self.take_writer().await?;
        writer.acknowledged(done);
        self.writer = Place::Here(writer);
        Ok(())
    }

    /// For the request that goes on at `offset`: the hash so far, if that is where the last save was.
    pub fn keep_hash(&mut self, hashes: &Hashes, object: &Id, offset: u64) {
        if self.saved.bytes == offset
            && let Some(hash) = self.saved.hash.take()
        {
            hashes.keep(object, offset, hash);
        }
    }

    /// Whether what came has the checksum that was announced; asked once, when all of it is here.
    pub async fn checksum_holds(&mut self) -> Result<bool, ApiError> {
        self.flush().await?;
        let mut writer = self.take_writer().await?;
        let holds = writer.checksum_holds();
        self.writer = Place::Here(writer);
        Ok(holds)
    }

    /// Writes the rest.
    pub async fn complete(mut self) -> Result<Whole, ApiError> {
        self.flush().await?;
        let (incoming, hash, bytes) = self.take_writer().await?.into_parts();
        Ok(Whole {
            incoming,
            sha256: hash.map(|hash| hex(&hash.finalize())),
            bytes,
            holder: None,
        })
    }

    /// Removes what was written, and is over when it is gone.
    pub async fn discard(mut self) {
        if let Ok(writer) = self.take_writer().await
            && let Err(error) = blocking(move || writer.discard()).await
        {
            warn!("Discarding an upload: {error}");
        }
    }

    /// Writes what was gathered: here, or on the blocking pool once the disk has been slow. Also when it is time to start
    /// write-back, which may wait for the disk, the writer makes a trip to the pool, while the buffer fills again.
    async fn flush(&mut self) -> Result<(), ApiError> {
        let mut writer = self.take_writer().await?;
        if !writer.may_block() {
            if let Err(error) = writer.write(&self.buffer) {
                // Removing what was written waits for the disk.
                blocking(move || writer.discard()).await?;
                return Err(store_error(error));
            }
            self.buffer.clear();
            if !writer.may_block() {
                self.writer = Place::Here(writer);
                return Ok(());
            }
        }
        let spare = std::mem::take(&mut self.spare);
        let mut buffer = if self.buffer.is_empty() {
            spare
        } else {
            std::mem::replace(&mut self.buffer, spare)
        };
        self.buffer.reserve_exact(BUFFER);
        self.metrics.pool_writes.inc();
        self.writer = Place::OnThePool(tokio::task::spawn_blocking(move || {
            if let Err(error) = writer.write(&buffer).and_then(|()| writer.begin_write_back()) {
                writer.discard();
                return Err(error);
            }
            buffer.clear();
            Ok((writer, buffer))
        }));
        Ok(())
    }

    /// Waits for the pool if it has the writer. Cancel safe: until it is here, it stays where it is.
    async fn take_writer(&mut self) -> Result<Box<Writer>, ApiError> {
        if let Place::OnThePool(work) = &mut self.writer {
            let done = work.await;
            self.writer = Place::Gone;
            let (writer, spare) = done
                .map_err(|error| ApiError::internal(pool_failed(&error)))?
                .map_err(store_error)?;
            (self.writer, self.spare) = (Place::Here(writer), spare);
        }
        match std::mem::replace(&mut self.writer, Place::Gone) {
            Place::Here(writer) => Ok(writer),
            Place::OnThePool(_) | Place::Gone => Err(ApiError::internal("the file of an upload was lost before")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::error::Code;

    #[test]
    fn what_is_beyond_the_limit_is_not_kept() {
        let mut sink = Sink {
            writer: Place::Gone,
            buffer: vec![1; 10],
            spare: Vec::new(),
            received: Arc::default(),
            saved: Saved::default(),
            max_bytes: 10,
            flushes: 0,
            metrics: StreamMetrics::default(),
        };
        sink.keep_from(0).unwrap();
        sink.buffer.extend_from_slice(b"more");
        assert_eq!(sink.keep_from(10).unwrap_err().code(), Code::BodyTooLarge);
        assert_eq!(sink.buffer, [1; 10]);
    }
}
