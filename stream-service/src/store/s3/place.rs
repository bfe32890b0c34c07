//! The objects of videos in a bucket.

use super::{
    Incoming, Object,
    client::{Client, S3Error, Settings, SettingsError},
    names::Names,
};
use crate::store::{Left, ObjectKey, StoreError, Unusable};
use bytes::{Bytes, BytesMut};
use common::config::StoreConfig;
use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes of a part, unless an object may be so large that it would have too many of them.
const PART: u64 = 8 << 20;

/// Parts of the largest object: an upload has 10,000 numbers, and some of them stay unused where processes are killed.
const MOST_PARTS: u64 = 9_000;

/// As long as the store may take to put parts together: it may end an upload before, and goes on when whoever asked is killed.
const APPEARS_MS: u64 = 300_000;

/// A bucket, or what is below a prefix of it. Cheap to clone. Every call waits for the network: callers are on the blocking pool.
#[derive(Clone, Debug)]
pub struct S3Store(Arc<Bucket>);

#[derive(Debug)]
struct Bucket {
    client: Client,
    names: Names,
    /// Bytes of a part from now on; what is there already may have others.
    part: AtomicU64,
    /// Milliseconds that an object is waited for whose upload is over.
    appears: AtomicU64,
}

impl S3Store {
    /// `prefix`: what all keys begin with; `largest`: bytes that an object may have.
    pub fn new(client: Client, prefix: &str, largest: u64) -> Self {
        let wanted = largest.div_ceil(MOST_PARTS).next_multiple_of(1 << 20);
        Self(Arc::new(Bucket {
            client,
            names: Names::new(prefix),
            part: AtomicU64::new(wanted.max(PART)),
            appears: AtomicU64::new(APPEARS_MS),
        }))
    }

    /// The bucket of the configuration. Nothing is asked of it yet.
    pub fn connect(config: &StoreConfig, largest: u64) -> Result<Self, Unusable> {
        let unusable = |SettingsError { key, problem }| Unusable { key, problem };
        let (settings, prefix) = Settings::of(config).map_err(unusable)?;
        let client = Client::new(settings).map_err(unusable)?;
        Ok(Self::new(client, &prefix, largest))
    }

    pub fn client(&self) -> &Client {
        &self.0.client
    }

    pub fn names(&self) -> &Names {
        &self.0.names
    }

    /// Bytes of a part.
    pub fn part(&self) -> usize {
        usize::try_from(self.0.part.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// For tests of many small objects. Stores refuse parts of less than 5 MiB.
    pub fn set_part(&self, bytes: u64) {
        self.0.part.store(bytes, Ordering::Relaxed);
    }

    /// How long an object is waited for whose upload is over.
    pub fn appears(&self) -> Duration {
        Duration::from_millis(self.0.appears.load(Ordering::Relaxed))
    }

    /// For tests of objects that never do.
    pub fn set_appears(&self, ms: u64) {
        self.0.appears.store(ms, Ordering::Relaxed);
    }

    /// See [`crate::store::Store::numbers`].
    pub fn numbers(&self, unsaved: u64) -> u32 {
        let parts = unsaved.div_ceil(self.part() as u64);
        u32::try_from(parts).unwrap_or(u32::MAX).saturating_add(super::WINDOW)
    }

    pub fn create(&self, key: &ObjectKey) -> Result<Incoming, StoreError> {
        Incoming::create(self, key)
    }

    pub fn resume(&self, key: &ObjectKey, left: &Left) -> Result<Incoming, StoreError> {
        Incoming::resume(self, key, left)
    }

    /// A whole object.
    pub fn open(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        let size = self.stored_size(key)?.ok_or(StoreError::Missing)?;
        Ok(Object::new(self, self.names().object(key), size))
    }

    pub fn stored_size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        Ok(self.client().wait(self.client().head(&self.names().object(key)))?)
    }

    /// A piece that fits into memory. Fewer bytes are an error.
    pub fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let wanted = range.end - range.start;
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        self.client().wait(async {
            let mut reading = self.client().get(name, range).await?;
            let mut bytes = BytesMut::with_capacity(usize::try_from(wanted).unwrap_or(0));
            while let Some(piece) = reading.next().await {
                let piece = piece.map_err(|error| StoreError::Away(error.to_string()))?;
                bytes.extend_from_slice(&piece);
            }
            if bytes.len() as u64 == wanted {
                return Ok(bytes.freeze());
            }
            let text = format!("{} bytes of {name} are there, not {wanted}", bytes.len());
            Err(StoreError::Io(io::Error::other(text)))
        })
    }
}

impl From<S3Error> for StoreError {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::Missing | S3Error::NoSuchUpload => Self::Missing,
            S3Error::Full(text) => Self::Full(io::Error::new(io::ErrorKind::StorageFull, text)),
            // At the start they are the operator's to correct, and end it. Later they come from a change over there: what is
            // acknowledged stays, and goes on when that is mended.
            error @ (S3Error::Denied { .. } | S3Error::NoBucket | S3Error::Away(_) | S3Error::BadDigest(_)) => {
                Self::Away(error.to_string())
            }
            error @ (S3Error::InvalidPart(_) | S3Error::Changed | S3Error::Other { .. }) => {
                Self::Io(io::Error::other(error))
            }
        }
    }
}
