//! What the services say to each other: bodies of internal calls and messages on the bus. All of it may come from the
//! version before or after ours, so unknown members are ignored and new ones have defaults.

pub mod batch;
mod room_kind;
mod rooms;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::ids::{Id, VideoId};
use crate::operation::OperationId;
use crate::time::Timestamp;
pub use room_kind::RoomEntryKind;
pub use rooms::{RoomCounts, RoomEntry, RoomHead, RoomHeads, RoomList, RoomLog};

/// `POST /internal/tokens/parse`.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenQuery {
    pub token: String,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Operator,
}

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenOwner {
    #[serde(rename = "userID")]
    pub user: Id,
    #[serde(rename = "sessionID")]
    pub session: Id,
    pub username: String,
    pub role: Role,
    pub expires_at: Timestamp,
}

/// `POST /internal/sessions/check`: which of these are still good. Asked for running uploads, at most 1,000 at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionList {
    pub sessions: Vec<Id>,
}

/// What stream-service found in an upload that it made durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaReady {
    pub size_bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    pub mime: String,
    #[serde(default)]
    pub duration_ms: Option<u64>,
    #[serde(default)]
    pub width: Option<u32>,
    #[serde(default)]
    pub height: Option<u32>,
    #[serde(default)]
    pub codecs: Vec<String>,
}

/// Why a video has no media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFailed {
    pub reason: String,
}

/// What a deletion removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    pub objects: u64,
    pub bytes: u64,
}

/// The life of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VideoState {
    AwaitingUpload,
    Processing,
    Ready,
    Failed,
    Trashed,
    Purging,
}

impl VideoState {
    pub const ALL: [VideoState; 6] = [
        VideoState::AwaitingUpload,
        VideoState::Processing,
        VideoState::Ready,
        VideoState::Failed,
        VideoState::Trashed,
        VideoState::Purging,
    ];

    /// The name in tables and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            VideoState::AwaitingUpload => "awaiting_upload",
            VideoState::Processing => "processing",
            VideoState::Ready => "ready",
            VideoState::Failed => "failed",
            VideoState::Trashed => "trashed",
            VideoState::Purging => "purging",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        VideoState::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A video as the reconciler sees it (`GET /internal/videos?after=&limit=`, ordered by id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoRecord {
    pub id: VideoId,
    pub state: VideoState,
    pub created_at: Timestamp,
    #[serde(default)]
    pub purge_at: Option<Timestamp>,
    /// Grows with every change of [`Visibility`].
    pub version: i64,
    /// As in [`Visibility`].
    #[serde(default)]
    pub min_grant: i64,
}

/// A video's media as the reconciler sees it (`GET /internal/media?after=&limit=`, ordered by id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaRecord {
    pub id: VideoId,
    /// Whether a whole source is stored.
    pub live: bool,
    pub hidden: bool,
    pub objects: u64,
    pub bytes: u64,
    pub created_at: Timestamp,
}

/// A page of records: read on with `after=<next>` while it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPage<T> {
    pub items: Vec<T>,
    #[serde(default)]
    pub next: Option<VideoId>,
}

/// `PUT /internal/media/{id}/hidden`: a trashed video is hidden at once, whatever grants are out. An older version than
/// the last one seen changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    pub hidden: bool,
    pub version: i64,
    /// Playback grants of a lower version open nothing any more. Never falls again, whatever a later call says.
    #[serde(default)]
    pub min_grant: i64,
}

/// Body of internal calls that can be tried without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    #[serde(default)]
    pub dry_run: bool,
}

/// How many things a sweep removed (or would remove).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Swept {
    pub count: u64,
}

/// What stream-service's own part of a reconcile found: its ledger against its disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreReport {
    /// Files without a ledger row, removed.
    pub orphan_files: u64,
    pub orphan_bytes: u64,
    /// Rows of uploads that nobody continues, removed with their files.
    pub stale_uploads: u64,
    /// Live rows whose file is gone or has another size; reported to api-service.
    pub lost_objects: u64,
    /// Deletions that a crash interrupted, finished.
    pub resumed_deletions: u64,
    /// Things that could not be dealt with this time; the log says why.
    pub failed: u64,
    /// Names of the first of them, for people.
    pub samples: Vec<String>,
}

/// `POST /internal/scrub`: which of what is stored is read and compared with its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scrub {
    /// What had no turn since then; without it, for `stream.scrub_after`.
    #[serde(default)]
    pub before: Option<Timestamp>,
}

/// What a scrub did in one call, or in one job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScrubReport {
    /// Objects that were read to their end.
    pub objects: u64,
    pub bytes: u64,
    /// Objects found damaged that were not known to be.
    pub found: u64,
    /// Objects that are due still.
    pub left: u64,
    /// All that are known to be damaged, whenever that was found.
    pub damaged: u64,
    /// The first of them, and what is wrong with each.
    pub samples: Vec<String>,
}

/// `PUT /internal/jobs/{kind}/{key}`: safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRequest {
    #[serde(default)]
    pub payload: serde_json::Value,
    pub run_at: Timestamp,
    #[serde(default, rename = "operationID")]
    pub operation: Option<OperationId>,
}

/// `POST /internal/jobs`: many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedJob {
    pub kind: String,
    pub key: String,
    pub job: JobRequest,
}

/// `POST /internal/purges/begin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeBegin {
    pub video: VideoId,
}

/// `POST /internal/purges/done`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeDone {
    pub video: VideoId,
    pub receipt: Receipt,
}

/// `POST /internal/visibilities`: of many videos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaVisibility {
    pub video: VideoId,
    pub visibility: Visibility,
}

/// `POST /internal/deletions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaDeletion {
    pub video: VideoId,
}

/// On `Subject::SessionsRevoked`, after the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsRevoked {
    pub user: Id,
    pub sessions: Vec<Id>,
}

/// On `Subject::MediaChanged`, after the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaChanged {
    pub video: VideoId,
}

/// On `Subject::User`, after the commit: for all connections of one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEvent {
    /// The gateway's event name, such as `OnVideoReady`.
    pub event: String,
    /// What the event says.
    #[serde(default)]
    pub data: Value,
    #[serde(default, rename = "operationID")]
    pub operation: Option<OperationId>,
}

impl UserEvent {
    /// An event that says no more than which video it is about.
    #[must_use]
    pub fn about(event: &str, video: &VideoId, operation: Option<OperationId>) -> Self {
        UserEvent {
            event: event.to_owned(),
            data: json!({ "videoID": video }),
            operation,
        }
    }
}
