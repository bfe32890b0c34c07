//! Sizes and durations as people write them: `"2 GiB"`, `"30s"`. A bare number has no unit and is refused, except `0`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const SIZE_UNITS: [(&str, u64); 7] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("B", 1),
];

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
];

/// A number of bytes; written as `<number> <unit>` with unit B, KiB, MiB, GiB, TiB, MB or GB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// A length of time; written as `<number><unit>` with unit ms, s, m, h or d.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl Span {
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Span::seconds(hours * 3600)
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = split(text);
    let number: u64 = number.parse().ok()?;
    if number == 0 && unit.is_empty() {
        return Some(0);
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// The largest unit that writes `value` without a fraction.
fn unscaled(value: u64, units: &[(&'static str, u64)]) -> (u64, &'static str) {
    let mut best = (value, units.last().map_or("", |unit| unit.0));
    let mut factor = 0;
    for (name, size) in units {
        if value > 0 && value.is_multiple_of(*size) && *size > factor {
            factor = *size;
            best = (value / size, name);
        }
    }
    best
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &SIZE_UNITS)
            .map(ByteSize)
            .ok_or_else(|| format!("`{text}` is not a size; write it like \"2 GiB\", \"512 MiB\" or \"100 KiB\""))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &DURATION_UNITS)
            .map(|ms| Span(Duration::from_millis(ms)))
            .ok_or_else(|| format!("`{text}` is not a duration; write it like \"30s\", \"5m\", \"24h\" or \"7d\""))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = unscaled(self.0, &SIZE_UNITS);
        write!(f, "{number} {unit}")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = unscaled(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS);
        write!(f, "{number}{unit}")
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

as_text!(ByteSize);
as_text!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(text.parse::<ByteSize>().ok(), expected.map(ByteSize), "{text}")
        };
        check("2 GiB", Some(2 << 30));
        check("2GiB", Some(2 << 30));
        check("10 MB", Some(10_000_000));
        check("0", Some(0));
        check("5 B", Some(5));
        for text in [
            "",
            "2",
            "2 gib",
            "-1 MiB",
            "1.5 GiB",
            "99999999999 TiB",
            "GiB",
            "2 GiB x",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn durations_print_as_they_are_written() {
        for text in ["30s", "5m", "24h", "250ms", "90m", "1500ms"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        assert_eq!("7d".parse::<Span>().unwrap().to_string(), "7d");
        assert_eq!("90m".parse::<Span>().unwrap().to_string(), "90m");
        assert_eq!(Span::hours(24).to_string(), "1d");
        assert_eq!(ByteSize(2 << 30).to_string(), "2 GiB");
        for text in ["30", "1w", "", "s", "-1s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
