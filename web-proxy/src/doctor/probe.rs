//! Requests as the doctor needs them: one connection each, the head written by hand (an `Expect`, an upgrade, a body that is
//! announced and never sent), and whatever answers is read, also when it answers before it was asked to the end. Blocks, with
//! deadlines.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// For each connect, read and write.
const STEP: Duration = Duration::from_secs(10);
/// For one whole exchange.
const WHOLE: Duration = Duration::from_secs(30);
/// The most that is read of an answer, bytes.
const MAX_ANSWER: usize = 256 * 1024;
const MAX_HEADERS: usize = 64;

/// Where people reach the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub https: bool,
    /// As it stands in the address: `Host`.
    pub authority: String,
    host: String,
    port: u16,
}

impl Site {
    /// `http://host[:port]` or `https://…`, with or without a slash behind it.
    pub fn parse(url: &str) -> Option<Site> {
        let url = url.strip_suffix('/').unwrap_or(url);
        let (https, authority) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://")?),
        };
        let wrong = |c: char| c.is_whitespace() || c.is_control() || "/?#@\\".contains(c);
        if authority.is_empty() || authority.contains(wrong) {
            return None;
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, if https { 443 } else { 80 }),
        };
        Some(Site {
            https,
            authority: authority.to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        })
    }

    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// Sends a head, then a body as far as the other side takes it, and reads what it answers.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, String> {
        self.exchange(method, path, headers, body)
            .map_err(|error| error.to_string())
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let mut all = vec![("Connection", "close")];
        all.extend_from_slice(headers);
        self.ask("GET", path, &all, b"")
    }

    fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let deadline = Instant::now() + WHOLE;
        let mut stream = self.connect()?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sluice-doctor\r\n",
            self.authority
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        for piece in body.chunks(16 * 1024) {
            // Whoever refuses may stop reading: its answer is what counts.
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() || Instant::now() > deadline {
                break;
            }
        }
        stream
            .flush()
            .or_else(|error| if body.is_empty() { Err(error) } else { Ok(()) })?;
        read(&mut stream, deadline)
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let mut last = io::Error::other(format!("{} has no address", self.host));
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, STEP) {
                Ok(tcp) => {
                    tcp.set_read_timeout(Some(STEP))?;
                    tcp.set_write_timeout(Some(STEP))?;
                    return super::tls::wrap(self.https, &self.host, tcp);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A head and the beginning of a body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Made by Sluice and not by something on the way: every answer of ours has an id.
    pub fn is_ours(&self) -> bool {
        self.header("x-request-id").is_some()
    }

    /// The name of the failure, of a problem document of ours.
    pub fn code(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(problem.get("code")?.as_str()?.to_owned())
    }

    /// Status and who says so.
    pub fn shown(&self) -> String {
        match (self.is_ours(), self.header("server")) {
            (true, _) => format!("{} {}", self.status, self.code().unwrap_or_default())
                .trim_end()
                .to_owned(),
            (false, Some(server)) => format!("{} of {server}", self.status),
            (false, None) => format!("{} of something on the way", self.status),
        }
    }
}

fn read(stream: &mut dyn Stream, deadline: Instant) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    loop {
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
        let late = Instant::now() > deadline || bytes.len() > MAX_ANSWER;
        let count = match stream.read(&mut piece) {
            Ok(count) if !late => count,
            Ok(_) => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // A peer that ends TLS without a word, or has more to say than we wait for.
            Err(_) if head_length(&bytes)?.is_some() => 0,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(io::Error::new(ErrorKind::TimedOut, "no answer within 10 s"));
            }
            Err(error) => return Err(error),
        };
        if count == 0 {
            return finished(&bytes)?.ok_or_else(|| io::Error::other("the connection ended without an answer"));
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// Bytes of the head, when it is whole.
fn head_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    Ok(head(bytes)?.map(|(length, _)| length))
}

fn head(bytes: &[u8]) -> io::Result<Option<(usize, Answer)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(bytes)
        .map_err(|error| io::Error::other(format!("the answer is not HTTP: {error}")))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let headers = response.headers.iter();
    let headers = headers.map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_owned(), value)
    });
    let answer = Answer {
        status: response.code.unwrap_or_default(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    Ok(Some((length, answer)))
}

/// The answer, when nothing more has to come. A 100 is passed over, unless it is all there is.
fn parse(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let Some((length, mut answer)) = head(bytes)? else {
        return Ok(None);
    };
    let rest = &bytes[length..];
    match answer.status {
        101 => return Ok(Some(answer)),
        // The doctor sends `Expect` for the sake of this answer, and no body after it.
        100 if rest.is_empty() => return Ok(Some(answer)),
        100..200 => return parse(rest),
        _ => {}
    }
    let announced = answer
        .header("content-length")
        .and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|announced| rest.len() >= announced) {
        answer.body = rest.to_vec();
        return Ok(Some(answer));
    }
    Ok(None)
}

/// The answer of a connection that has ended.
fn finished(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let Some((length, mut answer)) = head(bytes)? else {
        return Ok(None);
    };
    if (100..200).contains(&answer.status) && answer.status != 101 {
        return finished(&bytes[length..]);
    }
    let chunked = answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let rest = &bytes[length..];
    answer.body = if chunked { unchunked(rest) } else { rest.to_vec() };
    Ok(Some(answer))
}

/// The data of a chunked body (RFC 9112 section 7.1), as far as it is there.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Ok(httparse::Status::Complete((from, size))) = httparse::parse_chunk_size(rest) {
        let Some(end) = usize::try_from(size).ok().and_then(|size| from.checked_add(size)) else {
            break;
        };
        if size == 0 || end + 2 > rest.len() {
            break;
        }
        data.extend_from_slice(&rest[from..end]);
        rest = &rest[end + 2..];
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let site = Site::parse("https://video.example/").unwrap();
        assert_eq!(
            (site.https, site.port, site.origin().as_str()),
            (true, 443, "https://video.example")
        );
        let site = Site::parse("http://[::1]:8080").unwrap();
        assert_eq!(
            (site.host.as_str(), site.port, site.authority.as_str()),
            ("::1", 8080, "[::1]:8080")
        );
        for wrong in [
            "video.example",
            "ftp://x",
            "http://",
            "http://a/b",
            "http://a@b",
            "http://a:x",
            "https://a b",
        ] {
            assert_eq!(Site::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn answers_are_read_whichever_way_they_are_framed() {
        let body = |text: &str| finished(text.as_bytes()).unwrap().unwrap();
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").body, b"hi");
        let chunked = body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n");
        assert_eq!(chunked.body, b"hi!");
        let early = body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\nServer: nginx\r\n\r\n");
        assert_eq!((early.status, early.shown().as_str()), (413, "413 of nginx"));
        assert!(
            parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi")
                .unwrap()
                .is_none()
        );
        assert!(finished(b"").unwrap().is_none());
        assert!(finished(b"SSH-2.0-OpenSSH\r\n").is_err());
    }
}
