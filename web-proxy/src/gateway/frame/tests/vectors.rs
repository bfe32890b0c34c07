//! Every line of tests/vectors/frames.txt, cut in every way.

#[path = "../../../../tests/vectors/vectors.rs"]
mod table;

use table::{Expected, MAX_MESSAGE, all};

use crate::gateway::frame::{Decoder, Incoming};

/// Feeds the pieces one after the other.
fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Expected> {
    let mut decoder = Decoder::new(MAX_MESSAGE);
    let mut events = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut bytes = &mut piece[..];
        loop {
            events.push(match decoder.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Incoming::Text(text))) => Expected::Text(text.into_owned()),
                Ok(Some(Incoming::Binary(payload))) => Expected::Binary(payload.into_owned()),
                Ok(Some(Incoming::Ping(payload))) => Expected::Ping(payload.into_owned()),
                Ok(Some(Incoming::Pong)) => Expected::Pong,
                Ok(Some(Incoming::Close(close))) => {
                    Expected::Close(close.map(|(code, reason)| (code, reason.into_owned())))
                }
                Err(violation) => Expected::Error(violation.code.into()),
            });
        }
        assert!(bytes.is_empty());
    }
    if !decoder.is_idle() {
        events.push(Expected::Pending);
    }
    events
}

#[test]
fn in_one_piece() {
    for vector in all() {
        assert_eq!(run([&vector.bytes[..]]), vector.expected, "{}", vector.name);
    }
}

#[test]
fn byte_by_byte() {
    for vector in all() {
        assert_eq!(run(vector.bytes.chunks(1)), vector.expected, "{}", vector.name);
    }
}

/// At every place, but of the long ones only near both ends and at some places between.
#[test]
fn cut_in_two() {
    for vector in all() {
        let len = vector.bytes.len();
        for at in (0..=len).filter(|at| len < 1000 || *at < 32 || len - at < 32 || at % 4099 == 0) {
            let (one, other) = vector.bytes.split_at(at);
            assert_eq!(run([one, other]), vector.expected, "{} cut at {at}", vector.name);
        }
    }
}

#[test]
fn cut_in_pieces_of_a_few_bytes() {
    for vector in all() {
        for size in [2, 3, 5, 7, 11, 1024, 1300] {
            assert_eq!(
                run(vector.bytes.chunks(size)),
                vector.expected,
                "{} by {size}",
                vector.name
            );
        }
    }
}

#[test]
fn the_table_is_what_it_says() {
    let vectors = all();
    let malformed = vectors
        .iter()
        .filter(|vector| matches!(vector.expected.last(), Some(Expected::Error(_))))
        .count();
    assert!(
        vectors.len() >= 300 && malformed >= 100,
        "{} vectors, {malformed} malformed",
        vectors.len()
    );
    let mut names: Vec<_> = vectors.iter().map(|vector| &vector.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), vectors.len(), "two vectors of the same name");
}

/// How many cases each of Autobahn's groups has.
const AUTOBAHN: &[(&str, usize)] = &[
    ("1.1", 8),
    ("1.2", 8),
    ("2", 11),
    ("3", 7),
    ("4.1", 5),
    ("4.2", 5),
    ("5", 20),
    ("6.1", 3),
    ("6.2", 4),
    ("6.3", 2),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 11),
    ("6.7", 4),
    ("6.8", 2),
    ("6.9", 4),
    ("6.10", 3),
    ("6.11", 5),
    ("6.12", 8),
    ("6.13", 5),
    ("6.14", 10),
    ("6.15", 1),
    ("6.16", 3),
    ("6.17", 5),
    ("6.18", 5),
    ("6.19", 5),
    ("6.20", 7),
    ("6.21", 8),
    ("6.22", 34),
    ("6.23", 7),
    ("7.1", 6),
    ("7.3", 6),
    ("7.5", 1),
    ("7.7", 13),
    ("7.9", 9),
    ("7.13", 2),
    ("10.1", 1),
];

/// So that they are covered also where Python 2.7 can't be had for Autobahn itself.
#[test]
fn every_autobahn_case_of_groups_1_to_7_and_10_has_a_vector() {
    let mut covered: Vec<String> = all().into_iter().flat_map(|vector| vector.autobahn).collect();
    covered.sort();
    let mut cases: Vec<String> = AUTOBAHN
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |case| format!("{group}.{case}")))
        .collect();
    cases.sort();
    assert_eq!(covered, cases);
}
