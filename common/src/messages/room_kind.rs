//! What an entry of a room's log is; also one of a version newer than ours (promise 22).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoomEntryKind {
    Danmaku,
    Comment,
    /// A danmaku or a comment was taken back.
    Revoked,
    /// Title or visibility changed, or the video came back from the trash.
    Info,
    /// Nobody is in the room any more: the video was trashed, made private or purged.
    Closed,
    /// Of a newer version beside this one: it has its place in the order, and passes on as it came.
    Newer(KindName),
}

/// The name of a kind that this version does not know, in place; a longer one is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindName {
    length: u8,
    bytes: [u8; KindName::MAX],
}

impl KindName {
    const MAX: usize = 31;

    fn new(name: &str) -> Self {
        let length = name.floor_char_boundary(Self::MAX);
        let mut bytes = [0; Self::MAX];
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        let length = u8::try_from(length).expect("31 at most");
        KindName { length, bytes }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("cut between two characters")
    }
}

impl RoomEntryKind {
    /// What this version writes.
    pub const ALL: [RoomEntryKind; 5] = [
        RoomEntryKind::Danmaku,
        RoomEntryKind::Comment,
        RoomEntryKind::Revoked,
        RoomEntryKind::Info,
        RoomEntryKind::Closed,
    ];

    /// The name in tables and in JSON.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            RoomEntryKind::Danmaku => "danmaku",
            RoomEntryKind::Comment => "comment",
            RoomEntryKind::Revoked => "revoked",
            RoomEntryKind::Info => "info",
            RoomEntryKind::Closed => "closed",
            RoomEntryKind::Newer(name) => name.as_str(),
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let known = RoomEntryKind::ALL.into_iter().find(|kind| kind.name() == name);
        known.unwrap_or_else(|| RoomEntryKind::Newer(KindName::new(name)))
    }
}

impl Serialize for RoomEntryKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for RoomEntryKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name: Cow<'de, str> = Cow::deserialize(deserializer)?;
        Ok(RoomEntryKind::from_name(&name))
    }
}

/// What an entry of a room's log is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only described: the kinds that this version writes")]
enum Written {
    Danmaku,
    Comment,
    Revoked,
    Info,
    Closed,
}

impl PartialSchema for RoomEntryKind {
    fn schema() -> RefOr<Schema> {
        Written::schema()
    }
}

impl ToSchema for RoomEntryKind {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_22_a_kind_keeps_its_name_known_or_not() {
        for name in ["danmaku", "closed", "poll", "", "umfrage-\u{e4}"] {
            let text = serde_json::to_string(name).unwrap();
            let kind: RoomEntryKind = serde_json::from_str(&text).unwrap();
            assert_eq!(kind.name(), name);
            assert_eq!(serde_json::to_string(&kind).unwrap(), text);
            let known = RoomEntryKind::ALL.contains(&kind);
            assert_eq!(known, matches!(name, "danmaku" | "closed"), "{name}");
        }
        let long = format!("{}\u{e4}", "x".repeat(30));
        assert_eq!(RoomEntryKind::from_name(&long).name(), "x".repeat(30));
        for bad in ["7", "null", "[]", r#"{"poll":null}"#] {
            assert!(serde_json::from_str::<RoomEntryKind>(bad).is_err(), "{bad}");
        }
    }
}
