//! The table: what each request for the file gets, and what nginx makes of the same request where that is something else.
//!
//! In the lines of a request stand for what the file is: `{etag}` and `{date}` (its Last-Modified, also as `{date850}` and
//! `{asctime}`), `{earlier}` and `{later}` (a second off); `{few:N}` is a list of N ranges of one byte each, `{nines:N}` a number of N digits.

mod conditions;
mod sets;
mod single;

/// Bytes of the file that the table is about.
pub const SIZE: usize = 300_000;

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// 200 with all bytes.
    Whole,
    /// 206 with bytes `start..end`.
    Part(usize, usize),
    /// 206 `multipart/byteranges` with these.
    Parts(&'static [(usize, usize)]),
    /// 416.
    Unsatisfiable,
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 400: only of nginx.
    Refused,
    /// 206 with a length and no bytes: nginx answers so to HEAD.
    PartOfHead(usize, usize),
    /// 200 with the length and no bytes: HEAD.
    Head,
}

#[derive(Debug, Clone, Copy)]
pub struct Vector {
    pub method: &'static str,
    /// Header lines.
    pub lines: &'static [&'static str],
    pub expected: Expected,
    /// What nginx answers instead, and why that is not what we want.
    pub nginx: Option<(Expected, &'static str)>,
}

impl Vector {
    const fn nginx(mut self, answers: Expected, reason: &'static str) -> Self {
        self.nginx = Some((answers, reason));
        self
    }
}

const fn get(lines: &'static [&'static str], expected: Expected) -> Vector {
    Vector {
        method: "GET",
        lines,
        expected,
        nginx: None,
    }
}

const fn head(lines: &'static [&'static str], expected: Expected) -> Vector {
    Vector {
        method: "HEAD",
        ..get(lines, expected)
    }
}

/// All vectors.
pub fn table() -> impl Iterator<Item = Vector> {
    [single::TABLE, sets::TABLE, conditions::TABLE].concat().into_iter()
}

// Why nginx differs.
const REFUSES: &str = "nginx refuses what it can't parse; RFC 9110 section 14.2 has an invalid Range ignored";
const OVERFLOW: &str =
    "nginx refuses numbers beyond 2^63-1; a last position or a suffix beyond the end means the end (section 14.1.1)";
const SPACES: &str = "nginx takes spaces inside of a range; the grammar has none there";
const EMPTY: &str = "nginx refuses empty list elements; a recipient takes them (section 5.6.1.2)";
const GREEDY: &str = "nginx sends overlapping and unordered ranges as long as they are not longer than the file; section 17.15 advises against";
const COUNTS: &str = "nginx counts only the ranges that lie in the file";
const FIRST_LINE: &str = "nginx looks at the first of several Range lines";
const TWICE: &str = "nginx refuses a request with two such lines";
const HEAD_RANGE: &str = "nginx applies Range to HEAD; section 14.2 defines it for GET";
const DATE_FIRST: &str = "nginx looks at the date beside an entity tag; it has to be ignored (section 13.2.2)";
