//! What clients are shown: the JSON of http-api.md, as api-service answers it and as the gateway's function table describes
//! it.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{Id, VideoId};
use crate::messages::{Role, VideoState};
use crate::time::Timestamp;

/// Who may see a video that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody; it is listed.
    #[default]
    Public,
    /// Everybody who knows its address.
    Unlisted,
    /// Its owner.
    Private,
}

impl Visibility {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Unlisted => "unlisted",
            Visibility::Private => "private",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Visibility::Public, Visibility::Unlisted, Visibility::Private]
            .into_iter()
            .find(|visibility| visibility.name() == name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Author {
    pub username: String,
    pub display_name: String,
}

/// The signed-in person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: Id,
    pub username: String,
    pub display_name: String,
    pub bio: String,
    /// A language tag; empty when not set.
    pub language: String,
    pub role: Role,
    pub created_at: Timestamp,
}

/// What everybody may know of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub username: String,
    pub display_name: String,
    pub bio: String,
    pub created_at: Timestamp,
    /// Public videos that are ready.
    pub video_count: i64,
}

/// A session that was just begun. The token is shown here and never again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewSession {
    pub id: Id,
    pub token: String,
    pub expires_at: Timestamp,
}

/// Answer to registering and to signing in.
#[derive(Serialize, ToSchema)]
pub struct Entered {
    pub user: User,
    pub session: NewSession,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    pub id: Id,
    /// What the program called itself at sign-in.
    pub platform: String,
    /// Whether this request was made in it.
    pub current: bool,
    pub created_at: Timestamp,
    /// To about a minute.
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Whom a token belongs to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParsedToken {
    #[serde(rename = "userID")]
    pub user: Id,
    pub username: String,
    pub role: Role,
    /// When the session ends, in Unix seconds.
    pub expire_time_seconds: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    pub id: VideoId,
    pub title: String,
    pub description: String,
    pub visibility: Visibility,
    pub state: VideoState,
    /// Why there is no media; when state is `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub author: Author,
    pub size_bytes: Option<i64>,
    pub duration_ms: Option<i64>,
    pub width: Option<i64>,
    pub height: Option<i64>,
    pub codecs: Vec<String>,
    pub created_at: Timestamp,
    pub ready_at: Option<Timestamp>,
    /// When the trash is emptied; when state is `trashed` or `purging`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Timestamp>,
    pub comment_count: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct VideoAnswer {
    pub video: Video,
}

/// A ticket for sending the bytes of a video.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// PUT the file here, with the grant as bearer token.
    pub url: String,
    pub grant: String,
    pub max_bytes: u64,
    pub expires_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
pub struct NewVideo {
    pub video: Video,
    pub upload: Upload,
}

#[derive(Serialize, ToSchema)]
pub struct NewUpload {
    pub upload: Upload,
}

/// The form of a source; `hls` and `dash` come with their own issue.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The original bytes.
    File,
}

#[derive(Serialize, ToSchema)]
pub struct Source {
    #[serde(rename = "type")]
    pub kind: SourceKind,
    /// Works until `expiresAt`, for whoever has it.
    pub url: String,
    pub mime: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Playback {
    pub sources: Vec<Source>,
    pub poster: Option<String>,
    pub expires_at: Timestamp,
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeletionState {
    Scheduled,
    Running,
    Done,
}

/// What a deletion removed, and when it was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinalReceipt {
    pub objects: i64,
    pub bytes: i64,
    pub finished_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    pub state: DeletionState,
    pub purge_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<FinalReceipt>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comment {
    pub id: Id,
    pub text: String,
    /// The comment it answers; that one may be gone.
    pub parent_id: Option<Id>,
    pub author: Author,
    pub created_at: Timestamp,
}

/// Where a danmaku appears on the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DanmakuMode {
    /// Flies from right to left.
    #[default]
    Scroll,
    Top,
    Bottom,
}

impl DanmakuMode {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DanmakuMode::Scroll => "scroll",
            DanmakuMode::Top => "top",
            DanmakuMode::Bottom => "bottom",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [DanmakuMode::Scroll, DanmakuMode::Top, DanmakuMode::Bottom]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// A comment that belongs to a moment of the video.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Danmaku {
    pub id: Id,
    pub text: String,
    /// The moment of the video, in milliseconds.
    pub at_ms: i64,
    pub mode: DanmakuMode,
    /// `#rrggbb`, lower case.
    pub color: String,
    pub author: Author,
    pub created_at: Timestamp,
}
