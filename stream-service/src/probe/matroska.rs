//! WebM and Matroska (RFC 8794 EBML, RFC 9559): header, track list, and for live recordings the moment of the last block.

mod elements;
mod tail;
mod tracks;

use super::{Container, Probe, Result, codec::Codec, reader::Reader, reject};
use elements::{Element, Elements, float, id, string, unsigned};
use tracks::{Track, TrackKind};

/// Elements of the first cluster that are looked at for a block; it has its time and perhaps a position before.
const MAX_BEFORE_BLOCK: usize = 64;

/// A duration beyond this is a broken number, not a video: 31 days.
const MAX_DURATION_MS: f64 = 31.0 * 24.0 * 3600.0 * 1000.0;

/// Codecs that may be in a WebM file.
const WEBM_CODECS: [&str; 5] = ["VP8", "VP9", "AV1", "Opus", "Vorbis"];

/// `Info`.
struct Info {
    /// Nanoseconds per tick.
    scale: u64,
    duration_ticks: Option<f64>,
}

pub fn probe(reader: &mut Reader<'_>) -> Result<Probe> {
    let mut file = Elements::new(0, reader.size());
    let Some(header) = file.next(reader)? else {
        return reject("a WebM file that is cut off");
    };
    let webm = document_type(reader, &header)? == "webm";
    let segment = loop {
        match file.next(reader)? {
            Some(element) if element.id == id::SEGMENT => break element,
            Some(element) if !element.unknown_size => {}
            _ => return reject("a WebM or Matroska header without content"),
        }
    };
    let (mut info, mut tracks, mut has_blocks) = (
        Info {
            scale: 1_000_000,
            duration_ticks: None,
        },
        None,
        false,
    );
    let mut children = Elements::children(&segment);
    while let Some(child) = children.next(reader)? {
        match child.id {
            id::INFO => info = read_info(reader, &child)?,
            id::TRACKS if tracks.is_none() => tracks = Some(tracks::read(reader, &child)?),
            id::CLUSTER => {
                has_blocks = first_block(reader, &child)?;
                break;
            }
            _ if child.unknown_size => return reject("a WebM or Matroska file with an element of no known size"),
            _ => {}
        }
    }
    let Some(tracks) = tracks else {
        return reject("a WebM or Matroska file without a track list");
    };
    verdict(reader, webm, &info, &tracks, has_blocks)
}

fn verdict(reader: &mut Reader<'_>, webm: bool, info: &Info, tracks: &[Track], has_blocks: bool) -> Result<Probe> {
    let of = |kind: TrackKind| tracks.iter().filter(move |track| track.kind == kind);
    let (video, audio) = (
        of(TrackKind::Video).collect::<Vec<_>>(),
        of(TrackKind::Audio).collect::<Vec<_>>(),
    );
    let Some(picture) = video.iter().copied().find(|track| track.codec.playable) else {
        return reject(match (video.first(), audio.first()) {
            (Some(track), _) => format!("{} video, which browsers cannot play", track.codec.describe()),
            (None, Some(track)) => format!("audio only: {}", track.codec.describe()),
            (None, None) => "a WebM or Matroska file without a video track".to_owned(),
        });
    };
    if let Some(silent) = audio.first()
        && !audio.iter().any(|track| track.codec.playable)
    {
        return reject(format!(
            "{} video with {} sound, which browsers cannot play",
            picture.codec.name,
            silent.codec.describe()
        ));
    }
    if !has_blocks {
        return reject("a WebM or Matroska file without pictures");
    }
    let (width, height) = picture.display_size();
    if width == 0 || height == 0 {
        return reject("a video without a picture size");
    }
    let ticks = match info.duration_ticks {
        Some(ticks) => Some(ticks),
        None => tail::last_moment(reader)?.map(|ticks| ticks as f64),
    };
    let duration = ticks
        .map(|ticks| (ticks * info.scale as f64 / 1e6).round())
        .filter(|ms| (1.0..=MAX_DURATION_MS).contains(ms));
    let codecs = |tracks: &[&Track]| tracks.iter().map(|track| track.codec.clone()).collect::<Vec<Codec>>();
    let as_webm = webm
        || [&video[..], &audio[..]]
            .concat()
            .iter()
            .all(|track| WEBM_CODECS.contains(&track.codec.name.as_str()));
    Ok(Probe {
        container: if webm { Container::WebM } else { Container::Matroska },
        // More browsers know the name WebM than Matroska; the formats are the same.
        mime: if as_webm { "video/webm" } else { "video/x-matroska" }.to_owned(),
        codecs: super::codec_list(&codecs(&[&[picture], &video[..]].concat()), &codecs(&audio)),
        duration_ms: duration.map(|ms| ms as u64),
        width,
        height,
        fragmented: false,
    })
}

fn document_type(reader: &mut Reader<'_>, header: &Element) -> Result<String> {
    if header.unknown_size {
        return reject("a WebM or Matroska file with a broken header");
    }
    let mut children = Elements::children(header);
    let mut name = "matroska".to_owned();
    while let Some(child) = children.next(reader)? {
        if child.id == id::DOC_TYPE {
            name = string(reader, &child)?;
        }
    }
    if name != "webm" && name != "matroska" {
        return reject("an EBML document that is neither WebM nor Matroska");
    }
    Ok(name)
}

fn read_info(reader: &mut Reader<'_>, element: &Element) -> Result<Info> {
    let mut info = Info {
        scale: 1_000_000,
        duration_ticks: None,
    };
    let mut children = Elements::children(element);
    while let Some(child) = children.next(reader)? {
        match child.id {
            id::TIMESTAMP_SCALE => info.scale = unsigned(reader, &child)?,
            id::DURATION => {
                info.duration_ticks = Some(float(reader, &child)?).filter(|ticks| ticks.is_finite() && *ticks > 0.0)
            }
            _ => {}
        }
    }
    if info.scale == 0 {
        return reject("a WebM or Matroska file without a clock (TimestampScale 0)");
    }
    Ok(info)
}

/// Whether the first cluster begins with a block.
fn first_block(reader: &mut Reader<'_>, cluster: &Element) -> Result<bool> {
    let mut children = Elements::children(cluster);
    for _ in 0..MAX_BEFORE_BLOCK {
        match children.next(reader)? {
            Some(child) if matches!(child.id, id::SIMPLE_BLOCK | id::BLOCK_GROUP) => return Ok(child.len() > 4),
            Some(child) if child.unknown_size => return Ok(false),
            Some(_) => {}
            None => return Ok(false),
        }
    }
    Ok(false)
}
