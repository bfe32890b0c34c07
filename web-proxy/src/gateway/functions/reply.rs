//! What the functions give, where it is not an answer of the HTTP API (`common::views`).

use common::ids::VideoId;
use common::messages::RoomEntry;
use common::time::Timestamp;
use common::views::{Comment, Danmaku, Profile, Video};
use serde::Serialize;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Of functions that have nothing to tell: null.
pub struct Nothing;

impl PartialSchema for Nothing {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Null).into()
    }
}

impl ToSchema for Nothing {}

/// A page of videos.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the answer is api-service's own text; this is its schema")]
pub struct VideoPage {
    items: Vec<Video>,
    /// Give it as `cursor` to read on; null at the end.
    #[schema(required = true)]
    next: Option<String>,
}

/// A page of comments.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the answer is api-service's own text; this is its schema")]
pub struct CommentPage {
    items: Vec<Comment>,
    /// Give it as `cursor` to read on; null at the end.
    #[schema(required = true)]
    next: Option<String>,
}

/// A page of danmaku.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the answer is api-service's own text; this is its schema")]
pub struct DanmakuPage {
    items: Vec<Danmaku>,
    /// Give it as `cursor` to read on; null at the end.
    #[schema(required = true)]
    next: Option<String>,
}

/// `ok` when no rooms were asked for.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum LoginReply {
    Done(Done),
    Rooms(JoinedRooms),
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    Ok,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JoinedRooms {
    /// In the order of the request.
    pub rooms: Vec<RoomOutcome>,
}

/// One room of a login: joined, or why not.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomOutcome {
    #[serde(rename = "videoID")]
    pub video: VideoId,
    pub err_code: u16,
    pub err_msg: String,
    /// These four when errCode is 0, as in the reply of `JoinRoom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub events: Option<Vec<RoomEntry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub member_count: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct LoginStatus {
    /// 1 logged out, 2 a login is under way, 3 logged in.
    #[schema(minimum = 1, maximum = 3)]
    pub status: u8,
}

/// Whose connection it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LoginUser {
    #[serde(rename = "userID")]
    pub user: common::ids::Id,
    pub username: String,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pong {
    pub server_time: Timestamp,
}

/// The functions and the schemas of what they take and give.
#[derive(Debug, Serialize, ToSchema)]
pub struct FunctionList {
    pub functions: Vec<FunctionEntry>,
    /// JSON schemas (2020-12) by name.
    #[schema(value_type = Object)]
    pub schemas: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionEntry {
    pub name: &'static str,
    /// `session`, `user`, `video`, `comment` or `room`.
    pub group: &'static str,
    pub description: &'static str,
    /// Whether it is answered 1003 before Login.
    pub login: bool,
    pub deadline_ms: u64,
    /// `{"$ref":"#/schemas/…"}`
    #[schema(value_type = Object)]
    pub request: serde_json::Value,
    /// `{"$ref":"#/schemas/…"}`
    #[schema(value_type = Object)]
    pub reply: serde_json::Value,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Users {
    /// In the order of the request; who does not exist is left out.
    pub users: Vec<Profile>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinedRoom {
    #[serde(rename = "videoID")]
    pub video: VideoId,
    /// The newest entry of the room; 0 while there is none. Entries pushed from now on have a higher one.
    pub seq: i64,
    /// The entries after `afterSeq`, in order.
    pub events: Vec<RoomEntry>,
    /// When false: more are to be fetched, by `JoinRoom` with the last one's `seq`. Pushed entries are to be held back
    /// until then.
    pub complete: bool,
    pub member_count: u64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LeftRoom {
    #[serde(rename = "videoID")]
    pub video: VideoId,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MemberCount {
    #[serde(rename = "videoID")]
    pub video: VideoId,
    pub count: u64,
}
