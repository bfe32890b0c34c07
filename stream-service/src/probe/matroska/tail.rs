//! The moment of the last block, for live recordings, which don't know their duration when they write their header: the last
//! cluster is looked for from the end of the file, then walked.

use super::super::{ProbeError, Result, reader::Reader};
use super::elements::{Element, Elements, id, unsigned};

/// How far from the end the last cluster is looked for. Browsers begin one at each keyframe, or every some seconds.
const MAX_DISTANCE: u64 = 32 << 20;

/// Read at once while looking.
const STEP: u64 = 64 << 10;

const CLUSTER: [u8; 4] = id::CLUSTER.to_be_bytes();

/// The last timestamp in ticks of the segment, or `None` when no cluster can be found near the end.
pub fn last_moment(reader: &mut Reader<'_>) -> Result<Option<u64>> {
    let size = reader.size();
    let mut end = size;
    let mut buffer = Vec::new();
    while end > 4 && size - end < MAX_DISTANCE {
        let start = end.saturating_sub(STEP);
        buffer.resize((end - start) as usize, 0);
        reader.read_into(start, &mut buffer)?;
        let mut until = buffer.len();
        while let Some(found) = buffer[..until].windows(4).rposition(|window| window == CLUSTER) {
            match walk(reader, start + found as u64) {
                Ok(Some(moment)) => return Ok(Some(moment)),
                // Four bytes of a picture that look like a cluster.
                Ok(None) | Err(ProbeError::Rejected(_)) => until = found + 3,
                Err(error) => return Err(error),
            }
        }
        // The next window overlaps by three bytes, in case the id lies across.
        end = if start == 0 { 0 } else { start + 3 };
    }
    Ok(None)
}

/// Walks the cluster at `at` to the end of the file.
fn walk(reader: &mut Reader<'_>, at: u64) -> Result<Option<u64>> {
    let end = reader.size();
    let Some(cluster) = Elements::new(at, end).next(reader)? else {
        return Ok(None);
    };
    let (mut base, mut last) = (None, None);
    let mut children = Elements::children(&cluster);
    while reader.may_go_on() {
        let child = match children.next(reader) {
            Ok(Some(child)) => child,
            Ok(None) => break,
            // The last block may be cut off when the recording was; an error before any block means that this is no cluster.
            Err(ProbeError::Rejected(_)) if last.is_some() => break,
            Err(error) => return Err(error),
        };
        match (child.id, base) {
            (id::TIMESTAMP, _) => base = Some(unsigned(reader, &child)?),
            (id::SIMPLE_BLOCK, Some(base)) => last = last.max(moment(reader, &child, base)?),
            (id::BLOCK_GROUP, Some(base)) => {
                let mut parts = Elements::children(&child);
                while let Some(part) = parts.next(reader)? {
                    if part.id == id::BLOCK {
                        last = last.max(moment(reader, &part, base)?);
                    }
                }
            }
            // Cues and tags after the last cluster of unknown size.
            _ => {}
        }
    }
    Ok(last)
}

/// A block's time: that of its cluster plus its own signed 16 bits, which follow the track number.
fn moment(reader: &mut Reader<'_>, block: &Element, base: u64) -> Result<Option<u64>> {
    if block.len() < 4 {
        return Ok(None);
    }
    let head: [u8; 4] = reader.array(block.body)?;
    let relative = match head[0].leading_zeros() {
        0 => i16::from_be_bytes([head[1], head[2]]),
        1 => i16::from_be_bytes([head[2], head[3]]),
        _ => return Ok(None),
    };
    Ok(base.checked_add_signed(relative.into()))
}
