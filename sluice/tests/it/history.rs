//! The history of what a client was told, and the check that the platform still knows it.
//!
//! Each operation ends acknowledged, refused, or cut (the process was killed before the answer): a cut operation may
//! have happened or not, everything after it must be consistent with one of the two.

use std::collections::{BTreeMap, BTreeSet};

use crate::media::Clip;

/// What may be true of one video.
pub struct Video {
    pub owner: usize,
    /// Titles it may have: the last acknowledged one and those of cut edits since.
    pub titles: BTreeSet<String>,
    pub upload: Upload,
    pub life: Life,
    /// Texts that were acknowledged and must be there; the cut ones may be.
    pub comments: BTreeSet<String>,
}

#[derive(Clone)]
pub enum Upload {
    No,
    /// It may have arrived whole.
    Maybe(Clip),
    Yes(Clip),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Alive,
    /// A trash or a restore was cut: alive or in the trash.
    AliveOrTrashed,
    Trashed,
    /// A deletion for good was cut: it may have happened, and may be over by now.
    AnyOrPurged,
    /// The deletion for good was acknowledged: it must come to its receipt.
    Purged,
}

#[derive(Default)]
pub struct History {
    pub videos: BTreeMap<String, Video>,
    pub acknowledged: usize,
    pub cut: usize,
    pub refused: usize,
}

impl Video {
    pub fn new(owner: usize, title: String) -> Self {
        Video {
            owner,
            titles: BTreeSet::from([title]),
            upload: Upload::No,
            life: Life::Alive,
            comments: BTreeSet::new(),
        }
    }

    /// States that the API may report; `None` stands for 404.
    pub fn possible_states(&self) -> Vec<Option<&'static str>> {
        let alive: &[Option<&'static str>] = match self.upload {
            Upload::No => &[Some("awaiting_upload")],
            // Acknowledged by stream-service; its outbox brings it to api-service.
            Upload::Yes(_) | Upload::Maybe(_) => &[Some("awaiting_upload"), Some("processing"), Some("ready")],
        };
        let (trashed, purged) = ([Some("trashed")], [Some("trashed"), Some("purging"), None]);
        match self.life {
            Life::Alive => alive.to_vec(),
            Life::AliveOrTrashed => [alive, &trashed].concat(),
            Life::Trashed => trashed.to_vec(),
            Life::AnyOrPurged => [alive, &purged].concat(),
            Life::Purged => purged.to_vec(),
        }
    }
}
