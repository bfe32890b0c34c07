//! The client's half of RFC 6455, as much of it as a load client needs: frames of a server are parsed where they were
//! read, frames of the client are built once and sent many times (so they share one mask, which is fine on loopback).

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x88];

#[derive(Debug, PartialEq)]
pub enum Parsed<'a> {
    /// A whole frame, and the bytes it took.
    Frame(u8, &'a [u8], usize),
    /// The rest is still to come.
    More,
    /// Masked, fragmented or with reserved bits: no server here sends that.
    Bad,
}

pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let [first, second, rest @ ..] = bytes else {
        return Parsed::More;
    };
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Parsed::Bad;
    }
    let (head, length) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (10, usize::try_from(length).unwrap_or(usize::MAX))
        }
        (126 | 127, _) => return Parsed::More,
        (length, _) => (2, usize::from(length)),
    };
    match bytes.get(head..).and_then(|body| body.get(..length)) {
        Some(payload) => Parsed::Frame(first & 0x0f, payload, head + length),
        None => Parsed::More,
    }
}

/// A masked frame of one piece.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame of a server, for the proof of the client.
pub fn unmasked(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("the proof's messages are short");
    let mut frame = vec![0x80 | TEXT, 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The header of a masked binary frame that declares `length` bytes, and nothing of them.
pub fn header(length: u64) -> Vec<u8> {
    let mut frame = vec![0x80 | BINARY, 0x80 | 127];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&MASK);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_parsed_when_it_is_whole() {
        let frame = unmasked(b"hello");
        for end in 0..frame.len() {
            assert_eq!(parse(&frame[..end]), Parsed::More);
        }
        assert_eq!(parse(&frame), Parsed::Frame(TEXT, b"hello", frame.len()));
        assert_eq!(parse(&masked(TEXT, b"hello")), Parsed::Bad);
        assert_eq!(parse(&[0x01, 0x00]), Parsed::Bad);
    }

    #[test]
    fn what_is_masked_comes_back() {
        let frame = masked(TEXT, b"hello");
        let back: Vec<u8> = frame[6..].iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m).collect();
        assert_eq!((frame[1], back.as_slice()), (0x85, b"hello".as_slice()));
    }
}
