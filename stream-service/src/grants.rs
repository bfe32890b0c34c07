//! Grants that were verified a moment ago: a viewer's hundred range requests carry the same one, and its signature and form
//! are checked once. Whether it has expired is asked each time; what it plays is the ledger's to say.

use common::{
    grant::{Grant, GrantError, GrantKeys},
    time::Timestamp,
};
use foldhash::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Remembered at once; some 500 bytes each. Only good ones get here, so that nobody can crowd others out by inventing some.
const MAX: usize = 4096;

/// Clones remember together.
#[derive(Clone)]
pub struct Grants {
    keys: GrantKeys,
    good: Arc<Mutex<HashMap<String, Grant>>>,
}

impl Grants {
    pub fn new(keys: GrantKeys) -> Self {
        Grants {
            keys,
            good: Arc::default(),
        }
    }

    /// As [`GrantKeys::verify`].
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<Grant, GrantError> {
        let known = self.lock(|good| good.get(text).cloned());
        if let Some(grant) = known {
            if now.millis() < grant.expires_ms {
                return Ok(grant);
            }
            self.lock(|good| good.remove(text));
            return Err(GrantError::Expired);
        }
        let grant = self.keys.verify(text, now)?;
        self.lock(|good| {
            if good.len() >= MAX {
                good.clear();
            }
            good.insert(text.to_owned(), grant.clone());
        });
        Ok(grant)
    }

    fn lock<T>(&self, look: impl FnOnce(&mut HashMap<String, Grant>) -> T) -> T {
        look(&mut self.good.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{
        grant::{GrantKey, Permission},
        ids::VideoId,
    };
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn grants() -> (GrantKeys, Grants) {
        let keys = GrantKeys::parse(&[GrantKey::generate("a")]).unwrap();
        (keys.clone(), Grants::new(keys))
    }

    fn sign(keys: &GrantKeys) -> (Grant, String) {
        let grant = Grant::new(Permission::Play, VideoId::random(), None, NOW, Duration::from_secs(1));
        let text = keys.sign(&grant);
        (grant, text)
    }

    #[test]
    fn a_remembered_grant_expires_like_any_other() {
        let (keys, grants) = grants();
        let (grant, text) = sign(&keys);
        for _ in 0..2 {
            assert_eq!(grants.verify(&text, NOW), Ok(grant.clone()));
        }
        let late = NOW + Duration::from_secs(1);
        for _ in 0..2 {
            assert_eq!(grants.verify(&text, late), Err(GrantError::Expired));
        }
    }

    #[test]
    fn what_is_remembered_is_the_whole_text() {
        let (keys, grants) = grants();
        let (_, text) = sign(&keys);
        grants.verify(&text, NOW).unwrap();
        let (cut, more) = (&text[..text.len() - 1], format!("{text}A"));
        for other in [cut, &more, &text.to_uppercase()] {
            assert_eq!(grants.verify(other, NOW), Err(GrantError::Invalid), "{other}");
        }
        let (others, _) = self::grants();
        assert!(grants.verify(&sign(&others).1, NOW).is_err(), "signed by others");
        assert_eq!(grants.lock(|good| good.len()), 1);
    }

    #[test]
    fn it_is_bounded() {
        let (keys, grants) = grants();
        for _ in 0..MAX + 9 {
            grants.verify(&sign(&keys).1, NOW).unwrap();
        }
        assert_eq!(grants.lock(|good| good.len()), 9);
    }
}
