//! `moov`: the movie header and its tracks, as far as playing depends on them.

use super::super::{Result, codec::Codec, reader::Reader, reject};
use super::boxes::{BoxHeader, Boxes};
use super::sample_entry::{self, SampleEntry};
use super::tables::{Samples, Tables};

/// Tracks of one movie. Cameras write up to ten.
const MAX_TRACKS: usize = 64;

#[derive(Default)]
pub struct Movie {
    timescale: u32,
    duration: u64,
    fragment_duration: u64,
    pub compressed: bool,
    pub tracks: Vec<Track>,
    pub defaults: Vec<FragmentDefaults>,
}

/// `trex`: what a fragment doesn't say itself.
#[derive(Clone, Copy)]
pub struct FragmentDefaults {
    pub track: u32,
    pub duration: u32,
    pub size: u32,
}

pub struct Track {
    pub id: u32,
    handler: [u8; 4],
    pub timescale: u32,
    /// In the track's own clock; 0 when unknown.
    pub duration: u64,
    /// Whether the matrix turns the picture by a quarter.
    turned: bool,
    /// Width and height of `tkhd`, whole pixels.
    header_size: (u32, u32),
    coded_size: (u32, u32),
    pixel_shape: Option<(u32, u32)>,
    pub codec: Codec,
    tables: Tables,
    pub samples: Samples,
}

impl Movie {
    pub fn read(reader: &mut Reader<'_>, moov: &BoxHeader) -> Result<Self> {
        let mut movie = Self::default();
        let mut children = Boxes::children(moov);
        while let Some(child) = children.next(reader)? {
            match &child.kind {
                b"mvhd" => (movie.timescale, movie.duration) = times(reader, &child)?,
                b"cmov" => movie.compressed = true,
                b"mvex" => movie.read_fragment_defaults(reader, &child)?,
                b"trak" => {
                    if movie.tracks.len() == MAX_TRACKS {
                        return reject(format!("an MP4 with more than {MAX_TRACKS} tracks"));
                    }
                    movie.tracks.extend(Track::read(reader, &child)?);
                }
                _ => {}
            }
        }
        Ok(movie)
    }

    fn read_fragment_defaults(&mut self, reader: &mut Reader<'_>, mvex: &BoxHeader) -> Result<()> {
        let mut children = Boxes::children(mvex);
        while let Some(child) = children.next(reader)? {
            match &child.kind {
                b"mehd" if child.len() >= 8 => {
                    let wide = reader.bytes(child.body, 1)?[0] == 1 && child.len() >= 12;
                    self.fragment_duration = if wide {
                        reader.u64(child.body + 4)?
                    } else {
                        u64::from(reader.u32(child.body + 4)?)
                    };
                }
                b"trex" if child.len() >= 24 && self.defaults.len() < MAX_TRACKS => {
                    self.defaults.push(FragmentDefaults {
                        track: reader.u32(child.body + 4)?,
                        duration: reader.u32(child.body + 12)?,
                        size: reader.u32(child.body + 16)?,
                    })
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn duration_ms(&self) -> Option<u64> {
        milliseconds(self.duration, self.timescale)
    }

    pub fn fragment_duration_ms(&self) -> Option<u64> {
        milliseconds(self.fragment_duration, self.timescale)
    }
}

impl Track {
    /// `None` for a track that is neither sound nor picture: nothing depends on it.
    fn read(reader: &mut Reader<'_>, trak: &BoxHeader) -> Result<Option<Self>> {
        let (mut header, mut media) = (None, None);
        let mut children = Boxes::children(trak);
        while let Some(child) = children.next(reader)? {
            match &child.kind {
                b"tkhd" => header = Some(child),
                b"mdia" => media = Some(child),
                _ => {}
            }
        }
        let Some(media) = media else {
            return reject("an MP4 with a track that has no media (mdia)");
        };
        let (mut handler, mut info, mut clock) = ([0; 4], None, (0, 0));
        let mut children = Boxes::children(&media);
        while let Some(child) = children.next(reader)? {
            match &child.kind {
                b"mdhd" => clock = times(reader, &child)?,
                b"hdlr" if child.len() >= 12 => handler = reader.array(child.body + 8)?,
                b"minf" => info = Some(child),
                _ => {}
            }
        }
        if !matches!(&handler, b"vide" | b"soun") {
            return Ok(None);
        }
        let Some(info) = info else {
            return reject("an MP4 with a track that has no media information (minf)");
        };
        let (tables, references) = Tables::find(reader, &info)?;
        let entry = sample_entry::read(reader, &tables.descriptions()?, &handler, &references)?;
        let (id, turned, header_size) = header.map_or(Ok((0, false, (0, 0))), |header| geometry(reader, &header))?;
        let SampleEntry {
            codec,
            size: coded_size,
            pixel_shape,
        } = entry;
        let (timescale, duration) = clock;
        let samples = Samples::default();
        Ok(Some(Self {
            id,
            handler,
            timescale,
            duration,
            turned,
            header_size,
            coded_size,
            pixel_shape,
            codec,
            tables,
            samples,
        }))
    }

    pub fn is_video(&self) -> bool {
        &self.handler == b"vide"
    }

    pub fn is_audio(&self) -> bool {
        &self.handler == b"soun"
    }

    /// Checks the tables against each other and against the file.
    pub fn check(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        if self.timescale == 0 {
            return reject("an MP4 with a track without a clock (timescale 0)");
        }
        self.samples = self.tables.check(reader)?;
        if let (Some(length), Some((offset, size))) = (self.codec.nal_length, self.samples.first) {
            check_first_picture(reader, length, offset, size)?;
        }
        Ok(())
    }

    pub fn duration_ms(&self) -> Option<u64> {
        milliseconds(self.duration, self.timescale)
    }

    /// Pixels as shown: the shape of the pixels, then the turn.
    pub fn display_size(&self) -> (u32, u32) {
        let (width, height) = match (self.coded_size, self.pixel_shape) {
            ((0, _) | (_, 0), _) => self.header_size,
            ((width, height), Some((across, down))) => {
                let wide = (u64::from(width) * u64::from(across) + u64::from(down) / 2) / u64::from(down);
                (
                    u32::try_from(wide)
                        .ok()
                        .filter(|&wide| wide > 0 && wide <= 65_535)
                        .unwrap_or(width),
                    height,
                )
            }
            (size, None) => size,
        };
        if self.turned { (height, width) } else { (width, height) }
    }
}

/// The first NAL unit of the first picture must lie within it: offsets that are off by some bytes are found here.
fn check_first_picture(reader: &mut Reader<'_>, length: usize, offset: u64, size: u64) -> Result<()> {
    if size <= length as u64 {
        return Ok(());
    }
    let head = reader.bytes(offset, length + 1)?;
    let unit = head[..length]
        .iter()
        .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    if unit == 0 || unit > size - length as u64 || head[length] & 0x80 != 0 {
        return reject("an MP4 whose tables do not point at its pictures");
    }
    Ok(())
}

/// Timescale and duration of `mvhd` or `mdhd`, either version. An unknown duration (all ones) is 0.
fn times(reader: &mut Reader<'_>, header: &BoxHeader) -> Result<(u32, u64)> {
    let wide = header.len() >= 4 && reader.bytes(header.body, 1)?[0] == 1;
    if header.len() < if wide { 32 } else { 20 } {
        return reject(format!("an MP4 whose \"{}\" is too short", header.name()));
    }
    let (timescale, duration) = if wide {
        (
            reader.u32(header.body + 20)?,
            Some(reader.u64(header.body + 24)?).filter(|&duration| duration != u64::MAX),
        )
    } else {
        let duration = Some(reader.u32(header.body + 16)?).filter(|&duration| duration != u32::MAX);
        (reader.u32(header.body + 12)?, duration.map(u64::from))
    };
    Ok((timescale, duration.unwrap_or(0)))
}

/// Track id, quarter turn and size from `tkhd`.
fn geometry(reader: &mut Reader<'_>, tkhd: &BoxHeader) -> Result<(u32, bool, (u32, u32))> {
    let wide = tkhd.len() >= 4 && reader.bytes(tkhd.body, 1)?[0] == 1;
    let (id_at, matrix_at) = if wide { (20, 52) } else { (12, 40) };
    if tkhd.len() < matrix_at + 44 {
        return reject("an MP4 whose \"tkhd\" is too short");
    }
    let id = reader.u32(tkhd.body + id_at)?;
    let mut cell = |index: u64| reader.u32(tkhd.body + matrix_at + index * 4);
    let turned = cell(0)? == 0 && cell(4)? == 0 && cell(1)? != 0 && cell(3)? != 0;
    let size = (cell(9)? >> 16, cell(10)? >> 16);
    Ok((id, turned, size))
}

/// `None` for no clock or no duration. Never overflows.
pub fn milliseconds(duration: u64, timescale: u32) -> Option<u64> {
    if timescale == 0 || duration == 0 {
        return None;
    }
    let ms = (u128::from(duration) * 1000 + u128::from(timescale) / 2) / u128::from(timescale);
    u64::try_from(ms).ok()
}
