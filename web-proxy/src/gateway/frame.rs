//! The server's half of RFC 6455: bytes in, messages out, and back. Nothing in here knows a socket, a clock or a task.
//!
//! Promised: what is declared costs nothing, only what has arrived does (the size limit is applied at the frame header);
//! the verdict on a stream of bytes is the same however the network cut it; a connection of which nothing is half received
//! holds no heap. Refused: every extension (no RSV bit means anything), unmasked frames, longer encodings than needed.
//!
//! Frame errors carry the codes of RFC 6455 section 7.4.1 (1002, 1007, 1009). 4400 is for what stands inside a message.

mod close;
mod decoder;
mod encoder;
mod header;
mod masking;
mod partial;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

pub use close::CloseCode;
pub use decoder::Decoder;
pub use encoder::{close, encode, ping, pong, text};

/// The largest payload of a close, ping or pong frame, in bytes (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// What a frame is (RFC 6455 section 11.8). 3 to 7 and 11 to 15 are reserved and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }

    /// Control frames may stand between the fragments of a message and are handed out at once.
    fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What the decoder hands out: messages whole, their fragments joined; control frames at once. Borrowed from the bytes
/// just read where they held the whole frame, owned where it came in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    /// To be answered with [`pong`] and the same payload (at most 125 bytes).
    Ping(Cow<'a, [u8]>),
    Pong,
    /// Code and reason, if the peer gave them. The last thing a decoder hands out.
    Close(Option<(u16, Cow<'a, str>)>),
}

/// Why the connection must end: what to put into the close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    pub code: CloseCode,
    pub reason: &'static str,
}

impl Violation {
    const fn protocol(reason: &'static str) -> Violation {
        Violation {
            code: CloseCode::Protocol,
            reason,
        }
    }

    const fn invalid_text() -> Violation {
        Violation {
            code: CloseCode::InvalidText,
            reason: "text is not UTF-8",
        }
    }

    const fn too_big() -> Violation {
        Violation {
            code: CloseCode::TooBig,
            reason: "message too big",
        }
    }
}
