//! An object on its way into the bucket: whole parts of a multipart upload while bytes come, a few of them under way at once, and
//! what is less than a part as an object of its own (the tail) when a request ends. No file is written here. Memory is the
//! part that is being filled and those under way: five parts.
//!
//! What may be acknowledged are the parts that the store has, without a gap, and the tail behind them. A request that goes on
//! has numbers of parts that no other has ([`Left`]), and its tails have names that no other has: what a request that was taken
//! over still sends changes nothing of what was acknowledged.

mod end;

use super::{
    S3Store,
    client::{MAX_PARTS, Part, S3Error},
};
use crate::store::{Kept, KeptPart, Left, ObjectKey, StoreError, Tail, kept::half_done};
use bytes::{Bytes, BytesMut};
use common::ids::Id;
use sha2::Sha256;
use std::{collections::VecDeque, io, mem};
use tokio::{sync::oneshot, task::JoinHandle};

/// Parts that are sent side by side: enough to keep a store busy that takes 30 ms for each.
const FLYING: usize = 4;

/// Numbers that a request has beyond those it has used: more than what is sent between two saves
/// ([`crate::tus::SAVE_EVERY`] is two or three parts) and those under way. An upload has 10,000 of them, and a request that is
/// killed leaves its rest unused.
pub const WINDOW: u32 = 8;

#[derive(Debug)]
pub struct Incoming {
    store: S3Store,
    key: ObjectKey,
    /// Nobody goes on with it: it goes when this does.
    temporary: bool,
    /// Its content is under its own name already, from a request that did not get to its commit.
    whole: bool,
    /// The multipart upload.
    upload: Option<String>,
    /// The highest number of a part used, and the highest that may be.
    used: u32,
    until: u32,
    /// What the store has, without a gap, and the hash of it.
    done: Vec<KeptPart>,
    done_hash: String,
    flying: VecDeque<Flying>,
    /// What comes behind those.
    buffer: BytesMut,
    /// Of parts that have arrived: large pieces that come and go on several threads would cost twice their size.
    spare: Vec<BytesMut>,
    written: u64,
    /// As of the last sync or checkpoint.
    synced: u64,
    kept: Kept,
    /// The tail that the ledger knows, and those that were made since.
    known: Option<Tail>,
    made: Vec<Tail>,
}

/// A part under way.
#[derive(Debug)]
struct Flying {
    number: u32,
    bytes: Bytes,
    /// Of all bytes up to its end.
    hash: String,
    sent: oneshot::Receiver<Result<Part, S3Error>>,
    task: JoinHandle<()>,
}

impl Incoming {
    /// A new object. Asks the store, so that one that is away is known before the bytes come.
    pub fn create(store: &S3Store, key: &ObjectKey) -> Result<Self, StoreError> {
        match store.stored_size(key)? {
            Some(_) => Err(StoreError::Exists),
            None => Ok(Self::over(store, key, true, Left::default(), MAX_PARTS)),
        }
    }

    /// Goes on with what is left. Reads the tail back.
    pub fn resume(store: &S3Store, key: &ObjectKey, left: &Left) -> Result<Self, StoreError> {
        let has = left.kept.bytes();
        if has != left.at {
            let text = format!("{key} has {has} bytes, {} were acknowledged", left.at);
            return Err(StoreError::Io(io::Error::other(text)));
        }
        let until = left.kept.used.saturating_add(left.numbers).min(MAX_PARTS);
        let mut incoming = Self::over(store, key, false, left.clone(), until);
        if let Some(tail) = &left.kept.tail {
            match store.read_range(&store.names().tail(key, &tail.name), 0..tail.bytes) {
                Ok(bytes) if tail.belongs(left.kept.in_parts(), &bytes) => incoming.buffer.extend_from_slice(&bytes),
                Ok(_) => {
                    let text = format!("the tail {} of {key} is not what was acknowledged", tail.name);
                    return Err(StoreError::Io(io::Error::other(text)));
                }
                // It goes when the object has its name.
                Err(StoreError::Missing) if store.stored_size(key)? == Some(left.at) => incoming.whole = true,
                Err(error) => return Err(error),
            }
        }
        Ok(incoming)
    }

    fn over(store: &S3Store, key: &ObjectKey, temporary: bool, left: Left, until: u32) -> Self {
        let Left { at, kept, .. } = left;
        Self {
            store: store.clone(),
            key: key.clone(),
            temporary,
            whole: false,
            upload: Some(kept.upload.clone()).filter(|upload| !upload.is_empty()),
            used: kept.used,
            until,
            done: kept.parts.clone(),
            done_hash: kept.sha256.clone(),
            flying: VecDeque::new(),
            buffer: BytesMut::new(),
            spare: Vec::new(),
            written: at,
            synced: at,
            known: kept.tail.clone(),
            made: Vec::new(),
            kept,
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.whole {
            return Err(StoreError::Exists);
        }
        if self.buffer.capacity() < self.store.part() {
            let mut large = self
                .spare
                .pop()
                .unwrap_or_else(|| BytesMut::with_capacity(self.store.part()));
            large.extend_from_slice(&self.buffer);
            self.buffer = large;
        }
        self.buffer.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Of the part that is being filled.
    pub fn room(&self) -> usize {
        self.store.part().saturating_sub(self.buffer.len())
    }

    /// Sends the part on its way. Waits while too many are.
    pub fn filled(&mut self, hash: Option<&Sha256>) -> Result<(), StoreError> {
        self.land(FLYING - 1)?;
        if self.used >= self.until {
            let text = format!("part {} of {} is not to be had", self.used + 1, self.key);
            return Err(StoreError::Io(io::Error::other(text)));
        }
        let upload = self.upload()?;
        self.used += 1;
        let bytes = mem::take(&mut self.buffer).freeze();
        let (told, sent) = oneshot::channel();
        let (client, name, number) = (self.store.client().clone(), self.name(), self.used);
        let part = bytes.clone();
        let task = self.store.client().spawn(async move {
            // Nobody may be waiting any more.
            drop(told.send(client.upload_part(&name, &upload, number, part).await));
        });
        self.flying.push_back(Flying {
            number,
            bytes,
            hash: hash.map(half_done).unwrap_or_default(),
            sent,
            task,
        });
        Ok(())
    }

    fn name(&self) -> String {
        self.store.names().object(&self.key)
    }

    /// The multipart upload, begun if there is none.
    fn upload(&mut self) -> Result<String, StoreError> {
        if let Some(upload) = &self.upload {
            return Ok(upload.clone());
        }
        let client = self.store.client();
        let upload = client.wait(client.create_multipart(&self.name()))?;
        self.upload = Some(upload.clone());
        Ok(upload)
    }

    /// Waits until no more than `most` parts are under way.
    fn land(&mut self, most: usize) -> Result<(), StoreError> {
        while self.flying.len() > most
            && let Some(mut first) = self.flying.pop_front()
        {
            let sent = self.store.client().wait(&mut first.sent);
            self.landed(first, sent.unwrap_or_else(|_| Err(lost())))?;
        }
        Ok(())
    }

    fn landed(&mut self, flying: Flying, sent: Result<Part, S3Error>) -> Result<(), StoreError> {
        let Part { etag, crc32c } = sent?;
        let length = flying.bytes.len() as u64;
        self.done.push(KeptPart(flying.number, length, etag, crc32c));
        self.done_hash = flying.hash;
        if let Ok(mut spare) = flying.bytes.try_into_mut() {
            spare.clear();
            self.spare.push(spare);
        }
        Ok(())
    }

    /// Everything that was written is in the store when this is Ok.
    pub fn sync(&mut self, hash: Option<&Sha256>) -> Result<(), StoreError> {
        if self.whole || (self.synced == self.written && self.kept.used == self.used) {
            return Ok(());
        }
        self.land(0)?;
        let parts = self.done.iter().map(|part| part.1).sum::<u64>();
        let tail = match &self.kept.tail {
            _ if self.buffer.is_empty() => None,
            // Nothing came since.
            Some(tail) if self.synced == self.written => Some(tail.clone()),
            _ => Some(self.put_tail(parts)?),
        };
        self.kept = Kept {
            upload: self.upload.clone().unwrap_or_default(),
            used: self.used,
            parts: self.done.clone(),
            tail,
            sha256: hash.map(half_done).unwrap_or_default(),
        };
        self.synced = self.written;
        self.checked()
    }

    /// What is in the buffer as an object, which begins at `at`.
    fn put_tail(&mut self, at: u64) -> Result<Tail, StoreError> {
        let tail = Tail {
            name: Id::now().to_string(),
            bytes: self.buffer.len() as u64,
            at: Some(at),
            crc32c: Some(crc32c::crc32c(&self.buffer)),
        };
        // Before it is sent: it may come there without our hearing of it.
        self.made.push(tail.clone());
        let client = self.store.client();
        let name = self.store.names().tail(&self.key, &tail.name);
        client.wait(client.put(&name, Bytes::copy_from_slice(&self.buffer)))?;
        Ok(tail)
    }

    /// Takes note of the parts that the store has by now.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        while let Some(first) = self.flying.front_mut() {
            let sent = match first.sent.try_recv() {
                Ok(sent) => sent,
                Err(oneshot::error::TryRecvError::Empty) => break,
                Err(oneshot::error::TryRecvError::Closed) => Err(lost()),
            };
            if let Some(first) = self.flying.pop_front() {
                self.landed(first, sent)?;
            }
        }
        self.until = self.used.saturating_add(WINDOW).min(MAX_PARTS);
        self.kept.used = self.until;
        self.kept.upload = self.upload.clone().unwrap_or_default();
        let parts = self.done.iter().map(|part| part.1).sum::<u64>();
        // The first part has in it what was the tail.
        if parts > self.synced {
            self.kept.parts.clone_from(&self.done);
            self.kept.tail = None;
            self.kept.sha256.clone_from(&self.done_hash);
            self.synced = parts;
        }
        self.checked()
    }

    /// What the ledger is to keep names as many bytes as it is to acknowledge.
    fn checked(&self) -> Result<(), StoreError> {
        let (named, synced) = (self.kept.bytes(), self.synced);
        if named == synced {
            return Ok(());
        }
        let text = format!("{named} bytes of {} are named, {synced} are there", self.key);
        Err(StoreError::Io(io::Error::other(text)))
    }

    pub fn synced(&self) -> u64 {
        self.synced
    }

    pub fn kept(&self) -> &Kept {
        &self.kept
    }
}

/// The task of a part did not come to its end.
fn lost() -> S3Error {
    S3Error::Away("the part was not sent to its end".to_owned())
}
