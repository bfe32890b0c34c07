//! Masking (RFC 6455 section 5.3): every client frame is XORed with a key of four bytes.

/// Unmasks a piece of a payload in place, eight bytes at a time (the compiler makes wider ones of it). `key` is turned so
/// that the next piece of the same frame can be unmasked with it, wherever this piece ended.
pub(super) fn unmask(payload: &mut [u8], key: &mut [u8; 4]) {
    let [a, b, c, d] = *key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    key.rotate_left(payload.len() % 4);
}
