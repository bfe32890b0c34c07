//! The frame header (RFC 6455 section 5.2) and every rule that can be checked before the payload comes.

use super::{MAX_CONTROL_PAYLOAD, Opcode, Violation};

/// Two bytes, up to eight more of length, four of key.
pub(super) const MAX_HEADER: usize = 14;

/// A frame whose header is complete and allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub fin: bool,
    pub opcode: Opcode,
    pub key: [u8; 4],
    /// Of the payload, in bytes. Within the limit.
    pub len: usize,
}

/// What a header is judged by beside its own bytes.
#[derive(Clone, Copy)]
pub(super) struct Context {
    /// Bytes of a message whose last fragment has not come; `None` when no message is open.
    pub open: Option<usize>,
    /// Most bytes of a message.
    pub max_message: usize,
}

impl Header {
    /// Reads a header from the start of `bytes`: it and its length, or `None` when more bytes are needed. Rules are
    /// checked in the order of the bytes they stand in and as soon as those are there, so that the first rule broken is the
    /// same one however the bytes were cut.
    pub(super) fn parse(bytes: &[u8], context: Context) -> Result<Option<(Header, usize)>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let (fin, opcode) = parse_first(first, context.open.is_some())?;
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(Violation::protocol("frame not masked"));
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(Violation::protocol("control frame too long"));
        }
        let Some((declared, rest)) = parse_len(short, rest)? else {
            return Ok(None);
        };
        let len = within_limit(declared, opcode, context)?;
        let Some((&key, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        Ok(Some((Header { fin, opcode, key, len }, bytes.len() - rest.len())))
    }
}

fn parse_first(first: u8, message_open: bool) -> Result<(bool, Opcode), Violation> {
    if first & 0x70 != 0 {
        return Err(Violation::protocol("reserved bit set"));
    }
    let fin = first & 0x80 != 0;
    let Some(opcode) = Opcode::from_bits(first & 0x0F) else {
        return Err(Violation::protocol("reserved opcode"));
    };
    match opcode {
        Opcode::Continuation if !message_open => Err(Violation::protocol("continuation of nothing")),
        Opcode::Text | Opcode::Binary if message_open => Err(Violation::protocol("message inside a message")),
        Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => Err(Violation::protocol("fragmented control frame")),
        _ => Ok((fin, opcode)),
    }
}

/// The payload's length and the bytes after it. The shortest of the three forms must be used, and the top bit of the long
/// one is always 0.
fn parse_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (len, shortest, rest) = match short {
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), 126, rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), 1 << 16, rest),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if len >> 63 != 0 {
        return Err(Violation::protocol("length out of range"));
    }
    if len < shortest {
        return Err(Violation::protocol("length not in its shortest form"));
    }
    Ok(Some((len, rest)))
}

/// The limit holds for the whole message: what has come of it, and what this header says will. Control frames have their own.
fn within_limit(declared: u64, opcode: Opcode, context: Context) -> Result<usize, Violation> {
    let room = if opcode.is_control() {
        MAX_CONTROL_PAYLOAD
    } else {
        context.max_message.saturating_sub(context.open.unwrap_or(0))
    };
    match usize::try_from(declared) {
        Ok(len) if len <= room => Ok(len),
        _ => Err(Violation::too_big()),
    }
}
