//! What the fuzz target `frame` does with its input, as a plain function: the tests of web-proxy run it over the corpus and
//! over mutations of it on stable Rust. The codec must agree with a naive decoder, however the bytes are cut.

#[path = "reference.rs"]
pub mod reference;

use reference::{Event, decode};
use web_proxy::gateway::frame::{Decoder, Incoming, Opcode, encode};

/// The input is one byte that chooses the limit, one that chooses where to cut, and what the client sends.
pub fn frame(data: &[u8]) {
    if let [limit, cuts, stream @ ..] = data {
        check(stream, usize::from(*limit) * 8, u64::from(*cuts));
    }
}

/// Panics when the codec and the naive decoder disagree about `stream`, or the codec with itself over where it is cut.
pub fn check(stream: &[u8], max_message: usize, seed: u64) {
    let expected = decode(stream, max_message);
    assert_eq!(
        run(stream, max_message, |rest| rest),
        expected,
        "in one piece: {stream:02x?}"
    );
    assert_eq!(run(stream, max_message, |_| 1), expected, "byte by byte: {stream:02x?}");
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let random = |rest: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1 + (state as usize % 24).min(rest - 1)
    };
    assert_eq!(
        run(stream, max_message, random),
        expected,
        "in pieces by {seed}: {stream:02x?}"
    );
    for event in &expected {
        round_trip(event);
    }
}

/// Feeds `stream` in pieces, whose sizes `next_piece` says when told what is left.
pub fn run(stream: &[u8], max_message: usize, mut next_piece: impl FnMut(usize) -> usize) -> Vec<Event> {
    let mut decoder = Decoder::new(max_message);
    let mut events = Vec::new();
    let mut left = stream;
    while !left.is_empty() {
        let (piece, rest) = left.split_at(next_piece(left.len()));
        left = rest;
        let mut piece = piece.to_vec();
        let mut bytes = &mut piece[..];
        loop {
            let event = match decoder.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Incoming::Text(text))) => Event::Text(text.into_owned().into_bytes()),
                Ok(Some(Incoming::Binary(payload))) => Event::Binary(payload.into_owned()),
                Ok(Some(Incoming::Ping(payload))) => Event::Ping(payload.into_owned()),
                Ok(Some(Incoming::Pong)) => Event::Pong,
                Ok(Some(Incoming::Close(close))) => {
                    Event::Close(close.map(|(code, reason)| (code, reason.into_owned().into_bytes())))
                }
                Err(violation) => Event::Error(violation.code.into()),
            };
            events.push(event);
        }
        assert!(bytes.is_empty(), "bytes are left though nothing comes out");
    }
    if !decoder.is_idle() {
        events.push(Event::Pending);
    }
    events
}

/// What the server would send on, masked as a client does, is the same message.
fn round_trip(event: &Event) {
    let (opcode, payload) = match event {
        Event::Text(payload) => (Opcode::Text, payload),
        Event::Binary(payload) => (Opcode::Binary, payload),
        Event::Ping(payload) => (Opcode::Ping, payload),
        _ => return,
    };
    let mut frame = Vec::new();
    encode(opcode, payload, &mut frame);
    let head = frame.len() - payload.len();
    // A key of zeros: the payload stays as it is.
    frame[1] |= 0x80;
    frame.splice(head..head, [0; 4]);
    assert_eq!(
        decode(&frame, payload.len()),
        std::slice::from_ref(event),
        "encoded: {frame:02x?}"
    );
}
