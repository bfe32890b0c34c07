//! Text that arrives in pieces: checked as it comes, so that bytes which cannot become UTF-8 end the connection at once and
//! not when the message would be complete (RFC 6455 section 8.1; Autobahn's cases 6.4 call it fail-fast).

use std::str::from_utf8;

use super::Violation;
use super::partial::growth;

/// A text of which everything but a last unfinished character is known to be UTF-8.
#[derive(Default)]
pub(super) struct PartialText {
    text: String,
    /// The first bytes of a character whose others have not come; at most 3.
    tail: [u8; 3],
    tail_len: u8,
}

impl PartialText {
    /// Bytes received so far.
    pub(super) fn len(&self) -> usize {
        self.text.len() + usize::from(self.tail_len)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Adds what has arrived. The whole will not be longer than `bound` bytes, so no more is ever set aside.
    pub(super) fn push(&mut self, bytes: &[u8], bound: usize) -> Result<(), Violation> {
        let more = usize::from(self.tail_len) + bytes.len();
        self.text
            .reserve_exact(growth(self.text.len(), self.text.capacity(), more, bound));
        let bytes = self.finish_tail(bytes)?;
        let (valid, tail) = split(bytes)?;
        self.text.push_str(valid);
        if !tail.is_empty() {
            self.tail[..tail.len()].copy_from_slice(tail);
            self.tail_len = tail.len() as u8;
        }
        Ok(())
    }

    /// The message is complete: so must its last character be.
    pub(super) fn finish(self) -> Result<String, Violation> {
        if self.tail_len == 0 {
            Ok(self.text)
        } else {
            Err(Violation::invalid_text())
        }
    }

    /// Completes the unfinished character, if there is one, with the first of `bytes`; returns the others.
    fn finish_tail<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8], Violation> {
        while self.tail_len > 0
            && let Some((&byte, rest)) = bytes.split_first()
        {
            let len = usize::from(self.tail_len);
            let mut character = [0; 4];
            character[..len].copy_from_slice(&self.tail[..len]);
            character[len] = byte;
            let (valid, tail) = split(&character[..=len])?;
            self.text.push_str(valid);
            self.tail[..tail.len()].copy_from_slice(tail);
            self.tail_len = tail.len() as u8;
            bytes = rest;
        }
        Ok(bytes)
    }
}

/// Splits off a character that is not complete. What can't be the beginning of one, whatever follows, is refused.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Violation> {
    match from_utf8(bytes) {
        Ok(text) => Ok((text, &[])),
        Err(error) if error.error_len().is_some() => Err(Violation::invalid_text()),
        Err(error) => {
            let (valid, tail) = bytes.split_at(error.valid_up_to());
            Ok((from_utf8(valid).map_err(|_| Violation::invalid_text())?, tail))
        }
    }
}
