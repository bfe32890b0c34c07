//! EBML elements (RFC 8794): a loop over siblings, each checked against what contains it.

use super::super::{Result, reader::Reader, reject};

/// Element ids with their marker bits (RFC 9559 section 5).
pub mod id {
    pub const DOC_TYPE: u32 = 0x4282;
    pub const SEGMENT: u32 = 0x1853_8067;
    pub const INFO: u32 = 0x1549_a966;
    pub const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub const DURATION: u32 = 0x4489;
    pub const TRACKS: u32 = 0x1654_ae6b;
    pub const TRACK_ENTRY: u32 = 0xae;
    pub const TRACK_TYPE: u32 = 0x83;
    pub const CODEC_ID: u32 = 0x86;
    pub const CODEC_PRIVATE: u32 = 0x63a2;
    pub const CONTENT_ENCODINGS: u32 = 0x6d80;
    pub const CONTENT_ENCODING: u32 = 0x6240;
    pub const CONTENT_ENCRYPTION: u32 = 0x5035;
    pub const VIDEO: u32 = 0xe0;
    pub const PIXEL_WIDTH: u32 = 0xb0;
    pub const PIXEL_HEIGHT: u32 = 0xba;
    pub const DISPLAY_WIDTH: u32 = 0x54b0;
    pub const DISPLAY_HEIGHT: u32 = 0x54ba;
    pub const DISPLAY_UNIT: u32 = 0x54b2;
    pub const CLUSTER: u32 = 0x1f43_b675;
    pub const TIMESTAMP: u32 = 0xe7;
    pub const SIMPLE_BLOCK: u32 = 0xa3;
    pub const BLOCK_GROUP: u32 = 0xa0;
    pub const BLOCK: u32 = 0xa1;
}

#[derive(Clone, Copy, Debug)]
pub struct Element {
    pub id: u32,
    pub body: u64,
    /// At most the end of the parent; for an unknown size, the end of the parent.
    pub end: u64,
    pub unknown_size: bool,
}

impl Element {
    pub fn len(&self) -> u64 {
        self.end - self.body
    }
}

/// The elements between two positions.
pub struct Elements {
    at: u64,
    end: u64,
}

impl Elements {
    pub fn new(at: u64, end: u64) -> Self {
        Self { at, end }
    }

    pub fn children(parent: &Element) -> Self {
        Self::new(parent.body, parent.end)
    }

    pub fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<Element>> {
        if self.at >= self.end {
            return Ok(None);
        }
        reader.count_header()?;
        // An id has at most four bytes, a size at most eight.
        let available = (self.end - self.at).min(12) as usize;
        let head = reader.bytes(self.at, available)?;
        let Some((id, size, length)) = parse_header(head) else {
            return reject("a WebM or Matroska file that is cut off or damaged");
        };
        let body = self.at + length as u64;
        let left = self.end - body;
        if size.is_some_and(|size| size > left) {
            return reject(
                "a WebM or Matroska file that is cut off or damaged: an element says more bytes than are there",
            );
        }
        let end = body + size.unwrap_or(left);
        self.at = end;
        Ok(Some(Element {
            id,
            body,
            end,
            unknown_size: size.is_none(),
        }))
    }
}

/// Id, size (`None` when unknown) and length of an element's head.
fn parse_header(head: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let id_length = head.first()?.leading_zeros() as usize + 1;
    if id_length > 4 {
        return None;
    }
    let id = head
        .get(..id_length)?
        .iter()
        .fold(0u32, |id, &byte| id << 8 | u32::from(byte));
    let first = *head.get(id_length)?;
    let size_length = first.leading_zeros() as usize + 1;
    if size_length > 8 {
        return None;
    }
    let bytes = head.get(id_length..id_length + size_length)?;
    let raw = bytes.iter().fold(0u64, |size, &byte| size << 8 | u64::from(byte));
    let mask = (1u64 << (7 * size_length)) - 1;
    let size = Some(raw & mask).filter(|&size| size != mask);
    Some((id, size, id_length + size_length))
}

/// An unsigned integer of up to eight bytes; longer ones are refused.
pub fn unsigned(reader: &mut Reader<'_>, element: &Element) -> Result<u64> {
    if element.len() > 8 {
        return reject("a WebM or Matroska file with a number of impossible length");
    }
    let bytes = reader.bytes(element.body, element.len() as usize)?;
    Ok(bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

pub fn float(reader: &mut Reader<'_>, element: &Element) -> Result<f64> {
    match element.len() {
        4 => Ok(f64::from(f32::from_be_bytes(reader.array(element.body)?))),
        8 => Ok(f64::from_be_bytes(reader.array(element.body)?)),
        _ => Ok(0.0),
    }
}

/// Text of up to 256 bytes; what follows a NUL is padding.
pub fn string(reader: &mut Reader<'_>, element: &Element) -> Result<String> {
    let bytes = reader.bytes(element.body, element.len().min(256) as usize)?;
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(text
        .iter()
        .filter(|byte| byte.is_ascii_graphic())
        .map(|&byte| char::from(byte))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        assert_eq!(
            parse_header(&[0x1a, 0x45, 0xdf, 0xa3, 0x9f]),
            Some((0x1a45_dfa3, Some(31), 5))
        );
        assert_eq!(parse_header(&[0xec, 0x40, 0x02]), Some((0xec, Some(2), 3)));
        assert_eq!(parse_header(&[0xec, 0xff]), Some((0xec, None, 2)));
        assert_eq!(
            parse_header(&[0xec, 0x01, 255, 255, 255, 255, 255, 255, 255]),
            Some((0xec, None, 9))
        );
        assert_eq!(
            parse_header(&[0xec, 0x01, 255, 255, 255, 255, 255, 255, 254]),
            Some((0xec, Some((1 << 56) - 2), 9))
        );
        for cut in [&[][..], &[0x1a], &[0xec], &[0xec, 0x40], &[0, 0, 0, 0, 0], &[0xec, 0]] {
            assert_eq!(parse_header(cut), None, "{cut:?}");
        }
    }
}
