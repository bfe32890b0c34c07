//! The header values of tus, read strictly: what is not exactly of the described form is refused, never guessed.

use crate::tus::MAX_OPEN;
use base64::{Engine, engine::general_purpose::STANDARD};
use common::ids::Id;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{collections::HashSet, fmt::Write};

/// Keys of a metadata header at most, and its bytes: clients send a name, a type and a few of their own.
const MAX_METADATA_KEYS: usize = 32;
const MAX_METADATA: usize = 4096;

/// Fields of an answer.
pub type Fields = Vec<(&'static str, String)>;

/// `Upload-Metadata`: pairs of a key and a base64 value, divided by commas. Checked and kept as it is; nothing in it is used,
/// it is text of a user.
pub fn metadata(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_METADATA {
        return Err(format!("Upload-Metadata has 1 to {MAX_METADATA} bytes."));
    }
    let mut keys = HashSet::new();
    for pair in text.split(',') {
        // A space after the comma is common (tuspy and examples of the protocol differ).
        let pair = pair.strip_prefix(' ').unwrap_or(pair);
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("A key of Upload-Metadata is printable ASCII without spaces and commas, and not empty.".into());
        }
        if STANDARD.decode(value).is_err() {
            return Err("A value of Upload-Metadata is base64 with padding.".into());
        }
        if !keys.insert(key) {
            return Err("A key stands in Upload-Metadata twice.".into());
        }
    }
    if keys.len() > MAX_METADATA_KEYS {
        return Err(format!("Upload-Metadata has at most {MAX_METADATA_KEYS} keys."));
    }
    Ok(text.to_owned())
}

/// A number of bytes: decimal digits and nothing else, up to the largest that a row can hold.
pub fn size(name: &str, text: &str) -> Result<u64, String> {
    let wrong = || format!("{name} is a number of bytes in decimal digits.");
    if text.is_empty() || text.len() > 20 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let size: u64 = text.parse().map_err(|_| wrong())?;
    if i64::try_from(size).is_err() {
        return Err(wrong());
    }
    Ok(size)
}

/// Which checksum a request announces, and of what value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl Checksum {
    /// `Upload-Checksum: <algorithm> <base64 of the digest>`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (algorithm, value) = text
            .split_once(' ')
            .ok_or("Upload-Checksum is an algorithm, a space, and the digest in base64.")?;
        let digest = STANDARD
            .decode(value)
            .map_err(|_| "The digest of Upload-Checksum is base64 with padding.")?;
        let length = |_| format!("A digest of {algorithm} has another length.");
        match algorithm {
            "sha1" => digest.try_into().map(Self::Sha1).map_err(length),
            "sha256" => digest.try_into().map(Self::Sha256).map_err(length),
            _ => Err("The algorithms of Upload-Checksum are sha1 and sha256.".into()),
        }
    }

    pub fn begin(self) -> Checking {
        match self {
            Self::Sha1(expected) => Checking::Sha1(Sha1::new(), expected),
            Self::Sha256(expected) => Checking::Sha256(Sha256::new(), expected),
        }
    }
}

/// A checksum in the making.
pub enum Checking {
    Sha1(Sha1, [u8; 20]),
    Sha256(Sha256, [u8; 32]),
}

impl Checking {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash, _) => hash.update(bytes),
            Self::Sha256(hash, _) => hash.update(bytes),
        }
    }

    pub fn holds(self) -> bool {
        match self {
            Self::Sha1(hash, expected) => hash.finalize()[..] == expected,
            Self::Sha256(hash, expected) => hash.finalize()[..] == expected,
        }
    }
}

/// `Upload-Concat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concat {
    Partial,
    Final(Vec<Id>),
}

impl Concat {
    /// `partial`, or `final;` and the addresses of the parts in order, divided by spaces: absolute or as paths.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "partial" {
            return Ok(Self::Partial);
        }
        let list = text
            .strip_prefix("final;")
            .ok_or("Upload-Concat is `partial`, or `final;` and the addresses of the parts.")?;
        let mut parts = Vec::new();
        for address in list.trim_matches(' ').split(' ') {
            let part = part(address).ok_or("A part of Upload-Concat is not an address of an upload here.")?;
            if parts.contains(&part) {
                return Err("A part stands in Upload-Concat twice.".into());
            }
            parts.push(part);
            if parts.len() as i64 > MAX_OPEN {
                return Err(format!("Upload-Concat names at most {MAX_OPEN} parts."));
            }
        }
        Ok(Self::Final(parts))
    }

    /// As HEAD tells it (the addresses as paths).
    pub fn text(&self) -> String {
        match self {
            Self::Partial => "partial".to_owned(),
            Self::Final(parts) => {
                let mut text = String::from("final;");
                for (at, part) in parts.iter().enumerate() {
                    let space = if at == 0 { "" } else { " " };
                    write!(text, "{space}/uploads/{part}").expect("writing to a string");
                }
                text
            }
        }
    }
}

/// The id at the end of `/uploads/<id>` or `http://host/uploads/<id>`. The host is not compared: behind a proxy we may not
/// know our own name, and the id is looked up here in any case.
fn part(address: &str) -> Option<Id> {
    let path = match address.split_once("://") {
        Some(("http" | "https", rest)) => &rest[rest.find('/')?..],
        Some(_) => return None,
        None => address,
    };
    path.strip_prefix("/uploads/")?.parse().ok()
}
