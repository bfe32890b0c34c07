//! What a reconcile found, for operators; kept as the job's result.

use common::ids::VideoId;
use common::messages::StoreReport;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Findings shown by name; all are counted.
const MAX_SAMPLES: usize = 100;

/// What can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// Media of a video that api-service does not know: it is deleted.
    UnknownMedia,
    /// Whole media of a video that still waits for it: it is announced again.
    UnannouncedMedia,
    /// A ready video without media: it is marked as failed.
    LostMedia,
    /// A video that should be purged by now, and no job that will: the job is made (also for a job that died).
    MissingPurge,
    /// Media that plays though its video is trashed, or the other way round: it is hidden or shown.
    WrongVisibility,
    /// What stream-service found between its ledger and its disk.
    Store,
}

/// One difference of one video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: What,
    pub video: VideoId,
    /// When to purge (`MissingPurge`), Unix milliseconds.
    pub purge_at: i64,
    /// What stream-service is told (`WrongVisibility`).
    pub visibility: common::messages::Visibility,
}

/// A finding as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    pub what: What,
    /// The video, or the name that stream-service gave.
    pub name: String,
    /// Why it was not mended; absent when it was, and in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The result of a reconcile job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    pub dry_run: bool,
    /// How many were compared.
    pub videos: u64,
    pub media: u64,
    /// All findings, those of stream-service included.
    pub found: u64,
    pub unknown_media: u64,
    pub unannounced_media: u64,
    pub lost_media: u64,
    pub missing_purges: u64,
    pub wrong_visibility: u64,
    /// Unknown media that was left alone because it is more than half of all media: that looks like the wrong or an old
    /// database of api-service. A run with `force` deletes it.
    pub refused: u64,
    /// Findings that could not be mended; the next run tries again.
    pub failed: u64,
    /// There was more than one run keeps in mind; the next run finds the rest.
    pub truncated: bool,
    #[schema(value_type = Object)]
    pub store: StoreReport,
    pub samples: Vec<Sample>,
}

impl Report {
    /// Counts a finding that proved true; `failure` says why it could not be mended.
    pub(super) fn add(&mut self, what: What, name: &str, failure: Option<String>) {
        let count = match what {
            What::UnknownMedia => &mut self.unknown_media,
            What::UnannouncedMedia => &mut self.unannounced_media,
            What::LostMedia => &mut self.lost_media,
            What::MissingPurge => &mut self.missing_purges,
            What::WrongVisibility => &mut self.wrong_visibility,
            What::Store => return,
        };
        *count += 1;
        self.found += 1;
        self.failed += u64::from(failure.is_some());
        self.sample(what, name, failure);
    }

    fn sample(&mut self, what: What, name: &str, failure: Option<String>) {
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push(Sample {
                what,
                name: name.to_owned(),
                failure,
            });
        }
    }

    /// Takes in what stream-service reported.
    pub(super) fn add_store(&mut self) {
        let store = &self.store;
        self.found += store.orphan_files + store.stale_uploads + store.lost_objects + store.resumed_deletions;
        for name in std::mem::take(&mut self.store.samples) {
            self.sample(What::Store, &name, None);
        }
    }
}
