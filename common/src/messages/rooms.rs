//! The log of a room, as api-service keeps it and everybody else reads it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::RoomEntryKind;
use crate::ids::{Id, VideoId};
use crate::operation::OperationId;
use crate::time::Timestamp;

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
