//! `stbl`: the tables that say where the samples lie. Walked side by side and compared with the size of the file, so that a
//! file that was cut, shifted or made to look huge is found without believing one of its counts.

use super::super::{
    Result,
    reader::{Cursor, Reader},
    reject,
};
use super::boxes::{BoxHeader, Boxes};

/// Data references of one track; one is usual.
const MAX_REFERENCES: usize = 256;

#[derive(Default)]
pub struct Tables {
    descriptions: Option<BoxHeader>,
    times: Option<BoxHeader>,
    sizes: Option<BoxHeader>,
    chunks: Option<BoxHeader>,
    offsets: Option<BoxHeader>,
}

/// What the tables add up to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Samples {
    pub count: u64,
    /// Offset and size of the first.
    pub first: Option<(u64, u64)>,
}

/// How large the samples are.
enum Sizes {
    All(u64),
    Each { cursor: Cursor, width: Width },
}

enum Width {
    Four,
    Two,
    One,
    /// Two samples per byte (`stz2` with 4-bit fields).
    Half {
        low: Option<u64>,
    },
}

impl Tables {
    /// Finds the tables below `minf`, and for each data reference whether it points outside of the file.
    pub fn find(reader: &mut Reader<'_>, minf: &BoxHeader) -> Result<(Self, Vec<bool>)> {
        let (mut tables, mut external) = (Self::default(), Vec::new());
        let mut children = Boxes::children(minf);
        while let Some(child) = children.next(reader)? {
            match &child.kind {
                b"stbl" => tables = Self::within(reader, &child)?,
                b"dinf" => external = references(reader, &child)?,
                _ => {}
            }
        }
        Ok((tables, external))
    }

    fn within(reader: &mut Reader<'_>, stbl: &BoxHeader) -> Result<Self> {
        let mut tables = Self::default();
        let mut children = Boxes::children(stbl);
        while let Some(child) = children.next(reader)? {
            match &child.kind {
                b"stsd" => tables.descriptions = Some(child),
                b"stts" => tables.times = Some(child),
                b"stsz" | b"stz2" => tables.sizes = Some(child),
                b"stsc" => tables.chunks = Some(child),
                b"stco" | b"co64" => tables.offsets = Some(child),
                _ => {}
            }
        }
        Ok(tables)
    }

    pub fn descriptions(&self) -> Result<BoxHeader> {
        required(self.descriptions, "stsd")
    }

    /// Walks all tables once. Cost: the bytes of the tables.
    pub fn check(&self, reader: &mut Reader<'_>) -> Result<Samples> {
        let (count, mut sizes) = sizes(reader, &required(self.sizes, "stsz")?)?;
        let mut samples = Samples { count, first: None };
        let timed = self.check_times(reader)?;
        if timed > count {
            return reject(format!(
                "an MP4 whose time table has {timed} samples where there are {count}"
            ));
        }
        if count == 0 {
            return Ok(samples);
        }
        let offsets = required(self.offsets, "stco")?;
        let wide = &offsets.kind == b"co64";
        let (chunk_count, mut offsets) = table(reader, &offsets, if wide { 8 } else { 4 })?;
        let mut runs = Runs::new(reader, &required(self.chunks, "stsc")?)?;
        let mut left = count;
        for chunk in 1..=chunk_count {
            let offset = if wide {
                offsets.next(reader)?.map(u64::from_be_bytes)
            } else {
                offsets.next(reader)?.map(|bytes| u64::from(u32::from_be_bytes(bytes)))
            };
            let Some(offset) = offset else { break };
            let samples_here = u64::from(runs.samples_of(reader, chunk)?).min(left);
            let (bytes, first) = sizes.sum(reader, samples_here)?;
            if offset.checked_add(bytes).is_none_or(|end| end > reader.size()) {
                return reject("an MP4 whose pictures or sound lie beyond its end: it is cut off");
            }
            if samples.first.is_none() && samples_here > 0 {
                samples.first = Some((offset, first));
            }
            left -= samples_here;
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            return reject(format!("an MP4 whose chunks hold {} of {count} samples", count - left));
        }
        Ok(samples)
    }

    /// The number of samples that `stts` gives times to.
    fn check_times(&self, reader: &mut Reader<'_>) -> Result<u64> {
        let (_, mut cursor) = table(reader, &required(self.times, "stts")?, 8)?;
        let mut total = 0u64;
        while let Some([a, b, c, d, ..]) = cursor.next::<8>(reader)? {
            total += u64::from(u32::from_be_bytes([a, b, c, d]));
        }
        Ok(total)
    }
}

fn required(found: Option<BoxHeader>, name: &str) -> Result<BoxHeader> {
    match found {
        Some(header) => Ok(header),
        None => reject(format!("an MP4 that lacks a table (\"{name}\")")),
    }
}

/// A full box that holds a count and that many entries of `width` bytes: the count, checked against the box, and its entries.
fn table(reader: &mut Reader<'_>, header: &BoxHeader, width: u64) -> Result<(u64, Cursor)> {
    if header.len() < 8 {
        return reject(format!("an MP4 whose \"{}\" is too short", header.name()));
    }
    let count = u64::from(reader.u32(header.body + 4)?);
    if count * width > header.len() - 8 {
        return reject(format!(
            "an MP4 whose table \"{}\" says more entries than it holds",
            header.name()
        ));
    }
    Ok((count, Cursor::new(header.body + 8, header.body + 8 + count * width)))
}

fn sizes(reader: &mut Reader<'_>, header: &BoxHeader) -> Result<(u64, Sizes)> {
    if header.len() < 12 {
        return reject("an MP4 whose \"stsz\" is too short");
    }
    let count = u64::from(reader.u32(header.body + 8)?);
    let field = reader.u32(header.body + 4)?;
    let compact = &header.kind == b"stz2";
    if !compact && field > 0 {
        if u64::from(field) * count > reader.size() {
            return reject(format!(
                "an MP4 that says {count} samples of {field} bytes, more than the file has"
            ));
        }
        return Ok((count, Sizes::All(u64::from(field))));
    }
    let (width, bytes) = match (compact, field & 0xff) {
        (false, _) => (Width::Four, count * 4),
        (true, 16) => (Width::Two, count * 2),
        (true, 8) => (Width::One, count),
        (true, 4) => (Width::Half { low: None }, count.div_ceil(2)),
        (true, _) => return reject("an MP4 whose \"stz2\" has an impossible field size"),
    };
    if bytes > header.len() - 12 {
        return reject(format!(
            "an MP4 whose table \"{}\" says more entries than it holds",
            header.name()
        ));
    }
    let start = header.body + 12;
    Ok((
        count,
        Sizes::Each {
            cursor: Cursor::new(start, start + bytes),
            width,
        },
    ))
}

impl Sizes {
    /// Bytes of the next `samples` samples, and of the first of them.
    fn sum(&mut self, reader: &mut Reader<'_>, samples: u64) -> Result<(u64, u64)> {
        match self {
            Self::All(size) => Ok((size.saturating_mul(samples), *size)),
            Self::Each { cursor, width } => {
                let (mut sum, mut first) = (0u64, 0);
                for index in 0..samples {
                    let size = width.next(cursor, reader)?;
                    if index == 0 {
                        first = size;
                    }
                    sum = sum.saturating_add(size);
                }
                Ok((sum, first))
            }
        }
    }
}

impl Width {
    fn next(&mut self, cursor: &mut Cursor, reader: &mut Reader<'_>) -> Result<u64> {
        Ok(match self {
            Self::Four => cursor
                .next(reader)?
                .map_or(0, |bytes| u64::from(u32::from_be_bytes(bytes))),
            Self::Two => cursor
                .next(reader)?
                .map_or(0, |bytes| u64::from(u16::from_be_bytes(bytes))),
            Self::One => cursor.next::<1>(reader)?.map_or(0, |[byte]| u64::from(byte)),
            Self::Half { low } => match low.take() {
                Some(size) => size,
                None => {
                    let [byte] = cursor.next::<1>(reader)?.unwrap_or_default();
                    *low = Some(u64::from(byte & 15));
                    u64::from(byte >> 4)
                }
            },
        })
    }
}

/// `stsc`: runs of chunks with the same number of samples.
struct Runs {
    cursor: Cursor,
    samples: u32,
    next: Option<(u32, u32)>,
}

impl Runs {
    fn new(reader: &mut Reader<'_>, header: &BoxHeader) -> Result<Self> {
        let (count, cursor) = table(reader, header, 12)?;
        let mut runs = Self {
            cursor,
            samples: 0,
            next: None,
        };
        runs.advance(reader)?;
        if count == 0 || runs.next.is_none_or(|(first, _)| first != 1) {
            return reject("an MP4 whose chunk table (\"stsc\") does not begin with the first chunk");
        }
        Ok(runs)
    }

    fn advance(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let before = self.next.map_or(0, |(first, _)| first);
        self.next = self
            .cursor
            .next::<12>(reader)?
            .map(|[a, b, c, d, e, f, g, h, ..]| (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
        if self.next.is_some_and(|(first, _)| first <= before) {
            return reject("an MP4 whose chunk table (\"stsc\") is out of order");
        }
        Ok(())
    }

    fn samples_of(&mut self, reader: &mut Reader<'_>, chunk: u64) -> Result<u32> {
        if let Some((first, samples)) = self.next
            && u64::from(first) == chunk
        {
            self.samples = samples;
            self.advance(reader)?;
        }
        Ok(self.samples)
    }
}

fn references(reader: &mut Reader<'_>, dinf: &BoxHeader) -> Result<Vec<bool>> {
    let mut external = Vec::new();
    let mut children = Boxes::children(dinf);
    while let Some(child) = children.next(reader)? {
        if &child.kind != b"dref" || child.len() < 8 {
            continue;
        }
        let mut entries = Boxes::new(child.body + 8, child.end);
        while let Some(entry) = entries.next(reader)? {
            // The lowest flag says "in this file".
            let inside = entry.len() >= 4 && reader.u32(entry.body)? & 1 == 1;
            if external.len() < MAX_REFERENCES {
                external.push(!inside);
            }
        }
    }
    Ok(external)
}
