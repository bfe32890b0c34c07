//! The object of an upload, its hash, and when it must leave the worker.
//!
//! Bytes are written and hashed where they are, on the worker: a write into the page cache takes tens of microseconds, a trip
//! to the blocking pool takes more CPU than that and gives the bytes time to fall out of the processor's cache before they are
//! hashed (figures: docs/adr/0010). What is not bounded is a disk that can't follow: the kernel then holds up whoever writes.
//! So each call is timed, and after one slow call the rest of this upload is written on the blocking pool, and so is whatever
//! begins in the seconds after it ([`Disk`]): an upload in many requests is not to hold up its worker with each of them.
//!
//! Write-back is started all along, so that the sync at the end finds little left to do.

use crate::{
    state::State,
    store::{Incoming, StoreError},
    tus::fields::Checking,
};
use sha2::{Digest, Sha256};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A write that takes this many milliseconds was held up by the disk: alone it takes a thousandth of it.
pub const PATIENCE: u64 = 50;

/// How long the disk counts as slow after a slow call.
const SLOW_FOR: u64 = 10_000;

/// Bytes written between two looks at the room that is left. Many uploads at once take about this much each beyond it.
const ROOM_EVERY: u64 = 2 << 20;

/// Bytes written before the disk is told to begin with them: large enough for the disk to like it, and what the last sync
/// waits for is at most about this.
const WRITE_BACK_EVERY: u64 = 8 << 20;

/// What the process knows of its disk, from all uploads.
pub struct Disk {
    /// Milliseconds; see [`PATIENCE`].
    pub patience: AtomicU64,
    began: Instant,
    /// Milliseconds since `began`.
    slow_until: AtomicU64,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            patience: AtomicU64::new(PATIENCE),
            began: Instant::now(),
            slow_until: AtomicU64::new(0),
        }
    }
}

impl Disk {
    /// Notes how long a call took; whether that was slow.
    fn took(&self, time: Duration) -> bool {
        let slow = time >= Duration::from_millis(self.patience.load(Ordering::Relaxed));
        if slow {
            self.slow_until.fetch_max(self.now() + SLOW_FOR, Ordering::Relaxed);
        }
        slow
    }

    fn is_slow(&self) -> bool {
        self.now() < self.slow_until.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

pub struct Writer {
    incoming: Incoming,
    /// Of the whole file; none when its beginning came to another process.
    hash: Option<Sha256>,
    /// Of what this request brings.
    checking: Option<Checking>,
    /// Bytes of the file so far.
    at: u64,
    /// Up to here the disk was told to write.
    begun: u64,
    min_free: u64,
    /// Written since the last look at the room that is left.
    unchecked: u64,
    disk: Arc<Disk>,
    slow: bool,
}

impl Writer {
    /// Goes on at `at` bytes; `hash` is that of all before.
    pub fn new(state: &State, incoming: Incoming, at: u64, hash: Option<Sha256>, checking: Option<Checking>) -> Self {
        Self {
            min_free: state.min_free,
            ..Self::over(incoming, &state.disk, at, hash, checking)
        }
    }

    fn over(incoming: Incoming, disk: &Arc<Disk>, at: u64, hash: Option<Sha256>, checking: Option<Checking>) -> Self {
        Self {
            incoming,
            hash,
            checking,
            at,
            begun: at,
            min_free: 0,
            unchecked: 0,
            disk: Arc::clone(disk),
            slow: disk.is_slow(),
        }
    }

    /// Writes and hashes. Notes how long the disk took.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.incoming.room()));
            self.write_piece(now)?;
            if self.incoming.room() == 0 {
                self.incoming.filled(self.hash.as_ref())?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn write_piece(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let began = Instant::now();
        self.unchecked += bytes.len() as u64;
        if self.unchecked >= ROOM_EVERY {
            self.unchecked = 0;
            leaves_room(self.incoming.free()?, self.min_free)?;
        }
        self.incoming.write(bytes)?;
        self.slow |= self.disk.took(began.elapsed());
        self.at += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        if let Some(checking) = &mut self.checking {
            checking.update(bytes);
        }
        Ok(())
    }

    /// Whether the next thing to do with it belongs on the blocking pool.
    pub fn may_block(&self) -> bool {
        self.slow || self.owes_write_back() || self.incoming.may_block()
    }

    fn owes_write_back(&self) -> bool {
        self.at - self.begun >= WRITE_BACK_EVERY
    }

    /// On the blocking pool: has the disk begin with what is new, if that is enough.
    pub fn begin_write_back(&mut self) -> Result<(), StoreError> {
        if self.owes_write_back() {
            self.incoming.begin_write_back(self.begun, self.at - self.begun)?;
            self.begun = self.at;
        }
        Ok(())
    }

    /// On the blocking pool: all bytes so far are on the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.incoming.sync(self.hash.as_ref())?;
        self.begun = self.at;
        Ok(())
    }

    /// See [`Incoming::checkpoint`].
    pub fn checkpoint(&mut self) -> Result<bool, StoreError> {
        self.incoming.checkpoint()
    }

    /// Bytes of the file that are durable.
    pub fn synced(&self) -> u64 {
        self.incoming.synced()
    }

    /// What the ledger keeps with them.
    pub fn kept(&self) -> String {
        self.incoming.kept()
    }

    /// See [`Incoming::acknowledged`].
    pub fn acknowledged(&mut self, done: bool) {
        self.incoming.acknowledged(done);
    }

    /// See [`Incoming::discard`].
    pub fn discard(self) {
        self.incoming.discard();
    }

    /// Bytes of the file so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The hash of them, to go on with in another request.
    pub fn hash(&self) -> Option<Sha256> {
        self.hash.clone()
    }

    /// Whether what came has the checksum that was announced; asked once.
    pub fn checksum_holds(&mut self) -> bool {
        self.checking.take().is_none_or(Checking::holds)
    }

    /// The file, the hash of it, its bytes.
    pub fn into_parts(self) -> (Incoming, Option<Sha256>, u64) {
        (self.incoming, self.hash, self.at)
    }
}

pub fn leaves_room(free: u64, wanted: u64) -> Result<(), StoreError> {
    if free >= wanted {
        return Ok(());
    }
    let why = format!("{free} bytes are left, {wanted} are wanted");
    Err(StoreError::Full(io::Error::new(io::ErrorKind::StorageFull, why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DiskStore, ObjectKey};
    use common::ids::{Id, VideoId};
    use std::io::Read;

    fn writer(min_free: u64) -> (tempfile::TempDir, Writer) {
        let disk = Disk {
            patience: AtomicU64::new(u64::MAX),
            ..Disk::default()
        };
        writer_on(&Arc::new(disk), min_free)
    }

    fn writer_on(disk: &Arc<Disk>, min_free: u64) -> (tempfile::TempDir, Writer) {
        let dir = tempfile::tempdir().unwrap();
        let key = ObjectKey {
            video: VideoId::random(),
            object: Id::now(),
        };
        let incoming = DiskStore::open_root(dir.path()).unwrap().create(&key).unwrap();
        let incoming = Incoming::Disk(incoming);
        let writer = Writer {
            min_free,
            ..Writer::over(incoming, disk, 0, Some(Sha256::new()), None)
        };
        (dir, writer)
    }

    #[test]
    fn what_begins_soon_after_a_slow_call_begins_on_the_pool() {
        let (_dir, mut first) = writer(0);
        let disk = first.disk.clone();
        assert!(!writer_on(&disk, 0).1.may_block());
        disk.patience.store(0, Ordering::Relaxed);
        first.write(b"held up").unwrap();
        disk.patience.store(u64::MAX, Ordering::Relaxed);
        assert!(writer_on(&disk, 0).1.may_block());
        disk.slow_until.store(disk.now(), Ordering::Relaxed);
        assert!(
            !writer_on(&disk, 0).1.may_block(),
            "the disk has been quick for long enough"
        );
    }

    #[test]
    fn only_what_was_synced_may_be_acknowledged() {
        let (_dir, mut writer) = writer(0);
        writer.write(b"some").unwrap();
        assert_eq!((writer.at(), writer.synced()), (4, 0));
        writer.sync().unwrap();
        writer.write(b"more").unwrap();
        assert_eq!((writer.at(), writer.synced()), (8, 4));
    }

    #[test]
    fn one_slow_call_is_enough_to_leave_the_worker() {
        let (_dir, mut writer) = writer(0);
        writer.write(b"quick").unwrap();
        assert!(!writer.may_block());
        writer.disk.patience.store(0, Ordering::Relaxed);
        writer.write(b"held up").unwrap();
        writer.disk.patience.store(u64::MAX, Ordering::Relaxed);
        writer.write(b"quick again").unwrap();
        assert!(writer.may_block());
    }

    #[test]
    fn write_back_is_owed_once_for_each_stretch_and_takes_nothing_away() {
        let (_dir, mut writer) = writer(0);
        let stretch = vec![7; WRITE_BACK_EVERY as usize];
        let mut sent = Vec::new();
        for piece in [&stretch[1..], b"8", &stretch[..], b"end"] {
            writer.write(piece).unwrap();
            sent.extend_from_slice(piece);
            assert_eq!(writer.may_block(), writer.at() - writer.begun >= WRITE_BACK_EVERY);
            writer.begin_write_back().unwrap();
            assert!(!writer.may_block());
        }
        let (incoming, hash, at) = writer.into_parts();
        assert_eq!(at, sent.len() as u64);
        assert_eq!(hash.unwrap().finalize(), Sha256::digest(&sent));
        let mut stored = Vec::new();
        let Incoming::Disk(incoming) = incoming else {
            panic!("it lies on a disk");
        };
        let mut file = incoming.file();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut stored).unwrap();
        assert!(stored == sent, "the file is what was sent");
    }

    #[test]
    fn the_room_that_is_left_is_looked_at_while_bytes_come() {
        let (_dir, mut writer) = writer(u64::MAX);
        writer.write(&vec![0; ROOM_EVERY as usize - 1]).unwrap();
        assert!(matches!(writer.write(b"1"), Err(StoreError::Full(_))));
    }
}
