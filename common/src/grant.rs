//! Signed, expiring tickets: what api-service allows, stream-service checks without asking anybody.
//!
//! Form: `<key id>.<base64url payload>.<base64url HMAC-SHA-256>`; the tag covers the key id and the payload. Several keys
//! may be known at once so that keys can be rotated: the first signs, all verify. Comparison takes constant time.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::ids::{Id, VideoId};
use crate::time::Timestamp;

/// Longer texts are refused before any decoding: a grant of ours is under 400 characters.
const MAX_GRANT_LEN: usize = 1024;

/// Shortest accepted key, in bytes: the output size of the hash (RFC 2104 section 3).
pub const MIN_KEY_LEN: usize = 32;

/// What a grant allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "lowercase")]
pub enum Permission {
    /// Send the bytes of one video.
    Upload {
        #[serde(rename = "m")]
        max_bytes: u64,
        /// The session that asked; when it ends, its running uploads end.
        #[serde(rename = "s")]
        session: Id,
    },
    /// Read the media of one video.
    Play,
}

/// A verified or to-be-signed ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    #[serde(flatten)]
    pub permission: Permission,
    #[serde(rename = "v")]
    pub video: VideoId,
    /// Who asked; absent for a viewer who is not signed in.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Id>,
    /// Expiry in Unix milliseconds.
    #[serde(rename = "e")]
    pub expires_ms: i64,
    /// Counts what was taken back: stream-service refuses playback grants below the least version it was told of a video
    /// ([`crate::messages::Visibility::min_grant`]).
    #[serde(rename = "g", default)]
    pub version: i64,
}

/// Why a ticket is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    #[error("the grant is not well formed or not signed by this platform")]
    Invalid,
    #[error("the grant has expired")]
    Expired,
}

/// A signing key and the name it goes by in grants.
#[derive(Clone)]
pub struct GrantKey {
    id: String,
    mac: Hmac<Sha256>,
}

/// The keys of this platform: the first signs, all verify.
#[derive(Clone)]
pub struct GrantKeys(Vec<GrantKey>);

impl GrantKey {
    /// `text` is `<id>:<base64url key of at least 32 bytes>`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (id, key) = text.split_once(':').ok_or("a grant key is `<id>:<base64url key>`")?;
        if id.is_empty() || id.len() > 16 || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err("the id of a grant key is 1 to 16 letters or digits".into());
        }
        let key = URL_SAFE_NO_PAD
            .decode(key)
            .map_err(|_| "the grant key is not base64url without padding")?;
        if key.len() < MIN_KEY_LEN {
            return Err(format!(
                "a grant key has at least {MIN_KEY_LEN} bytes, this one has {}",
                key.len()
            ));
        }
        let mac = Hmac::new_from_slice(&key).map_err(|error| error.to_string())?;
        Ok(GrantKey { id: id.to_owned(), mac })
    }

    /// A fresh key in the form that [`GrantKey::parse`] reads.
    #[must_use]
    pub fn generate(id: &str) -> String {
        format!("{id}:{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; MIN_KEY_LEN]>()))
    }

    fn tag(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(signed.as_bytes());
        mac
    }
}

impl GrantKeys {
    /// Errors when there is no key, or one can't be read.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let keys = texts
            .iter()
            .map(|text| GrantKey::parse(text))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err("at least one grant key is needed".into());
        }
        Ok(GrantKeys(keys))
    }

    #[must_use]
    pub fn sign(&self, grant: &Grant) -> String {
        let key = self.0.first().expect("`parse` refuses an empty list");
        let payload = serde_json::to_vec(grant).expect("a grant is plain data");
        let signed = format!("{}.{}", key.id, URL_SAFE_NO_PAD.encode(payload));
        let tag = key.tag(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    pub fn verify(&self, text: &str, now: Timestamp) -> Result<Grant, GrantError> {
        if text.len() > MAX_GRANT_LEN {
            return Err(GrantError::Invalid);
        }
        let (signed, tag) = text.rsplit_once('.').ok_or(GrantError::Invalid)?;
        let (key_id, payload) = signed.split_once('.').ok_or(GrantError::Invalid)?;
        let key = self.0.iter().find(|key| key.id == key_id).ok_or(GrantError::Invalid)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| GrantError::Invalid)?;
        key.tag(signed).verify_slice(&tag).map_err(|_| GrantError::Invalid)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| GrantError::Invalid)?;
        let grant: Grant = serde_json::from_slice(&payload).map_err(|_| GrantError::Invalid)?;
        if now.millis() >= grant.expires_ms {
            Err(GrantError::Expired)
        } else {
            Ok(grant)
        }
    }
}

impl Grant {
    /// A ticket that ends `ttl` after `now`.
    #[must_use]
    pub fn new(permission: Permission, video: VideoId, user: Option<Id>, now: Timestamp, ttl: Duration) -> Self {
        Grant {
            permission,
            video,
            user,
            expires_ms: (now + ttl).millis(),
            version: 0,
        }
    }

    #[must_use]
    pub fn with_version(self, version: i64) -> Self {
        Grant { version, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn keys(ids: &[&str]) -> (Vec<String>, GrantKeys) {
        let texts: Vec<_> = ids.iter().map(|id| GrantKey::generate(id)).collect();
        let keys = GrantKeys::parse(&texts).unwrap();
        (texts, keys)
    }

    fn grant() -> Grant {
        let permission = Permission::Upload {
            max_bytes: 5,
            session: Id::now(),
        };
        Grant::new(
            permission,
            VideoId::random(),
            Some(Id::now()),
            NOW,
            Duration::from_secs(1),
        )
    }

    #[test]
    fn a_signed_grant_comes_back_until_it_expires() {
        let (_, keys) = keys(&["a"]);
        let grant = grant();
        let text = keys.sign(&grant);
        assert_eq!(keys.verify(&text, NOW), Ok(grant));
        assert_eq!(keys.verify(&text, Timestamp(NOW.0 + 1000)), Err(GrantError::Expired));
    }

    #[test]
    fn a_grant_of_the_version_before_has_version_0() {
        let grant = grant().with_version(7);
        let mut json = serde_json::to_value(&grant).unwrap();
        assert_eq!(json["g"], 7);
        assert_eq!(serde_json::from_value::<Grant>(json.clone()).unwrap(), grant);
        json.as_object_mut().unwrap().remove("g");
        assert_eq!(serde_json::from_value::<Grant>(json).unwrap().version, 0);
    }

    #[test]
    fn every_changed_character_is_found() {
        let (_, keys) = keys(&["a"]);
        let text = keys.sign(&grant());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of unpadded base64 has unused bits: only a change of meaning must be refused.
            if changed != text {
                assert_eq!(keys.verify(&changed, NOW), Err(GrantError::Invalid), "at {at}");
            }
        }
        for text in ["", ".", "..", "a.b.c", &"a".repeat(5000)] {
            assert_eq!(keys.verify(text, NOW), Err(GrantError::Invalid));
        }
    }

    #[test]
    fn an_old_key_still_verifies_after_rotation_and_an_unknown_one_never() {
        let (old_texts, old) = keys(&["a"]);
        let text = old.sign(&grant());
        let rotated = GrantKeys::parse(&[GrantKey::generate("b"), old_texts[0].clone()]).unwrap();
        assert!(rotated.verify(&text, NOW).is_ok());
        let (_, other) = keys(&["a"]);
        assert_eq!(other.verify(&text, NOW), Err(GrantError::Invalid));
    }

    #[test]
    fn weak_or_broken_keys_are_refused() {
        for text in ["", "a", "a:", "a:c2hvcnQ", "a b:AAAA", ":AAAA"] {
            assert!(GrantKey::parse(text).is_err(), "{text}");
        }
        assert!(GrantKeys::parse(&[]).is_err());
    }
}
