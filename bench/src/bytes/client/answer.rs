//! The head of an answer, and whether it is the one that was asked for.

/// What an answer must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expect {
    pub status: u16,
    /// Content-Length; `None` takes any.
    pub length: Option<u64>,
    /// Content-Range: first and last byte, and the size.
    pub range: Option<(u64, u64, u64)>,
    /// The reader stops after the head and reads no more.
    pub stall: bool,
}

impl Expect {
    /// The whole of `size` bytes.
    pub fn whole(size: u64) -> Expect {
        Expect {
            status: 200,
            length: Some(size),
            range: None,
            stall: false,
        }
    }

    /// Bytes `first..first + length` of `size`.
    pub fn part(first: u64, length: u64, size: u64) -> Expect {
        Expect {
            status: 206,
            length: Some(length),
            range: Some((first, first + length - 1, size)),
            stall: false,
        }
    }

    /// An answer with this status and any short body.
    pub fn status(status: u16) -> Expect {
        Expect {
            status,
            length: None,
            range: None,
            stall: false,
        }
    }

    /// Checks a head (without its empty line); gives the length of the body.
    pub fn check(&self, head: &[u8]) -> Result<u64, String> {
        let text = std::str::from_utf8(head).map_err(|_| "a head that is not text".to_owned())?;
        let wrong = |what: &str| Err(format!("{what}; expected {self:?}, got:\n{text}"));
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        if status != Some(self.status) {
            return wrong("another status");
        }
        let (mut length, mut range) = (None, None);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                return wrong("a line without a name");
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse::<u64>().ok();
            } else if name.eq_ignore_ascii_case("content-range") {
                range = Some(value);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return wrong("a body without a length");
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                return wrong("the connection is not kept");
            }
        }
        let expected = self
            .range
            .map(|(first, last, size)| format!("bytes {first}-{last}/{size}"));
        if range != expected.as_deref() {
            return wrong("another range");
        }
        // 204 has no body and need not say so (RFC 9110 section 8.6).
        let length = length.or((self.status == 204).then_some(0));
        match (length, self.length) {
            (Some(length), None) => Ok(length),
            (Some(length), Some(expected)) if length == expected => Ok(length),
            _ => wrong("another length"),
        }
    }
}
