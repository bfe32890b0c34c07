//! What a store has to know to go on with an object that is there in part. The ledger keeps it as one text and writes it together
//! with the offset that it belongs to, so that another process can go on where this one was killed. A file on a disk says all of
//! that itself: there the text is empty.

use serde::{Deserialize, Serialize};
use sha2::{
    Sha256,
    digest::{
        array::Array,
        common::hazmat::{SerializableState, SerializedState},
    },
};

/// As JSON in `tus_uploads.store_state`. An older version of the service reads it too: fields are only added, with a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The multipart upload; empty before the first whole part.
    pub upload: String,
    /// The first number of a part that nobody has been given; one less, so that nothing kept is the beginning.
    pub used: u32,
    /// In order; the object begins with them.
    pub parts: Vec<KeptPart>,
    /// What comes behind them, less than one part.
    pub tail: Option<Tail>,
    /// The hash of all of it, half done (hexadecimal); empty when it is not known.
    pub sha256: String,
}

/// One part: its number, its bytes, and what completing the upload asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPart(pub u32, pub u64, pub String, pub u32);

/// An object of its own that waits to become part of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// What its name has behind the object's.
    pub name: String,
    pub bytes: u64,
    /// Where it begins in the object, and the sum of its bytes: what is gone on with is what was acknowledged. Older versions
    /// did not keep them.
    #[serde(default)]
    pub at: Option<u64>,
    #[serde(default)]
    pub crc32c: Option<u32>,
}

impl Tail {
    /// Whether it is the tail behind this many bytes of parts, and these are its bytes.
    pub fn belongs(&self, at: u64, bytes: &[u8]) -> bool {
        self.at.is_none_or(|kept| kept == at) && self.crc32c.is_none_or(|kept| kept == crc32c::crc32c(bytes))
    }
}

impl Kept {
    pub fn read(text: &str) -> serde_json::Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text)
    }

    pub fn text(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }

    /// The same, with this many numbers more given away.
    #[must_use]
    pub fn reserved(&self, numbers: u32) -> Self {
        Self {
            used: self.used.saturating_add(numbers),
            ..self.clone()
        }
    }

    /// The hash of all of it, to go on with.
    pub fn hash(&self) -> Option<Sha256> {
        go_on(&self.sha256)
    }

    /// Bytes in parts.
    pub fn in_parts(&self) -> u64 {
        self.parts.iter().map(|part| part.1).sum()
    }

    /// Bytes that can be gone on behind.
    pub fn bytes(&self) -> u64 {
        self.in_parts() + self.tail.as_ref().map_or(0, |tail| tail.bytes)
    }
}

/// A hash that can be gone on with elsewhere, as text.
pub fn half_done(hash: &Sha256) -> String {
    hash.serialize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` when the text isn't one of ours, or is another version's.
pub fn go_on(text: &str) -> Option<Sha256> {
    let digits = text.as_bytes().chunks_exact(2);
    if !digits.remainder().is_empty() || !text.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let state: SerializedState<Sha256> = Array::try_from(bytes?.as_slice()).ok()?;
    Sha256::deserialize(&state).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    #[test]
    fn a_hash_goes_on_from_its_text() {
        for split in [0, 1, 63, 64, 65, 1000] {
            let bytes = vec![7; 1000];
            let text = half_done(&Sha256::new_with_prefix(&bytes[..split]));
            let hash = go_on(&text).unwrap().chain_update(&bytes[split..]);
            assert_eq!(hash.finalize(), Sha256::digest(&bytes), "{split}");
        }
    }

    #[test]
    fn what_is_no_hash_is_none() {
        let good = half_done(&Sha256::new());
        for bad in [
            "",
            "0",
            "zz",
            "ää",
            &good[2..],
            &format!("{good}00"),
            &"f".repeat(good.len()),
        ] {
            assert!(go_on(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_kept_comes_back_and_nothing_is_an_empty_text() {
        assert_eq!(Kept::default().text(), "");
        assert_eq!(Kept::read("").unwrap(), Kept::default());
        let kept = Kept {
            upload: "u".to_owned(),
            used: 9,
            parts: vec![KeptPart(1, 8, "e".to_owned(), 3), KeptPart(4, 8, String::new(), 0)],
            tail: Some(Tail {
                name: "t".to_owned(),
                bytes: 5,
                at: Some(16),
                crc32c: Some(7),
            }),
            sha256: half_done(&Sha256::new()),
        };
        assert_eq!(Kept::read(&kept.text()).unwrap(), kept);
        assert_eq!((kept.in_parts(), kept.bytes()), (16, 21));
        assert_eq!(
            kept.reserved(8),
            Kept {
                used: 17,
                ..kept.clone()
            }
        );
        assert!(Kept::read("{").is_err());
        let older = Kept::read(r#"{"used":1,"tail":{"name":"t","bytes":5}}"#)
            .unwrap()
            .tail
            .unwrap();
        assert!(older.belongs(16, b"bytes"));
        let tail = Tail {
            at: Some(16),
            crc32c: Some(crc32c::crc32c(b"bytes")),
            ..older
        };
        assert!(tail.belongs(16, b"bytes") && !tail.belongs(8, b"bytes") && !tail.belongs(16, b"others"));
        assert_eq!(
            Kept::read(r#"{"used":3,"later":1}"#).unwrap(),
            Kept::default().reserved(3)
        );
    }
}
