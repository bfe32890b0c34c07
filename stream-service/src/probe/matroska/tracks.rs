//! `Tracks`: what the tracks are.

use super::super::{
    Result,
    codec::{self, Codec},
    reader::Reader,
    reject,
};
use super::elements::{Element, Elements, id, string, unsigned};

/// Tracks of one file.
const MAX_TRACKS: usize = 64;

/// Bytes of a CodecPrivate that are looked at; Vorbis has some thousand, and we need none of them.
const MAX_PRIVATE: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    Video,
    Audio,
    Other,
}

#[derive(Clone)]
pub struct Track {
    pub kind: TrackKind,
    pub codec: Codec,
    pixels: (u64, u64),
    display: (u64, u64),
    display_unit: u64,
}

impl Track {
    /// Pixels as shown (RFC 9559 section 5.1.4.1.28.12 and following).
    pub fn display_size(&self) -> (u32, u32) {
        let (width, height) = match (self.display_unit, self.display) {
            (0, (width, height)) if width > 0 && height > 0 => (width, height),
            // A shape: the height stays, the width follows.
            (3, (across, down)) if across > 0 && down > 0 => {
                (self.pixels.1.saturating_mul(across) / down, self.pixels.1)
            }
            _ => self.pixels,
        };
        match (u16::try_from(width), u16::try_from(height)) {
            (Ok(width), Ok(height)) => (width.into(), height.into()),
            _ => (0, 0),
        }
    }
}

pub fn read(reader: &mut Reader<'_>, element: &Element) -> Result<Vec<Track>> {
    if element.unknown_size {
        return reject("a WebM or Matroska file with a track list of no known size");
    }
    let mut tracks = Vec::new();
    let mut children = Elements::children(element);
    while let Some(child) = children.next(reader)? {
        if child.id == id::TRACK_ENTRY {
            if tracks.len() == MAX_TRACKS {
                return reject(format!("a WebM or Matroska file with more than {MAX_TRACKS} tracks"));
            }
            tracks.push(read_entry(reader, &child)?);
        }
    }
    Ok(tracks)
}

fn read_entry(reader: &mut Reader<'_>, entry: &Element) -> Result<Track> {
    let (mut kind, mut name, mut private) = (TrackKind::Other, String::new(), Vec::new());
    let (mut pixels, mut display, mut display_unit) = ((0, 0), (0, 0), 0);
    let mut children = Elements::children(entry);
    while let Some(child) = children.next(reader)? {
        match child.id {
            id::TRACK_TYPE => {
                kind = match unsigned(reader, &child)? {
                    1 => TrackKind::Video,
                    2 => TrackKind::Audio,
                    _ => TrackKind::Other,
                }
            }
            id::CODEC_ID => name = string(reader, &child)?,
            id::CODEC_PRIVATE => {
                private = reader
                    .bytes(child.body, child.len().min(MAX_PRIVATE) as usize)?
                    .to_vec()
            }
            id::CONTENT_ENCODINGS if is_encrypted(reader, &child)? => return reject("an encrypted video"),
            id::VIDEO => {
                let mut settings = Elements::children(&child);
                while let Some(setting) = settings.next(reader)? {
                    match setting.id {
                        id::PIXEL_WIDTH => pixels.0 = unsigned(reader, &setting)?,
                        id::PIXEL_HEIGHT => pixels.1 = unsigned(reader, &setting)?,
                        id::DISPLAY_WIDTH => display.0 = unsigned(reader, &setting)?,
                        id::DISPLAY_HEIGHT => display.1 = unsigned(reader, &setting)?,
                        id::DISPLAY_UNIT => display_unit = unsigned(reader, &setting)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let codec = match (kind, codec::matroska(&name, &private)) {
        (_, Some(codec)) => codec,
        (TrackKind::Other, None) => Codec::new(name.clone(), name, false),
        (_, None) => {
            return reject(format!(
                "a Matroska file whose {name} decoder configuration is missing or damaged"
            ));
        }
    };
    Ok(Track {
        kind,
        codec,
        pixels,
        display,
        display_unit,
    })
}

fn is_encrypted(reader: &mut Reader<'_>, encodings: &Element) -> Result<bool> {
    let mut children = Elements::children(encodings);
    while let Some(encoding) = children.next(reader)? {
        if encoding.id != id::CONTENT_ENCODING {
            continue;
        }
        let mut settings = Elements::children(&encoding);
        while let Some(setting) = settings.next(reader)? {
            if setting.id == id::CONTENT_ENCRYPTION {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
