//! Looks inside an uploaded file: is it really a video that a browser can play, and what is in it?
//!
//! Promises to return whatever the bytes are: walks are loops over boxes and tables, never recursion; what is read, counted
//! and remembered is bounded ([`reader::Reader`]), and no number of the file is believed before it has been compared with the
//! size of what contains it. Refuses with a text that names what was found. Decodes nothing: a damaged picture inside a
//! well-formed file is not found here.

mod codec;
mod matroska;
mod mp4;
mod reader;
mod sniff;

use crate::store::ReadAt;
use serde::{Deserialize, Serialize};
use std::io;

pub use reader::Stats;

/// What a playable video is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub container: Container,
    /// The type to serve it with: always `video/…`, chosen so that browsers play it.
    pub mime: String,
    /// Codecs of the tracks, video first, as RFC 6381 strings where the file says enough, else the name of the format.
    pub codecs: Vec<String>,
    /// Absent when a live recording does not say and its end does not tell.
    pub duration_ms: Option<u64>,
    /// As displayed: rotation and pixel shape applied.
    pub width: u32,
    pub height: u32,
    /// Whether an MP4 comes in fragments (`moof`).
    pub fragmented: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    Mp4,
    QuickTime,
    WebM,
    Matroska,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file is not a video we can play; the text says what it is, for the uploader.
    #[error("{0}")]
    Rejected(String),
    /// Reading failed: says nothing about the file.
    #[error("reading the file failed: {0}")]
    Io(#[from] io::Error),
}

type Result<T> = std::result::Result<T, ProbeError>;

fn reject<T>(text: impl Into<String>) -> Result<T> {
    Err(ProbeError::Rejected(text.into()))
}

/// The codecs of a file, each once, pictures before sound.
fn codec_list(video: &[codec::Codec], audio: &[codec::Codec]) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for codec in video.iter().chain(audio) {
        if !list.contains(&codec.text) {
            list.push(codec.text.clone());
        }
    }
    list
}

/// Looks inside `file`. Blocks on what it lies on.
pub fn probe(file: &dyn ReadAt) -> Result<Probe> {
    probe_counted(file).0
}

/// As [`probe`], with what it cost.
pub fn probe_counted(file: &dyn ReadAt) -> (Result<Probe>, Stats) {
    match file.size() {
        Ok(size) => {
            let mut reader = reader::Reader::new(file, size);
            let result = dispatch(&mut reader);
            (result, reader.stats())
        }
        Err(error) => (Err(error.into()), Stats::default()),
    }
}

fn dispatch(reader: &mut reader::Reader<'_>) -> Result<Probe> {
    if reader.size() == 0 {
        return reject("an empty file");
    }
    let head = reader.head()?.to_vec();
    match sniff::sniff(&head) {
        sniff::Kind::IsoMedia => mp4::probe(reader),
        sniff::Kind::Ebml => matroska::probe(reader),
        sniff::Kind::Other(text) => reject(text),
    }
}
