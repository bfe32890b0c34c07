//! The log of a room, as api-service keeps it and everybody else reads it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::ids::{Id, VideoId};
use crate::operation::OperationId;
use crate::time::Timestamp;

/// What an entry of a room's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoomEntryKind {
    Danmaku,
    Comment,
    /// A danmaku or a comment was taken back.
    Revoked,
    /// Title or visibility changed, or the video came back from the trash.
    Info,
    /// Nobody is in the room any more: the video was trashed, made private or purged.
    Closed,
    /// Of a newer version beside this one (promise 22): it has its place in the order, and nothing else is known of it.
    #[serde(other)]
    Unknown,
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
    pub const fn name(self) -> &'static str {
        match self {
            RoomEntryKind::Danmaku => "danmaku",
            RoomEntryKind::Comment => "comment",
            RoomEntryKind::Revoked => "revoked",
            RoomEntryKind::Info => "info",
            RoomEntryKind::Closed => "closed",
            RoomEntryKind::Unknown => "unknown",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let known = RoomEntryKind::ALL.into_iter().find(|kind| kind.name() == name);
        known.unwrap_or(RoomEntryKind::Unknown)
    }
}

/// One entry of a room's log: an answer of `GET /videos/{id}/events` and, after the commit, on `Subject::Video`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomEntry {
    #[serde(rename = "videoID")]
    pub video: VideoId,
    /// The place in the log of this room: 1, 2, 3 … without a gap.
    pub seq: i64,
    pub kind: RoomEntryKind,
    pub at: Timestamp,
    /// What caused it.
    #[serde(default, rename = "operationID")]
    #[schema(value_type = Option<String>)]
    pub operation: Option<OperationId>,
    /// By kind: the danmaku, the comment, `{id, kind, seq}` of what was taken back, `{title, visibility}`, `{reason}`. Null when
    /// it was taken back.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub data: Value,
}

/// A part of a room's log, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomLog {
    pub items: Vec<RoomEntry>,
    /// Read on with `afterSeq=<next>` while it is there.
    pub next: Option<i64>,
    /// The newest entry of the room; 0 while there is none.
    pub seq: i64,
}

/// `POST /internal/rooms/heads`: at most 1,000 rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomList {
    pub videos: Vec<VideoId>,
}

/// Its answer: the newest entry of each; videos that are purged are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHeads {
    pub heads: Vec<RoomHead>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHead {
    #[serde(rename = "videoID")]
    pub video: VideoId,
    pub seq: i64,
}

/// On `Subject::RoomCounts`: how many connections of one gateway are in rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCounts {
    /// One run of one process.
    pub gateway: Id,
    /// Some of its rooms; 0: nobody is in there any more.
    #[serde(default)]
    pub counts: Vec<(VideoId, u32)>,
    /// It knows nothing of the others: they are to tell all of theirs.
    #[serde(default)]
    pub asks: bool,
    /// It stops: nobody is in any of its rooms.
    #[serde(default)]
    pub leaves: bool,
}
