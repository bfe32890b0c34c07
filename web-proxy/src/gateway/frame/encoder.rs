//! Frames as the server sends them: whole, unmasked, their length in the shortest form (RFC 6455 section 5.2).

use super::{MAX_CONTROL_PAYLOAD, Opcode};

/// Appends one whole frame (FIN set) to `out`. The payload of a control frame must be at most 125 bytes: [`close`],
/// [`ping`] and [`pong`] see to it.
pub fn encode(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(
        !opcode.is_control() || payload.len() <= MAX_CONTROL_PAYLOAD,
        "control frame too long"
    );
    out.reserve(10 + payload.len());
    out.push(0x80 | opcode as u8);
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// A text message as one frame.
pub fn text(payload: &str) -> Vec<u8> {
    frame(Opcode::Text, payload.as_bytes())
}

/// A ping; of a payload longer than 125 bytes only these are sent.
pub fn ping(payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Ping, &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)])
}

/// The answer to a ping, with its payload; of one longer than 125 bytes only these are sent.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Pong, &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)])
}

/// A close frame. A reason longer than the 123 bytes there is room for is cut at a character's end.
pub fn close(code: impl Into<u16>, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - 2)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.into().to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(Opcode::Close, &payload)
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(opcode, payload, &mut out);
    out
}
