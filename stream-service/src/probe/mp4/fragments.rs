//! `moof`: how long each track goes on through the fragments of a file.

use super::super::{
    Result,
    reader::{Cursor, Reader},
    reject,
};
use super::boxes::{BoxHeader, Boxes};
use super::movie::{FragmentDefaults, Movie, milliseconds};

/// Samples of one run that need no byte each; more than a day of sound.
const MAX_FREE_SAMPLES: u64 = 1 << 22;

/// Begin and end of what the fragments hold, per track, in the track's own clock.
#[derive(Default)]
pub struct Timeline {
    tracks: Vec<Span>,
}

struct Span {
    track: u32,
    begin: u64,
    end: u64,
    samples: u64,
}

/// What `tfhd` says for a track within a fragment.
struct Fragment {
    track: u32,
    begin: Option<u64>,
    duration: u32,
    size: u32,
}

impl Timeline {
    /// Adds one fragment. Tracks that the movie does not declare are left out.
    pub fn add(&mut self, reader: &mut Reader<'_>, moof: &BoxHeader, movie: &Movie) -> Result<()> {
        let mut children = Boxes::children(moof);
        while let Some(child) = children.next(reader)? {
            if &child.kind == b"traf" {
                self.add_track(reader, &child, movie)?;
            }
        }
        Ok(())
    }

    fn add_track(&mut self, reader: &mut Reader<'_>, traf: &BoxHeader, movie: &Movie) -> Result<()> {
        let mut fragment = Fragment {
            track: 0,
            begin: None,
            duration: 0,
            size: 0,
        };
        let (mut length, mut samples) = (0u64, 0u64);
        let mut children = Boxes::children(traf);
        while let Some(child) = children.next(reader)? {
            match &child.kind {
                b"tfhd" => fragment = header(reader, &child, &movie.defaults)?,
                b"tfdt" if child.len() >= 8 => {
                    let wide = reader.bytes(child.body, 1)?[0] == 1 && child.len() >= 12;
                    fragment.begin = Some(if wide {
                        reader.u64(child.body + 4)?
                    } else {
                        u64::from(reader.u32(child.body + 4)?)
                    });
                }
                b"trun" => {
                    let (duration, count) = run(reader, &child, &fragment)?;
                    (length, samples) = (length.saturating_add(duration), samples.saturating_add(count));
                }
                _ => {}
            }
        }
        let Some(track) = movie.tracks.iter().find(|track| track.id == fragment.track) else {
            return Ok(());
        };
        let span = match self.tracks.iter_mut().position(|span| span.track == fragment.track) {
            Some(known) => &mut self.tracks[known],
            None => {
                // Fragments go on where the samples of the movie itself end.
                let before = if track.samples.count > 0 {
                    Some(track.duration)
                } else {
                    None
                };
                let begin = if before.is_some() {
                    0
                } else {
                    fragment.begin.unwrap_or(0)
                };
                self.tracks.push(Span {
                    track: track.id,
                    begin,
                    end: before.unwrap_or(begin),
                    samples: 0,
                });
                let last = self.tracks.len() - 1;
                &mut self.tracks[last]
            }
        };
        let begin = fragment.begin.unwrap_or(span.end);
        span.end = span.end.max(begin.saturating_add(length));
        span.samples = span.samples.saturating_add(samples);
        Ok(())
    }

    /// Whether the fragments hold a sample of this track.
    pub fn has(&self, track: u32) -> bool {
        self.tracks.iter().any(|span| span.track == track && span.samples > 0)
    }

    /// From the first to the last moment of any track, milliseconds.
    pub fn span_ms(&self, movie: &Movie) -> Option<u64> {
        let spans = self.tracks.iter().filter_map(|span| {
            let clock = movie.tracks.iter().find(|track| track.id == span.track)?.timescale;
            Some((
                milliseconds(span.begin, clock).unwrap_or(0),
                milliseconds(span.end, clock)?,
            ))
        });
        let (begin, end) = spans.reduce(|(begin, end), span| (begin.min(span.0), end.max(span.1)))?;
        end.checked_sub(begin)
    }
}

fn header(reader: &mut Reader<'_>, tfhd: &BoxHeader, defaults: &[FragmentDefaults]) -> Result<Fragment> {
    if tfhd.len() < 8 {
        return reject("an MP4 whose \"tfhd\" is too short");
    }
    let flags = reader.u32(tfhd.body)?;
    let track = reader.u32(tfhd.body + 4)?;
    let preset = defaults.iter().find(|preset| preset.track == track);
    let (mut duration, mut size) = preset.map_or((0, 0), |preset| (preset.duration, preset.size));
    let mut at = tfhd.body + 8;
    for (flag, bytes) in [(0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4)] {
        if flags & flag == 0 {
            continue;
        }
        if at + bytes > tfhd.end {
            return reject("an MP4 whose \"tfhd\" is too short");
        }
        match flag {
            0x8 => duration = reader.u32(at)?,
            0x10 => size = reader.u32(at)?,
            _ => {}
        }
        at += bytes;
    }
    Ok(Fragment {
        track,
        begin: None,
        duration,
        size,
    })
}

/// Duration and number of the samples of a `trun`.
fn run(reader: &mut Reader<'_>, trun: &BoxHeader, fragment: &Fragment) -> Result<(u64, u64)> {
    if trun.len() < 8 {
        return reject("an MP4 whose \"trun\" is too short");
    }
    let flags = reader.u32(trun.body)? & 0xff_ffff;
    let count = u64::from(reader.u32(trun.body + 4)?);
    let start = trun.body + 8 + u64::from((flags & 0x1).count_ones() + (flags & 0x4).count_ones()) * 4;
    let width = u64::from((flags & 0xf00).count_ones()) * 4;
    if start > trun.end || count * width > trun.end - start {
        return reject("an MP4 whose table \"trun\" says more entries than it holds");
    }
    let (mut duration, mut size) = (0u64, 0u64);
    if flags & 0x100 == 0 {
        duration = count.saturating_mul(u64::from(fragment.duration));
    }
    if flags & 0x200 == 0 {
        size = count.saturating_mul(u64::from(fragment.size));
    }
    if flags & 0x300 != 0 {
        let mut cursor = Cursor::new(start, start + count * width);
        for _ in 0..count {
            for flag in [0x100, 0x200, 0x400, 0x800]
                .into_iter()
                .filter(|flag| flags & flag != 0)
            {
                let value = cursor
                    .next(reader)?
                    .map_or(0, |bytes| u64::from(u32::from_be_bytes(bytes)));
                match flag {
                    0x100 => duration = duration.saturating_add(value),
                    0x200 => size = size.saturating_add(value),
                    _ => {}
                }
            }
        }
    }
    if size > reader.size() || (width == 0 && count > MAX_FREE_SAMPLES) {
        return reject(format!(
            "an MP4 with a fragment that says {count} samples, more than the file has"
        ));
    }
    Ok((duration, count))
}
