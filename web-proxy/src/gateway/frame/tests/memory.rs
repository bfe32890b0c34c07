//! What a connection costs: nothing while idle, what has arrived while something is incomplete, never what was declared.

use super::masked;
use crate::gateway::frame::partial::{Message, growth};
use crate::gateway::frame::{Decoder, Incoming, Opcode};

/// Bytes on the heap for payload.
fn set_aside(decoder: &Decoder) -> usize {
    let Some(partial) = &decoder.partial else { return 0 };
    let message = match &partial.message {
        Some(Message::Text(text)) => text.capacity(),
        Some(Message::Binary(bytes)) => bytes.capacity(),
        None => 0,
    };
    message + partial.control.capacity()
}

fn feed(decoder: &mut Decoder, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    assert_eq!(decoder.next(&mut &mut bytes[..]), Ok(None));
}

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 24);
}

#[test]
fn nothing_is_kept_between_messages() {
    let stream = [
        masked(0x81, b"Hello"),
        masked(0x89, b"?"),
        masked(0x02, b"a"),
        masked(0x80, b"b"),
    ]
    .concat();
    for size in 1..stream.len() {
        let mut decoder = Decoder::new(100);
        for piece in stream.chunks(size) {
            let mut piece = piece.to_vec();
            let mut bytes = &mut piece[..];
            while decoder.next(&mut bytes).unwrap().is_some() {}
        }
        assert!(decoder.partial.is_none(), "pieces of {size}");
    }
    let mut decoder = Decoder::new(100);
    let mut ends_badly = [masked(0x01, b"Hello"), masked(0x81, b"")].concat();
    decoder.next(&mut &mut ends_badly[..]).unwrap_err();
    assert!(decoder.partial.is_none());
}

#[test]
fn what_is_whole_is_not_copied() {
    let mut bytes = masked(0x81, b"Hello");
    let payload = bytes.as_ptr_range();
    let mut rest = &mut bytes[..];
    let Ok(Some(Incoming::Text(text))) = Decoder::new(100).next(&mut rest) else {
        panic!()
    };
    assert!(payload.contains(&text.as_ptr()));
}

#[test]
fn a_declared_length_costs_nothing() {
    for first in [0x81, 0x82] {
        let mut decoder = Decoder::new(1 << 30);
        feed(&mut decoder, &[first, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(set_aside(&decoder), 0);
    }
}

#[test]
fn memory_follows_what_has_arrived() {
    const LIMIT: usize = 50_000;
    for first in [0x81, 0x82] {
        let mut decoder = Decoder::new(LIMIT);
        let key = [0x41; 4];
        feed(&mut decoder, &[&[first, 0xFE, 0xC3, 0x50][..], &key].concat());
        for arrived in 1..LIMIT {
            feed(&mut decoder, &[0]);
            let cost = set_aside(&decoder);
            assert!(cost <= LIMIT && cost < 2 * arrived.max(8), "{cost} bytes for {arrived}");
        }
    }
}

#[test]
fn control_frames_cost_no_more_than_they_may_hold() {
    let mut decoder = Decoder::new(1 << 20);
    let ping = masked(0x89, &[7; 125]);
    feed(&mut decoder, &ping[..6]);
    for byte in &ping[6..130] {
        feed(&mut decoder, &[*byte]);
        assert!(set_aside(&decoder) <= 256);
    }
}

#[test]
fn buffers_double_until_the_bound() {
    // (length, capacity, more, bound): what to reserve beyond the length.
    for ((len, capacity, more, bound), expected) in [
        ((0, 0, 10, 100), 10),
        ((10, 10, 1, 100), 10),
        ((10, 20, 1, 100), 1),
        ((60, 60, 1, 100), 40),
        ((60, 60, 40, 100), 40),
        ((100, 100, 0, 100), 0),
    ] {
        assert_eq!(
            growth(len, capacity, more, bound),
            expected,
            "{len} {capacity} {more} {bound}"
        );
    }
}

#[test]
fn messages_that_are_joined_count_all_their_bytes() {
    let mut text = Message::new(Opcode::Text);
    text.push(b"a", 10).unwrap();
    text.push(&"€".as_bytes()[..2], 10).unwrap();
    assert_eq!(text.len(), 3);
}
