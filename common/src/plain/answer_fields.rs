//! The fields of an answer, however it came.

use std::ops::Range;

use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;

/// Names in any case, in their order.
#[derive(Debug)]
pub enum AnswerFields {
    /// Ours.
    Named(Vec<(HeaderName, HeaderValue)>),
    /// Another server's.
    Read(ReadFields),
}

/// Fields that lie where httparse found them, so that passing them on makes nothing of each.
#[derive(Debug)]
pub struct ReadFields {
    read: Bytes,
    /// Of names and values.
    places: Vec<(Place, Place)>,
}

type Place = Range<usize>;

/// Room for those of an answer about media.
const USUAL: usize = 20;

impl ReadFields {
    /// None yet of what was `read`.
    #[must_use]
    pub fn new(read: Bytes) -> Self {
        let places = Vec::with_capacity(USUAL);
        ReadFields { read, places }
    }

    /// One more: a token and a value without control characters, both slices of what was read. Others are left out.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        if let (Some(name), Some(value)) = (self.place(name), self.place(value)) {
            self.places.push((name, value));
        }
    }

    fn place(&self, part: &[u8]) -> Option<Place> {
        let start = (part.as_ptr() as usize).checked_sub(self.read.as_ptr() as usize)?;
        let end = start.checked_add(part.len())?;
        (end <= self.read.len()).then_some(start..end)
    }
}

impl AnswerFields {
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (named, read, places): (&[_], &[u8], &[_]) = match self {
            AnswerFields::Named(fields) => (fields, &[], &[]),
            AnswerFields::Read(fields) => (&[], &fields.read, &fields.places),
        };
        let named = named
            .iter()
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        named.chain(
            places
                .iter()
                .map(|(name, value)| (&read[name.clone()], &read[value.clone()])),
        )
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let is = |other: &[u8]| other.eq_ignore_ascii_case(name.as_str().as_bytes());
        self.iter().find(|(other, _)| is(other)).map(|(_, value)| value)
    }

    /// As the framework has them.
    #[must_use]
    pub fn into_named(self) -> Vec<(HeaderName, HeaderValue)> {
        if let AnswerFields::Named(fields) = self {
            return fields;
        }
        // What httparse takes for names and values are some: both follow RFC 9110 section 5.
        let named = |(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?));
        self.iter().filter_map(named).collect()
    }
}

impl From<Vec<(HeaderName, HeaderValue)>> for AnswerFields {
    fn from(fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        AnswerFields::Named(fields)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header;

    use super::*;

    #[test]
    fn read_fields_are_those_that_were_read() {
        let read = Bytes::from_static(b"ETag: \"a\"\r\nX-A:\r\n");
        let mut fields = ReadFields::new(read.clone());
        fields.push(&read[..4], &read[6..9]);
        fields.push(&read[11..14], &read[15..15]);
        fields.push(b"elsewhere", &read[..1]);
        let fields = AnswerFields::Read(fields);
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [(&b"ETag"[..], &b"\"a\""[..]), (b"X-A", b"")]);
        assert_eq!(fields.get(&header::ETAG), Some(&b"\"a\""[..]));
        assert_eq!(fields.get(&header::AGE), None);
        let named = AnswerFields::from(fields.into_named());
        let all: Vec<_> = named.iter().collect();
        assert_eq!(all, [(&b"etag"[..], &b"\"a\""[..]), (b"x-a", b"")]);
    }
}
