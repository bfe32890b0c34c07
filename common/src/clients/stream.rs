//! Calls to stream-service.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{ClientError, Endpoint};
use crate::ids::VideoId;
use crate::messages::batch::{Call, Done};
use crate::messages::{
    MediaDeletion, MediaRecord, MediaVisibility, Receipt, RecordPage, Scrub, ScrubReport, StoreReport, Sweep, Swept,
    Visibility,
};

/// Deleting a video of many segments is many unlinks and as many ledger rows.
const DELETE_WITHIN: Duration = Duration::from_secs(60);

/// Comparing ledger and disk reads all of both: a million files take minutes on a slow disk.
const RECONCILE_WITHIN: Duration = Duration::from_secs(1800);

/// It reads for ten seconds, after those who asked before.
const SCRUB_WITHIN: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub struct StreamClient(pub(super) Endpoint);

impl StreamClient {
    /// Removes every object of the video; repeating it gives the same receipt.
    pub async fn delete_media(&self, video: &VideoId) -> Result<Receipt, ClientError> {
        let patient = self.0.patient(DELETE_WITHIN);
        patient
            .call(patient.request(Method::DELETE, &format!("/internal/media/{video}")))
            .await
    }

    /// [`StreamClient::delete_media`] of many videos. One that takes long is answered 503, and goes on.
    pub async fn delete_many(
        &self,
        calls: Vec<Call<MediaDeletion>>,
    ) -> Result<Vec<Result<Receipt, ClientError>>, ClientError> {
        self.0.patient(DELETE_WITHIN).carry("/internal/deletions", calls).await
    }

    pub async fn set_hidden(&self, video: &VideoId, visibility: Visibility) -> Result<(), ClientError> {
        self.0
            .tell(
                self.0
                    .request(Method::PUT, &format!("/internal/media/{video}/hidden"))
                    .json(&visibility),
            )
            .await
    }

    /// [`StreamClient::set_hidden`] of many videos.
    pub async fn set_hidden_many(
        &self,
        calls: Vec<Call<MediaVisibility>>,
    ) -> Result<Vec<Result<Done, ClientError>>, ClientError> {
        self.0.carry("/internal/visibilities", calls).await
    }

    /// Media in the order of the video ids, those after `after`.
    pub async fn media(&self, after: Option<&VideoId>, limit: u32) -> Result<RecordPage<MediaRecord>, ClientError> {
        let after = after.map(VideoId::as_str);
        self.0
            .get(
                "/internal/media",
                &[("after", after), ("limit", Some(limit.to_string().as_str()))],
            )
            .await
    }

    /// Has `media-ready` delivered once more; 404 when there is no live source.
    pub async fn announce(&self, video: &VideoId) -> Result<(), ClientError> {
        self.0
            .tell(
                self.0
                    .request(Method::POST, &format!("/internal/media/{video}/announce"))
                    .json(&json!({})),
            )
            .await
    }

    /// Removes uploads that nobody continues.
    pub async fn expire_uploads(&self, sweep: Sweep) -> Result<Swept, ClientError> {
        self.0
            .patient(DELETE_WITHIN)
            .post("/internal/uploads/expire", &sweep)
            .await
    }

    /// Compares ledger and disk.
    pub async fn reconcile(&self, sweep: Sweep) -> Result<StoreReport, ClientError> {
        self.0
            .patient(RECONCILE_WITHIN)
            .post("/internal/reconcile", &sweep)
            .await
    }

    /// Compares some of what is stored with its hashes.
    pub async fn scrub(&self, wanted: Scrub) -> Result<ScrubReport, ClientError> {
        self.0.patient(SCRUB_WITHIN).post("/internal/scrub", &wanted).await
    }
}
