//! What the functions take. A member that may be null can be taken away with it; all others may be left out or given.

use common::config::Secret;
use common::ids::{Id, VideoId};
use common::views::{DanmakuMode, Visibility};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Of functions that take nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoData {}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginData {
    /// Rooms to join, each as by `JoinRoom`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 100)]
    pub rooms: Option<Vec<RoomPosition>>,
    /// OpenIM clients say again whose connection it is.
    #[serde(rename = "userID", default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// OpenIM clients say again whose connection it is.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub token: Option<Secret>,
}

/// A room, and from where on its log is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomPosition {
    #[serde(rename = "videoID")]
    pub video: VideoId,
    /// The last entry the client has; without it: none of the past, live from now on.
    #[serde(rename = "afterSeq", default, deserialize_with = "given_seq")]
    #[schema(minimum = 0, nullable = false)]
    pub after_seq: Option<i64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutData {
    /// Ends the session, too: its token is worth nothing any more.
    #[serde(default)]
    pub session: bool,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelfInfo {
    /// 1 to 64 characters; null is the username again.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub display_name: Option<Option<String>>,
    /// Up to 1,000 characters.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub bio: Option<Option<String>>,
    /// A language tag such as `en` or `zh-CN`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub language: Option<Option<String>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Usernames {
    #[schema(min_items = 1, max_items = 50)]
    pub usernames: Vec<String>,
}

/// The order of the list of videos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoOrder {
    /// The newest first.
    New,
    Old,
    /// By title, without regard to case.
    Title,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoQuery {
    /// A part of title or description, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// A username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// `new` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<VideoOrder>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// 20 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// Of functions about one video or its room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneVideo {
    #[serde(rename = "videoID")]
    pub video: VideoId,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoDraft {
    /// 1 to 200 characters.
    pub title: String,
    /// Up to 5,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `public` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// Members that are not there stay as they are.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoChange {
    #[serde(rename = "videoID", skip_serializing_if = "in_the_path")]
    #[schema(required = true)]
    pub video: VideoId,
    /// 1 to 200 characters.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<String>,
    /// Up to 5,000 characters; null takes it away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Visibility, required = false)]
    pub visibility: Option<Visibility>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoDeletion {
    #[serde(rename = "videoID")]
    pub video: VideoId,
    /// Purge it now, past the trash.
    #[serde(default)]
    pub permanent: bool,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentDraft {
    #[serde(rename = "videoID", skip_serializing_if = "in_the_path")]
    #[schema(required = true)]
    pub video: VideoId,
    /// 1 to 2,000 characters.
    pub text: String,
    /// The comment this one answers.
    #[serde(rename(deserialize = "parentID", serialize = "parentId"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(rename = "parentID")]
    pub parent: Option<Id>,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentQuery {
    #[serde(rename = "videoID", skip_serializing_if = "in_the_path")]
    #[schema(required = true)]
    pub video: VideoId,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// 20 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneComment {
    #[serde(rename = "commentID")]
    pub comment: Id,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DanmakuDraft {
    #[serde(rename = "videoID", skip_serializing_if = "in_the_path")]
    #[schema(required = true)]
    pub video: VideoId,
    /// 1 to 100 characters.
    pub text: String,
    /// The moment of the video, in milliseconds.
    #[serde(rename = "atMs")]
    pub at_ms: u64,
    /// `scroll` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<DanmakuMode>,
    /// `#rrggbb`; white when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

/// A stretch of the video, or what came after a danmaku.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DanmakuQuery {
    #[serde(rename = "videoID", skip_serializing_if = "in_the_path")]
    #[schema(required = true)]
    pub video: VideoId,
    #[serde(rename = "fromMs", skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    #[serde(rename = "toMs", skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
    /// The last danmaku the client has.
    #[serde(rename(deserialize = "afterID", serialize = "afterId"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(rename = "afterID")]
    pub after: Option<Id>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// The member is read, and not passed on. (`skip_serializing` would take it out of the schema, too.)
fn in_the_path<T>(_: &T) -> bool {
    true
}

/// A member that may be missing; null is a value or refused, as `T` says.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// As numbered in the log: as many as an `i64` counts.
fn given_seq<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let seq = u64::deserialize(deserializer)?;
    let out_of_range = |_| serde::de::Error::custom("a whole number, 0 or more, that the log has");
    i64::try_from(seq).map(Some).map_err(out_of_range)
}
