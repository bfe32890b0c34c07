//! Close codes: those we send, and which of the peer's are allowed on the wire.

use std::borrow::Cow;

use super::Violation;

/// The codes this server sends. A client does not reconnect after 4400 and 4401, and does after the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    Normal = 1000,
    GoingAway = 1001,
    /// The frames break RFC 6455.
    Protocol = 1002,
    /// Text that is not UTF-8.
    InvalidText = 1007,
    TooBig = 1009,
    /// The server restarts: come back after a random 1 to 15 s.
    Restart = 1012,
    /// Frames are fine, what they say is not a request.
    Envelope = 4400,
    SignedOut = 4401,
    TooSlow = 4408,
    TooManyCalls = 4429,
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        code as u16
    }
}

/// May this code stand in a close frame? RFC 6455 section 7.4.2, with the codes that the IANA registry has added since
/// (1012 to 1014). 1004 has no meaning, 1005, 1006 and 1015 are for reporting only, 3000 to 4999 are the applications'.
fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a close frame (RFC 6455 section 5.5.1): nothing, or a code and a reason.
pub(super) fn parse(payload: Cow<'_, [u8]>) -> Result<Option<(u16, Cow<'_, str>)>, Violation> {
    let Some((code, _)) = payload.split_first_chunk::<2>() else {
        return match payload.len() {
            0 => Ok(None),
            _ => Err(Violation::protocol("close frame of one byte")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !is_allowed(code) {
        return Err(Violation::protocol("close code not allowed"));
    }
    let reason = match payload {
        Cow::Borrowed(bytes) => std::str::from_utf8(&bytes[2..]).map(Cow::Borrowed),
        Cow::Owned(bytes) => std::str::from_utf8(&bytes[2..]).map(|reason| Cow::Owned(reason.to_owned())),
    };
    Ok(Some((code, reason.map_err(|_| Violation::invalid_text())?)))
}
