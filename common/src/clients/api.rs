//! Calls to api-service.

use reqwest::Method;
use serde_json::json;

use super::{ClientError, Endpoint};
use crate::ids::VideoId;
use crate::messages::batch::{Call, Done};
use crate::messages::{
    MediaFailed, MediaReady, PurgeBegin, PurgeDone, Receipt, RecordPage, RoomHeads, RoomList, RoomLog, SessionList,
    Sweep, Swept, TokenOwner, TokenQuery, VideoRecord,
};

#[derive(Clone)]
pub struct ApiClient(pub(super) Endpoint);

impl ApiClient {
    /// Who `token` belongs to; 401 `unauthenticated` when to nobody.
    pub async fn parse_token(&self, token: &str) -> Result<TokenOwner, ClientError> {
        self.0
            .ask(
                "/internal/tokens/parse",
                &TokenQuery {
                    token: token.to_owned(),
                },
            )
            .await
    }

    /// Those of `sessions` that are still good.
    pub async fn check_sessions(&self, sessions: SessionList) -> Result<SessionList, ClientError> {
        self.0.ask("/internal/sessions/check", &sessions).await
    }

    /// 404 when the video is unknown, 410 when its purge has begun.
    pub async fn media_ready(&self, video: &VideoId, media: &MediaReady) -> Result<(), ClientError> {
        self.0
            .tell(
                self.0
                    .request(Method::POST, &format!("/internal/videos/{video}/media-ready"))
                    .json(media),
            )
            .await
    }

    pub async fn media_failed(&self, video: &VideoId, failure: &MediaFailed) -> Result<(), ClientError> {
        self.0
            .tell(
                self.0
                    .request(Method::POST, &format!("/internal/videos/{video}/media-failed"))
                    .json(failure),
            )
            .await
    }

    /// Trashed → purging, when due. 409 when the video was restored or is not due, 410 when its purge is over,
    /// 404 when there never was such a video.
    pub async fn purge_begin(&self, video: &VideoId) -> Result<(), ClientError> {
        self.0
            .tell(
                self.0
                    .request(Method::POST, &format!("/internal/videos/{video}/purge/begin"))
                    .json(&json!({})),
            )
            .await
    }

    pub async fn purge_done(&self, video: &VideoId, receipt: Receipt) -> Result<(), ClientError> {
        let body = json!({ "receipt": receipt });
        self.0
            .tell(
                self.0
                    .request(Method::POST, &format!("/internal/videos/{video}/purge/done"))
                    .json(&body),
            )
            .await
    }

    /// [`ApiClient::purge_begin`] of many videos.
    pub async fn begin_purges(
        &self,
        calls: Vec<Call<PurgeBegin>>,
    ) -> Result<Vec<Result<Done, ClientError>>, ClientError> {
        self.0.carry("/internal/purges/begin", calls).await
    }

    /// [`ApiClient::purge_done`] of many videos.
    pub async fn end_purges(&self, calls: Vec<Call<PurgeDone>>) -> Result<Vec<Result<Done, ClientError>>, ClientError> {
        self.0.carry("/internal/purges/done", calls).await
    }

    /// Videos in the order of their ids, those after `after`.
    pub async fn videos(&self, after: Option<&VideoId>, limit: u32) -> Result<RecordPage<VideoRecord>, ClientError> {
        let after = after.map(VideoId::as_str);
        self.0
            .get(
                "/internal/videos",
                &[("after", after), ("limit", Some(limit.to_string().as_str()))],
            )
            .await
    }

    /// The entries of a room after `after`, at most `limit` (1 to 1,000), oldest first. 404 for an unknown video, 410 when its
    /// purge has begun.
    pub async fn room_log(&self, video: &VideoId, after: i64, limit: u32) -> Result<RoomLog, ClientError> {
        let query = [("afterSeq", after), ("limit", i64::from(limit))];
        self.0.get(&format!("/internal/videos/{video}/events"), &query).await
    }

    /// The newest `count` entries of a room (1 to 1,000), oldest first; `next` is never set.
    pub async fn room_tail(&self, video: &VideoId, count: u32) -> Result<RoomLog, ClientError> {
        self.0
            .get(&format!("/internal/videos/{video}/events"), &[("last", count)])
            .await
    }

    /// How far the logs of `rooms` are; purged videos are missing.
    pub async fn room_heads(&self, rooms: RoomList) -> Result<RoomHeads, ClientError> {
        self.0.ask("/internal/rooms/heads", &rooms).await
    }

    /// Ends what waited too long for its upload, and has what deleted accounts left purged.
    pub async fn expire_videos(&self, sweep: Sweep) -> Result<Swept, ClientError> {
        self.0.post("/internal/videos/expire", &sweep).await
    }

    /// Removes the rows of sessions that ended.
    pub async fn expire_sessions(&self, sweep: Sweep) -> Result<Swept, ClientError> {
        self.0.post("/internal/sessions/expire", &sweep).await
    }
}
