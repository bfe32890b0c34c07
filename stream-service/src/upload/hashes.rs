//! Hashes of files that came in part, kept between the requests that bring them: as long as this process goes on with an upload,
//! its file need not be read again at the end. And what is vouched for is then what was sent, not what the disk made of it.
//!
//! A hash is good for one offset only. If another process took bytes in meanwhile, or this one was started anew, the offset
//! differs or nothing is known, and the file is read at the end.

use common::ids::Id;
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Uploads whose hash is kept. 4,096 are under 1 MB; a grant allows 32 unfinished ones.
const MAX_KEPT: usize = 4096;

/// Clones share them.
#[derive(Clone, Default)]
pub struct Hashes(Arc<Mutex<BTreeMap<Id, (u64, Sha256)>>>);

impl Hashes {
    /// Keeps the hash of the first `at` bytes. When there are too many the upload that began first is forgotten: ids are in the
    /// order of time.
    pub fn keep(&self, object: &Id, at: u64, hash: Sha256) {
        let mut kept = self.lock();
        kept.insert(object.clone(), (at, hash));
        if kept.len() > MAX_KEPT {
            kept.pop_first();
        }
    }

    /// The hash of the first `at` bytes, if that is what is known. It is forgotten in any case: whoever asks goes on.
    pub fn take(&self, object: &Id, at: u64) -> Option<Sha256> {
        let (known, hash) = self.lock().remove(object)?;
        (known == at).then_some(hash)
    }

    pub fn forget(&self, object: &Id) {
        self.lock().remove(object);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, (u64, Sha256)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    #[test]
    fn a_hash_is_good_for_its_offset_and_once() {
        let (hashes, id) = (Hashes::default(), Id::now());
        hashes.keep(&id, 5, Sha256::new_with_prefix("hello"));
        let taken = hashes.take(&id, 5).unwrap();
        assert_eq!(taken.finalize(), Sha256::digest("hello"));
        assert!(hashes.take(&id, 5).is_none());
        hashes.keep(&id, 5, Sha256::new_with_prefix("hello"));
        assert!(hashes.take(&id, 6).is_none());
        assert!(hashes.take(&id, 5).is_none());
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let hashes = Hashes::default();
        let ids: Vec<Id> = (0..=MAX_KEPT)
            .map(|number| format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap())
            .collect();
        for id in &ids {
            hashes.keep(id, 0, Sha256::new());
        }
        assert_eq!(hashes.lock().len(), MAX_KEPT);
        assert!(hashes.take(&ids[0], 0).is_none());
        assert!(hashes.take(&ids[MAX_KEPT], 0).is_some());
    }
}
