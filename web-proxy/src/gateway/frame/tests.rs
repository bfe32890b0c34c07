//! Tests of the codec.

mod masking;
mod memory;
mod vectors;

use super::{Decoder, Incoming, Opcode, close, encode, ping};

/// What a client would send: masked.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

#[test]
fn frames_come_out_in_order() {
    let mut bytes = [
        masked(0x01, b"Hel"),
        masked(0x89, b"?"),
        masked(0x80, b"lo"),
        masked(0x81, b"!"),
    ]
    .concat();
    let mut decoder = Decoder::new(100);
    let mut rest = &mut bytes[..];
    assert_eq!(decoder.next(&mut rest), Ok(Some(Incoming::Ping(b"?"[..].into()))));
    assert!(!decoder.is_idle());
    assert_eq!(decoder.next(&mut rest), Ok(Some(Incoming::Text("Hello".into()))));
    assert!(decoder.is_idle());
    assert_eq!(decoder.next(&mut rest), Ok(Some(Incoming::Text("!".into()))));
    assert_eq!(decoder.next(&mut rest), Ok(None));
}

#[test]
fn encoded_lengths_take_the_shortest_form() {
    for (len, head) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (0xFFFF, &[0x82, 126, 0xFF, 0xFF]),
        (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let payload = vec![7; len];
        let mut out = Vec::new();
        encode(Opcode::Binary, &payload, &mut out);
        assert_eq!(out, [head, &payload].concat());
    }
}

#[test]
fn control_payloads_are_cut_to_what_fits() {
    assert_eq!(ping(&[1; 200]).len(), 2 + 125);
    let frame = close(1001u16, &"é".repeat(100));
    assert_eq!(frame[..4], [0x88, 124, 0x03, 0xE9]);
    assert_eq!(std::str::from_utf8(&frame[4..]), Ok(&*"é".repeat(61)));
}

/// The codes of the table in design/gateway.md, and those of the RFC for frames.
#[test]
fn close_codes_are_the_documented_ones() {
    use super::CloseCode::*;
    for (code, number) in [
        (Normal, 1000),
        (GoingAway, 1001),
        (Protocol, 1002),
        (InvalidText, 1007),
        (TooBig, 1009),
        (Restart, 1012),
        (Envelope, 4400),
        (SignedOut, 4401),
        (TooSlow, 4408),
        (TooManyCalls, 4429),
    ] {
        let code: u16 = code.into();
        assert_eq!(code, number);
    }
}

#[test]
fn nothing_is_read_after_the_end() {
    for end in [masked(0x88, b""), masked(0x83, b"")] {
        let mut bytes = [end, masked(0x81, b"Hello")].concat();
        let mut decoder = Decoder::new(100);
        let mut rest = &mut bytes[..];
        assert!(!matches!(decoder.next(&mut rest), Ok(None | Some(Incoming::Text(_)))));
        assert!(rest.is_empty());
        let mut more = masked(0x81, b"Hello");
        let mut rest = &mut more[..];
        assert_eq!(decoder.next(&mut rest), Ok(None));
        assert!(rest.is_empty() && decoder.is_idle());
    }
}
