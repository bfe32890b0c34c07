//! Bodies whose length nobody knows (RFC 9112 section 7.1).

/// What ends such a body, without trailers.
pub const LAST: &[u8] = b"0\r\n\r\n";

/// `piece` as a chunk; nothing of an empty one, which would end the body.
pub fn of(piece: &[u8]) -> Vec<u8> {
    if piece.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_say_their_length_and_are_never_empty() {
        assert_eq!(of(b"sluice, sluice, sluice"), b"16\r\nsluice, sluice, sluice\r\n");
        assert_eq!(of(b""), b"");
    }
}
