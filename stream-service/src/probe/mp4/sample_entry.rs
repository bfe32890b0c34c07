//! `stsd`: what the samples of a track are, and where their bytes are said to lie.

use super::super::{
    Result,
    codec::{self, Codec},
    reader::Reader,
    reject,
};
use super::boxes::{BoxHeader, Boxes, fourcc_text};

/// Entries of one track that are looked at. More than one is a change of format within the track, and rare.
const MAX_ENTRIES: u32 = 32;

/// Bytes of a decoder configuration that are looked at; the largest seen is 200.
const MAX_CONFIG: u64 = 4096;

pub struct SampleEntry {
    pub codec: Codec,
    pub size: (u32, u32),
    pub pixel_shape: Option<(u32, u32)>,
}

/// Reads the first entry, and refuses encryption and bytes in other files in any. `external` holds, per data reference,
/// whether it points outside of this file.
pub fn read(reader: &mut Reader<'_>, stsd: &BoxHeader, handler: &[u8; 4], external: &[bool]) -> Result<SampleEntry> {
    if stsd.len() < 8 {
        return reject("an MP4 whose \"stsd\" is too short");
    }
    let count = reader.u32(stsd.body + 4)?;
    if count == 0 || count > MAX_ENTRIES {
        return reject(format!("an MP4 with {count} sample descriptions in a track"));
    }
    let mut entries = Boxes::new(stsd.body + 8, stsd.end);
    let mut first = None;
    for _ in 0..count {
        let Some(entry) = entries.next(reader)? else {
            return reject("an MP4 that lacks a sample description");
        };
        let (fixed, video) = if handler == b"vide" { (78, true) } else { (28, false) };
        if entry.len() < fixed {
            return reject(format!(
                "an MP4 whose sample description \"{}\" is too short",
                entry.name()
            ));
        }
        if matches!(&entry.kind, b"encv" | b"enca" | b"drmi" | b"drms") {
            return reject("an encrypted video");
        }
        let reference = u16::from_be_bytes(reader.array(entry.body + 6)?);
        if external
            .get(usize::from(reference).wrapping_sub(1))
            .is_some_and(|&external| external)
        {
            return reject("an MP4 whose pictures or sound lie in another file");
        }
        if first.is_none() {
            first = Some(if video {
                video_entry(reader, &entry)?
            } else {
                audio_entry(reader, &entry)?
            });
        }
    }
    match first {
        Some(entry) => Ok(entry),
        None => reject("an MP4 that lacks a sample description"),
    }
}

fn video_entry(reader: &mut Reader<'_>, entry: &BoxHeader) -> Result<SampleEntry> {
    let [a, b, c, d] = reader.array(entry.body + 24)?;
    let size = (
        u32::from(u16::from_be_bytes([a, b])),
        u32::from(u16::from_be_bytes([c, d])),
    );
    let fourcc = fourcc_text(entry.kind);
    let wanted = match &entry.kind {
        b"avc1" | b"avc3" | b"dva1" | b"dvav" => b"avcC",
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => b"hvcC",
        b"av01" => b"av1C",
        b"vp08" | b"vp09" => b"vpcC",
        _ => {
            return Ok(SampleEntry {
                codec: codec::plain(&fourcc),
                size,
                pixel_shape: None,
            });
        }
    };
    let (mut config, mut pixel_shape) = (None, None);
    let mut children = Boxes::new(entry.body + 78, entry.end);
    while let Some(child) = children.next(reader)? {
        if &child.kind == wanted {
            config = Some(content(reader, &child)?);
        } else if &child.kind == b"pasp" && child.len() >= 8 {
            let (across, down) = (reader.u32(child.body)?, reader.u32(child.body + 4)?);
            pixel_shape = (across > 0 && down > 0).then_some((across, down));
        }
    }
    let config = config.unwrap_or_default();
    let codec = match wanted {
        b"avcC" => codec::avc(&fourcc, &config),
        b"hvcC" => codec::hevc(&fourcc, &config),
        b"av1C" => Some(codec::av1(&config)),
        _ => Some(codec::vp(&fourcc, &config)),
    };
    match codec {
        Some(codec) => Ok(SampleEntry {
            codec,
            size,
            pixel_shape,
        }),
        None => reject(format!(
            "an MP4 whose {fourcc} decoder configuration is missing or damaged"
        )),
    }
}

fn audio_entry(reader: &mut Reader<'_>, entry: &BoxHeader) -> Result<SampleEntry> {
    let fourcc = fourcc_text(entry.kind);
    let codec = if &entry.kind == b"mp4a" {
        codec::mpeg4_audio(elementary_stream(reader, entry)?.as_deref())
    } else {
        codec::plain(&fourcc)
    };
    Ok(SampleEntry {
        codec,
        size: (0, 0),
        pixel_shape: None,
    })
}

/// The `esds` of a sound entry, which QuickTime versions 1 and 2 put further back, or into a `wave`.
fn elementary_stream(reader: &mut Reader<'_>, entry: &BoxHeader) -> Result<Option<Vec<u8>>> {
    let extra = match u16::from_be_bytes(reader.array(entry.body + 8)?) {
        1 => 16,
        2 => 36,
        _ => 0,
    };
    let mut children = Boxes::new(entry.body + 28 + extra, entry.end);
    // What follows a sound entry is often odd and nothing depends on it but the name of the codec: errors mean "not found".
    while let Ok(Some(child)) = children.next(reader) {
        match &child.kind {
            b"esds" => return Ok(Some(content(reader, &child)?)),
            b"wave" => children = Boxes::children(&child),
            _ => {}
        }
    }
    Ok(None)
}

fn content(reader: &mut Reader<'_>, header: &BoxHeader) -> Result<Vec<u8>> {
    Ok(reader
        .bytes(header.body, header.len().min(MAX_CONFIG) as usize)?
        .to_vec())
}
