//! The fields of a request's head, however they were decoded.

use actix_web::http::header::{HeaderMap, HeaderName};

#[derive(Debug, Clone, Copy)]
pub enum Fields<'a> {
    /// By the framework.
    Map(&'a HeaderMap),
    /// By httparse, in the order of the wire.
    Lines(&'a [httparse::Header<'a>]),
}

impl<'a> Fields<'a> {
    /// All lines, with the names as they came. Those of different names have no order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let (map, lines) = match self {
            Fields::Map(map) => (Some(map), [].iter()),
            Fields::Lines(lines) => (None, lines.iter()),
        };
        let map = map.into_iter().flat_map(HeaderMap::iter);
        map.map(|(name, value)| (name.as_str(), value.as_bytes()))
            .chain(lines.map(|line| (line.name, line.value)))
    }

    #[must_use]
    pub fn has(self, name: &HeaderName) -> bool {
        self.all(name).next().is_some()
    }

    /// The values of all lines of a field, in their order.
    pub fn all(self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let (values, lines) = match self {
            Fields::Map(map) => (map.get_all(name), [].iter()),
            Fields::Lines(lines) => ([].iter(), lines.iter()),
        };
        let lines = lines.filter(move |line| line.name.eq_ignore_ascii_case(name.as_str()));
        values.map(|value| value.as_bytes()).chain(lines.map(|line| line.value))
    }

    /// As [`Fields::all`], without the lines that are no text (visible ASCII, as `HeaderValue::to_str`).
    pub fn texts(self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a str> {
        self.all(name).filter_map(text)
    }

    /// The first line of a field, if it is text.
    #[must_use]
    pub fn text(self, name: &HeaderName) -> Option<&'a str> {
        self.all(name).next().and_then(text)
    }
}

/// As `HeaderValue::to_str`: visible ASCII.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let visible = value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    visible.then(|| std::str::from_utf8(value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{self, HeaderValue};

    use super::*;

    #[test]
    fn both_ways_of_decoding_read_the_same() {
        let lines = [
            ("rAnge", &b"a"[..]),
            ("Host", b"h"),
            ("range", b"\xff"),
            ("RANGE", b"c"),
        ];
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let lines = lines.map(|(name, value)| httparse::Header { name, value });
        for fields in [Fields::Map(&map), Fields::Lines(&lines)] {
            assert_eq!(
                fields.all(&header::RANGE).collect::<Vec<_>>(),
                [&b"a"[..], b"\xff", b"c"]
            );
            assert_eq!(fields.texts(&header::RANGE).collect::<Vec<_>>(), ["a", "c"]);
            assert_eq!(fields.text(&header::HOST), Some("h"));
            assert_eq!(fields.text(&header::IF_RANGE), None);
            assert!(fields.has(&header::HOST) && !fields.has(&header::IF_RANGE));
            let mut all: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect();
            all.sort_by(|(name, _), (other, _)| name.cmp(other));
            let expected = [
                ("host", &b"h"[..]),
                ("range", b"a"),
                ("range", b"\xff"),
                ("range", b"c"),
            ];
            assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)));
        }
    }
}
