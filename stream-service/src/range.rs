//! Which bytes of a representation a `Range` header asks for (RFC 9110 section 14).
//!
//! Pure: a header and a size in, a [`Plan`] out. One satisfiable range is served exactly; two to five ascending, disjoint
//! ranges become `multipart/byteranges`; more, overlapping or unordered ones are the known way to make a server send a file
//! many times over (RFC 9110 section 17.15), so they get the whole file once. What can't be parsed is ignored, as the RFC
//! tells us to.

pub mod multipart;

/// Ranges of one request that are still worth framing. Players ask for one, download managers and PDF readers for two to four.
pub const MAX_RANGES: usize = 5;

/// Room for a `Content-Range`: three numbers of 20 digits.
const CONTENT_RANGE: usize = 70;

/// Longest `Range` header looked at, bytes. Five ranges of 20-digit numbers need 215; anything longer is not a player's.
const MAX_HEADER: usize = 512;

/// Bytes `start..end` of a representation; never empty, `end` is exclusive and at most the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub start: u64,
    pub end: u64,
}

impl ByteRange {
    #[expect(
        clippy::len_without_is_empty,
        reason = "a range is never empty: that is its invariant"
    )]
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// The value of `Content-Range` for a representation of `size` bytes (RFC 9110 section 14.4).
    pub fn content_range(&self, size: u64) -> String {
        // Written for every range that a player asks for: without `format!`, in one piece of memory.
        let mut text = String::with_capacity(CONTENT_RANGE);
        let mut number = itoa::Buffer::new();
        for (before, value) in [("bytes ", self.start), ("-", self.end - 1), ("/", size)] {
            text.push_str(before);
            text.push_str(number.format(value));
        }
        text
    }
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// 200 with everything.
    Whole,
    /// 206 with exactly these bytes.
    One(ByteRange),
    /// 206 `multipart/byteranges`: two to [`MAX_RANGES`] ascending, disjoint ranges.
    Many(Vec<ByteRange>),
    /// 416: the header is well-formed and no range in it lies within the file.
    Unsatisfiable,
}

/// Decides what a request with this `Range` header gets from a file of `size` bytes. The caller has already applied
/// `If-Range` and knows that the method is GET (a `Range` on anything else is ignored, RFC 9110 section 14.2).
pub fn plan(header: Option<&[u8]>, size: u64) -> Plan {
    let Some(mut ranges) = header.and_then(|header| parse(header, size)) else {
        return Plan::Whole;
    };
    if ranges.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return Plan::Whole;
    }
    match ranges.len() {
        0 => Plan::Unsatisfiable,
        1 => Plan::One(ranges.remove(0)),
        _ => Plan::Many(ranges),
    }
}

/// One `range-spec`, with positions that don't fit 64 bits saturated: no file reaches that far.
#[derive(Clone, Copy, Debug)]
enum Spec {
    From { first: u64, last: Option<u64> },
    Suffix(u64),
}

impl Spec {
    fn within(self, size: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Spec::From { first, last } => (first, last.map_or(size, |last| last.saturating_add(1).min(size))),
            Spec::Suffix(length) => (size.saturating_sub(length), size),
        };
        (start < end).then_some(ByteRange { start, end })
    }
}

/// Those of a list of specs after `bytes=` that lie within a file of `size` bytes; `None` for another unit, for anything the grammar
/// does not know, and for more than are served.
fn parse(header: &[u8], size: u64) -> Option<Vec<ByteRange>> {
    if header.len() > MAX_HEADER {
        return None;
    }
    let (unit, set) = header.split_at_checked("bytes".len())?;
    let set = set.strip_prefix(b"=")?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let (mut ranges, mut specs) = (Vec::with_capacity(1), 0);
    for element in set.split(|byte| *byte == b',') {
        let element = trimmed(element);
        // A recipient accepts empty list elements (RFC 9110 section 5.6.1.2).
        if !element.is_empty() {
            specs += 1;
            ranges.extend(parse_spec(element)?.within(size));
        }
    }
    (1..=MAX_RANGES).contains(&specs).then_some(ranges)
}

/// Without optional whitespace (RFC 9110 section 5.6.3) around it.
fn trimmed(mut element: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = element {
        element = rest;
    }
    element
}

fn parse_spec(element: &[u8]) -> Option<Spec> {
    let dash = element.iter().position(|byte| *byte == b'-')?;
    match (&element[..dash], &element[dash + 1..]) {
        (b"", length) => Some(Spec::Suffix(position(length)?)),
        (first, b"") => Some(Spec::From {
            first: position(first)?,
            last: None,
        }),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            // An int-range that ends before it starts is invalid, which makes the whole header invalid.
            (first <= last).then_some(Spec::From {
                first,
                last: Some(last),
            })
        }
    }
}

/// Decimal digits only: no sign, no space. Saturates.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(start: u64, end: u64) -> Plan {
        Plan::One(ByteRange { start, end })
    }

    fn many(ranges: &[(u64, u64)]) -> Plan {
        Plan::Many(ranges.iter().map(|&(start, end)| ByteRange { start, end }).collect())
    }

    #[track_caller]
    fn check(header: &str, size: u64, expected: Plan) {
        assert_eq!(plan(Some(header.as_bytes()), size), expected, "{header:?} of {size}");
    }

    #[test]
    fn no_header_is_the_whole_file() {
        assert_eq!(plan(None, 1000), Plan::Whole);
    }

    #[test]
    fn single_ranges() {
        check("bytes=0-0", 1000, one(0, 1));
        check("bytes=0-499", 1000, one(0, 500));
        check("bytes=500-999", 1000, one(500, 1000));
        check("bytes=500-", 1000, one(500, 1000));
        check("bytes=0-", 1000, one(0, 1000));
        check("bytes=999-", 1000, one(999, 1000));
        check("bytes=-1", 1000, one(999, 1000));
        check("bytes=-1000", 1000, one(0, 1000));
        check("bytes=-5000", 1000, one(0, 1000));
        check("bytes=0-9999", 1000, one(0, 1000));
        check("bytes=00000000000000000000000000-01", 1000, one(0, 2));
        check("BYTES=1-2", 1000, one(1, 3));
        check("bytes= 1-2 ", 1000, one(1, 3));
        check("bytes=,1-2,,", 1000, one(1, 3));
    }

    #[test]
    fn unsatisfiable_ranges() {
        check("bytes=1000-", 1000, Plan::Unsatisfiable);
        check("bytes=1000-1001", 1000, Plan::Unsatisfiable);
        check("bytes=-0", 1000, Plan::Unsatisfiable);
        check("bytes=0-", 0, Plan::Unsatisfiable);
        check("bytes=-5", 0, Plan::Unsatisfiable);
        check("bytes=5000-6000,7000-", 1000, Plan::Unsatisfiable);
    }

    #[test]
    fn numbers_that_overflow_saturate() {
        check("bytes=99999999999999999999999-", 1000, Plan::Unsatisfiable);
        check(
            "bytes=18446744073709551615-18446744073709551615",
            1000,
            Plan::Unsatisfiable,
        );
        check("bytes=0-18446744073709551615", 1000, one(0, 1000));
        check("bytes=0-99999999999999999999999", 1000, one(0, 1000));
        check("bytes=-99999999999999999999999", 1000, one(0, 1000));
        check("bytes=5-", u64::MAX, one(5, u64::MAX));
    }

    #[test]
    fn what_cannot_be_parsed_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=1",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=5-4",
            "bytes=0x0-1",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes=1-2-3",
            "bytes 1-2",
            "items=0-1",
            "seconds=1-2",
            "bytes=0-1,5-4",
            "bytes=0-1;2-3",
            "bytes=١-٢",
            "bytes=-1-2",
            "=0-1",
            "bytes==0-1",
            "bytes =0-1",
        ] {
            check(header, 1000, Plan::Whole);
        }
        check(&format!("bytes={}0-1", " ".repeat(MAX_HEADER)), 1000, Plan::Whole);
    }

    #[test]
    fn two_to_five_ascending_ranges_become_parts() {
        check("bytes=0-1,5-6", 1000, many(&[(0, 2), (5, 7)]));
        check("bytes=0-1, 5-6 ,\t8-", 1000, many(&[(0, 2), (5, 7), (8, 1000)]));
        check("bytes=0-0,-1", 1000, many(&[(0, 1), (999, 1000)]));
        check(
            "bytes=0-0,2-2,4-4,6-6,8-8",
            1000,
            many(&[(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]),
        );
        check("bytes=0-4,5-9", 1000, many(&[(0, 5), (5, 10)]));
    }

    #[test]
    fn unsatisfiable_members_of_a_set_are_dropped() {
        check("bytes=0-1,2000-3000", 1000, one(0, 2));
        check("bytes=2000-3000,0-1,5-5", 1000, many(&[(0, 2), (5, 6)]));
    }

    #[test]
    fn absurd_sets_get_the_whole_file() {
        check("bytes=0-0,2-2,4-4,6-6,8-8,10-10", 1000, Plan::Whole);
        check("bytes=0-5,5-9", 1000, Plan::Whole);
        check("bytes=0-,0-,0-", 1000, Plan::Whole);
        check("bytes=500-600,0-1", 1000, Plan::Whole);
        check("bytes=0-999,-1", 1000, Plan::Whole);
    }

    #[test]
    fn content_range_names_inclusive_ends() {
        assert_eq!(ByteRange { start: 0, end: 500 }.content_range(1234), "bytes 0-499/1234");
    }
}
