//! Range conformance (RFC 9110 sections 13 and 14): one table of requests and answers, and the client that goes through it on
//! one connection. Whoever sends the file is asked the same: stream-service by each of its ways, the edge in front of it, and
//! nginx, whose differences stand in the table with their reasons.
#![allow(clippy::unwrap_used, reason = "a failure is the test's")]

pub mod table;

use chrono::{DateTime, Duration, Utc};

use super::raw::{Answer, Raw};
pub use table::{Expected, SIZE, Vector};

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Sluice,
    Nginx,
}

/// A file of [`SIZE`] bytes and where it is.
pub struct Subject<'a> {
    pub who: Who,
    pub base: &'a str,
    pub path: &'a str,
    pub bytes: &'a [u8],
    pub mime: &'a str,
}

/// What `{…}` stands for.
struct Validators {
    etag: String,
    date: DateTime<Utc>,
}

/// Asks everything in the table; panics with each vector that is answered otherwise. Gives the number of vectors.
pub async fn conforms(subject: &Subject<'_>) -> usize {
    assert_eq!(subject.bytes.len(), SIZE);
    let mut connection = Raw::connect(subject.base).await;
    let whole = connection.get(subject.path).await;
    assert_eq!(whole.status, 200, "{}", whole.head);
    let date = DateTime::parse_from_rfc2822(whole.header("last-modified").unwrap()).unwrap();
    let validators = Validators {
        etag: whole.header("etag").unwrap().to_owned(),
        date: date.to_utc(),
    };
    let mut failures = Vec::new();
    let mut count = 0;
    for vector in table::table() {
        count += 1;
        let answer = ask(&mut connection, subject, &vector, &validators).await;
        let failed = subject.compare(&vector, &answer, &validators);
        // Whatever is left of a wrong answer must not be taken for the next. nginx closes after some without a word.
        if failed.is_err() || subject.who == Who::Nginx {
            connection = Raw::connect(subject.base).await;
        }
        if let Err(why) = failed {
            let (method, lines) = (vector.method, vector.lines);
            failures.push(format!("{method} {lines:?}: {why}"));
        }
    }
    let (failed, who) = (failures.len(), subject.who);
    assert!(
        failures.is_empty(),
        "{failed} of {count} ({who:?}):\n{}",
        failures.join("\n")
    );
    count
}

async fn ask(connection: &mut Raw, subject: &Subject<'_>, vector: &Vector, validators: &Validators) -> Answer {
    let mut request = format!("{} {} HTTP/1.1\r\nHost: t\r\n", vector.method, subject.path);
    for line in vector.lines {
        request.push_str(&validators.fill(line));
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    connection.send(&request).await;
    let mut answer = connection.head().await;
    if vector.method != "HEAD" {
        let (body, whole) = connection.body(&answer).await;
        assert!(whole, "cut after {} bytes: {request}{}", body.len(), answer.head);
        answer.body = body;
    }
    answer
}

impl Validators {
    /// A line with its braces filled in.
    fn fill(&self, line: &str) -> String {
        let Some((before, rest)) = line.split_once('{') else {
            return line.to_owned();
        };
        let (name, after) = rest.split_once('}').unwrap();
        let http = |date: DateTime<Utc>| date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let filled = match name.split_once(':') {
            None => match name {
                "etag" => self.etag.clone(),
                "date" => http(self.date),
                "date850" => self.date.format("%A, %d-%b-%y %H:%M:%S GMT").to_string(),
                "asctime" => self.date.format("%a %b %e %H:%M:%S %Y").to_string(),
                "earlier" => http(self.date - Duration::seconds(1)),
                "later" => http(self.date + Duration::seconds(1)),
                _ => panic!("{line}"),
            },
            Some(("few", count)) => {
                let ranges = (0..count.parse().unwrap()).map(|number: u32| format!("{0}-{0}", number * 2));
                ranges.collect::<Vec<_>>().join(",")
            }
            Some(("nines", count)) => "9".repeat(count.parse().unwrap()),
            Some(_) => panic!("{line}"),
        };
        format!("{before}{filled}{}", self.fill(after))
    }
}

impl Subject<'_> {
    fn compare(&self, vector: &Vector, answer: &Answer, validators: &Validators) -> Result<(), String> {
        let expected = match vector.nginx {
            Some((other, _)) if self.who == Who::Nginx => other,
            _ => vector.expected,
        };
        let same = |what: &str, is: Option<&str>, should: Option<&str>| {
            (is == should).then_some(()).ok_or_else(|| {
                let status = answer.status;
                format!("{expected:?} expected; {what} is {is:?} instead of {should:?} ({status})")
            })
        };
        same("status", Some(&answer.status.to_string()), Some(expected.status()))?;
        let range = expected.content_range();
        same("Content-Range", answer.header("content-range"), range.as_deref())?;
        same("Transfer-Encoding", answer.header("transfer-encoding"), None)?;
        if self.who == Who::Sluice {
            same("Connection", answer.header("connection"), None)?;
        }
        if !matches!(expected, Expected::Failed | Expected::Unsatisfiable | Expected::Refused) {
            same("ETag", answer.header("etag"), Some(&validators.etag))?;
        }
        match expected {
            Expected::Whole => self.same_bytes(answer, 0, SIZE),
            Expected::Part(start, end) => self.same_bytes(answer, start, end),
            Expected::Parts(ranges) => self.same_parts(answer, ranges),
            Expected::Head => same(
                "Content-Length",
                answer.header("content-length"),
                Some(&SIZE.to_string()),
            ),
            Expected::PartOfHead(start, end) => same(
                "Content-Length",
                answer.header("content-length"),
                Some(&(end - start).to_string()),
            ),
            Expected::Refused => Ok(()),
            Expected::NotModified => same("Content-Length", answer.header("content-length"), None),
            Expected::Failed => self.same_problem(vector, answer, "precondition_failed"),
            Expected::Unsatisfiable => {
                if self.who == Who::Sluice {
                    same("Cache-Control", answer.header("cache-control"), Some("no-store"))?;
                }
                self.same_problem(vector, answer, "range_not_satisfiable")
            }
        }
    }

    fn same_bytes(&self, answer: &Answer, start: usize, end: usize) -> Result<(), String> {
        let (length, kind) = (answer.header("content-length"), answer.header("content-type"));
        if length != Some(&(end - start).to_string()) || kind != Some(self.mime) {
            return Err(format!("Content-Length {length:?}, Content-Type {kind:?}"));
        }
        if answer.body != self.bytes[start..end] {
            return Err("other bytes".to_owned());
        }
        Ok(())
    }

    /// `multipart/byteranges`, read as a client does.
    fn same_parts(&self, answer: &Answer, ranges: &[(usize, usize)]) -> Result<(), String> {
        let kind = answer.header("content-type").unwrap_or_default();
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=");
        let boundary = boundary.ok_or_else(|| format!("Content-Type {kind}"))?;
        if answer.header("content-length") != Some(&answer.body.len().to_string()) {
            return Err("no Content-Length".to_owned());
        }
        let mut rest = &answer.body[..];
        for (start, end) in ranges {
            let (mime, last) = (self.mime, end - 1);
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: {mime}\r\nContent-Range: bytes {start}-{last}/{SIZE}\r\n\r\n"
            );
            rest = rest
                .strip_prefix(head.as_bytes())
                .and_then(|rest| rest.strip_prefix(&self.bytes[*start..*end]))
                .ok_or_else(|| format!("the part {start}..{end} is not there"))?;
        }
        let end = format!("\r\n--{boundary}--\r\n");
        (rest == end.as_bytes())
            .then_some(())
            .ok_or_else(|| "no end of the parts".to_owned())
    }

    /// The body of a refusal is our own affair.
    fn same_problem(&self, vector: &Vector, answer: &Answer, code: &str) -> Result<(), String> {
        if self.who == Who::Nginx || vector.method == "HEAD" {
            return Ok(());
        }
        let problem = answer.json();
        (problem["code"] == code)
            .then_some(())
            .ok_or_else(|| format!("the problem is {problem}"))
    }
}

impl Expected {
    fn status(self) -> &'static str {
        match self {
            Expected::Whole | Expected::Head => "200",
            Expected::Part(..) | Expected::Parts(_) | Expected::PartOfHead(..) => "206",
            Expected::Unsatisfiable => "416",
            Expected::Refused => "400",
            Expected::NotModified => "304",
            Expected::Failed => "412",
        }
    }

    fn content_range(self) -> Option<String> {
        match self {
            Expected::Part(start, end) | Expected::PartOfHead(start, end) => {
                Some(format!("bytes {start}-{}/{SIZE}", end - 1))
            }
            Expected::Unsatisfiable => Some(format!("bytes */{SIZE}")),
            _ => None,
        }
    }
}
