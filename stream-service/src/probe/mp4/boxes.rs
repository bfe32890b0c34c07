//! Boxes (ISO/IEC 14496-12 section 4.2): a loop over siblings, each checked against what contains it.

use super::super::{Result, reader::Reader, reject};

/// Top-level boxes that must be whole: damage in one of these is damage, anything else at the end is a trailer.
const KNOWN: [&[u8; 4]; 10] = [
    b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"styp", b"sidx", b"mfra",
];

#[derive(Clone, Copy, Debug)]
pub struct BoxHeader {
    pub kind: [u8; 4],
    /// Where the content begins.
    pub body: u64,
    /// Where the box ends; at most the end of its parent.
    pub end: u64,
}

impl BoxHeader {
    pub fn name(&self) -> String {
        fourcc_text(self.kind)
    }

    pub fn len(&self) -> u64 {
        self.end - self.body
    }
}

/// Four characters for people and logs: what isn't printable ASCII becomes `?`.
pub fn fourcc_text(kind: [u8; 4]) -> String {
    kind.iter()
        .map(|&byte| {
            if (0x20..0x7f).contains(&byte) {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect()
}

/// The boxes between two positions.
pub struct Boxes {
    at: u64,
    end: u64,
}

impl Boxes {
    pub fn new(at: u64, end: u64) -> Self {
        Self { at, end }
    }

    pub fn children(parent: &BoxHeader) -> Self {
        Self::new(parent.body, parent.end)
    }

    /// The next box; `None` at the end. Up to seven odd bytes at the end are padding (QuickTime ends lists with four zeros).
    pub fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<BoxHeader>> {
        let left = self.end.saturating_sub(self.at);
        if left < 8 {
            return Ok(None);
        }
        reader.count_header()?;
        let head: [u8; 8] = reader.array(self.at)?;
        let [a, b, c, d, kind @ ..] = head;
        let (size, header) = match u32::from_be_bytes([a, b, c, d]) {
            // Runs to the end of what contains it.
            0 => (left, 8),
            1 if left < 16 => {
                return reject(format!(
                    "an MP4 whose box \"{}\" ends within its header",
                    fourcc_text(kind)
                ));
            }
            1 => (reader.u64(self.at + 8)?, 16),
            size => (u64::from(size), 8),
        };
        if size < header {
            return reject(format!(
                "an MP4 with an impossible box \"{}\" of {size} bytes",
                fourcc_text(kind)
            ));
        }
        if size > left {
            return reject(format!(
                "a file that is cut off or damaged: its box \"{}\" says {size} bytes, {left} are there",
                fourcc_text(kind)
            ));
        }
        let header = BoxHeader {
            kind,
            body: self.at + header,
            end: self.at + size,
        };
        self.at = header.end;
        Ok(Some(header))
    }

    /// Whether a box that we know begins here.
    pub fn at_known_box(&self, reader: &mut Reader<'_>) -> bool {
        reader
            .array::<8>(self.at)
            .is_ok_and(|head| KNOWN.iter().any(|known| head[4..] == known[..]))
    }
}
