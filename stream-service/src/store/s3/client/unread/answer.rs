//! The answer to a request for a range on the wire: its head, read to the end and not a byte more, and the whole of a refusal.

use super::{
    super::{error::S3Error, reading::total},
    Unanswered,
};
use common::relay::Framing;
use hyper::StatusCode;
use std::{io, ops::Range};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Bytes of a head looked at at once (stores say some 600), and at most.
const LOOK: usize = 2 << 10;
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 64;

/// Bytes of a refusal's document that are read here.
const MAX_REFUSAL: usize = 16 << 10;

/// What the head of a good answer says.
#[derive(Debug, PartialEq, Eq)]
pub struct Says {
    pub keep: bool,
    pub length: u64,
    pub size: u64,
    pub etag: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Good(Says),
    /// It was read to its end; whether the connection may be used again.
    Refusal {
        error: S3Error,
        keep: bool,
    },
}

/// Sends a request, and reads its answer up to the bytes that were asked for, or to the end of a refusal.
pub async fn answer(io: &mut TcpStream, request: &[u8], range: &Range<u64>) -> Result<Answer, Unanswered> {
    let head = converse(io, request).await?;
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    if !matches!(parsed.parse(&head), Ok(httparse::Status::Complete(_))) {
        return Err(Unanswered::Odd("a head that can't be read"));
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| !status.is_informational());
    let status = status.ok_or(Unanswered::Odd("an answer before the answer"))?;
    let framing = Framing::of(&parsed);
    if !status.is_success() {
        let legible = framing.and_then(|framing| {
            let length = usize::try_from(framing.length?).ok()?;
            (length <= MAX_REFUSAL).then_some((length, framing.keep))
        });
        let Some((length, keep)) = legible else {
            return Err(Unanswered::Illegible(S3Error::of(status, &[])));
        };
        let mut document = vec![0; length];
        io.read_exact(&mut document).await?;
        let error = S3Error::of(status, &document);
        return Ok(Answer::Refusal { error, keep });
    }
    says(status, &parsed, framing, range).map(Answer::Good)
}

/// Reads the head of the answer to a request, and not a byte more.
async fn converse(io: &mut TcpStream, request: &[u8]) -> Result<Vec<u8>, Unanswered> {
    io.write_all(request).await?;
    let mut head = Vec::with_capacity(LOOK);
    loop {
        let known = head.len();
        head.resize(known + LOOK, 0);
        let seen = io.peek(&mut head[known..]).await?;
        head.truncate(known + seen);
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let parsed = httparse::Response::new(&mut fields).parse(&head);
        let end = match parsed {
            _ if seen == 0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => head.len(),
            Ok(httparse::Status::Partial) => return Err(Unanswered::Odd("a head that does not end")),
            Err(_) => return Err(Unanswered::Odd("a head that can't be read")),
        };
        head.truncate(end);
        io.read_exact(&mut head[known..]).await?;
        if matches!(parsed, Ok(httparse::Status::Complete(_))) {
            return Ok(head);
        }
    }
}

/// What a success says of the range that was asked for.
fn says(
    status: StatusCode,
    head: &httparse::Response<'_, '_>,
    framing: Option<Framing>,
    wanted: &Range<u64>,
) -> Result<Says, Unanswered> {
    let Some(Framing {
        length: Some(length),
        keep,
        ..
    }) = framing
    else {
        return Err(Unanswered::Odd("no plain length"));
    };
    let text = |name: &str| {
        let field = head
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let size = match status {
        StatusCode::PARTIAL_CONTENT => text("content-range").and_then(|range| total(range, wanted)),
        // The whole object, where it is all that was asked for.
        StatusCode::OK => Some(length).filter(|size| (0..*size) == *wanted),
        _ => None,
    };
    // Of an object that is shorter than was thought, as much as there is.
    let size = size.filter(|size| wanted.end.min(*size).checked_sub(wanted.start) == Some(length));
    let size = size.ok_or_else(|| S3Error::unreadable(status, "another range than was asked for"))?;
    let etag = text("etag").map(str::to_owned);
    Ok(Says {
        keep,
        length,
        size,
        etag,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    /// The head of an answer that comes in `pieces` and with a body behind it is read to its end, and the body is left.
    async fn check(pieces: &[&[u8]], expected: Result<&[u8], Unanswered>) {
        let (mut near, mut far) = pair().await;
        let sending = async move {
            let mut asked = [0; 7];
            far.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"request");
            for piece in pieces {
                far.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reading = async move {
            let head = converse(&mut near, b"request").await;
            assert_eq!(head.as_deref(), expected.as_ref().map(|head| *head));
            if head.is_ok() {
                let mut body = Vec::new();
                near.read_to_end(&mut body).await.unwrap();
                assert_eq!(body, b"body");
            }
        };
        tokio::join!(sending, reading);
    }

    #[tokio::test]
    async fn a_head_is_read_to_its_end_and_no_further() {
        const HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\n\r\n";
        let whole = [HEAD, b"body"].concat();
        check(&[&whole], Ok(HEAD)).await;
        check(&[HEAD, b"body"], Ok(HEAD)).await;
        check(&whole.chunks(7).collect::<Vec<_>>(), Ok(HEAD)).await;
        check(&[&HEAD[..HEAD.len() - 1], b"\nbody"], Ok(HEAD)).await;
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(3 * LOOK));
        check(&[long.as_bytes(), b"body"], Ok(long.as_bytes())).await;
        let ended = || Unanswered::from(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(matches!(ended(), Unanswered::Lost(_)));
        check(&[], Err(ended())).await;
        check(&[&HEAD[..20]], Err(ended())).await;
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 2 * MAX_HEAD]].concat();
        check(&[&endless], Err(Unanswered::Odd("a head that does not end"))).await;
        let unreadable = Unanswered::Odd("a head that can't be read");
        check(&[b"SSH-2.0-x\r\n\r\n"], Err(unreadable)).await;
    }

    /// An answer to a request for the bytes 10 to 19: how many follow, of how many in all, and whether the connection is kept.
    async fn says(text: &str) -> Result<(u64, u64, bool), Unanswered> {
        let (mut near, mut far) = pair().await;
        far.write_all(format!("HTTP/1.1 {text}").as_bytes()).await.unwrap();
        match answer(&mut near, b"request", &(10..20)).await? {
            Answer::Good(says) => Ok((says.length, says.size, says.keep)),
            Answer::Refusal { error, .. } => Err(Unanswered::Failed(error)),
        }
    }

    /// The same without a body.
    async fn says_head(fields: &str) -> Result<(u64, u64, bool), Unanswered> {
        says(&format!("{fields}\r\n\r\n")).await
    }

    #[tokio::test]
    async fn what_an_answer_says_of_its_bytes() {
        let part = "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10";
        assert_eq!(says_head(part).await, Ok((10, 100, true)));
        let closing = format!("{part}\r\nConnection: close");
        assert_eq!(says_head(&closing).await, Ok((10, 100, false)));
        let short = "206 P\r\nContent-Range: bytes 10-14/15\r\nContent-Length: 5";
        assert_eq!(says_head(short).await, Ok((5, 15, true)));
        for no_length in [
            "206 P\r\nContent-Range: bytes 10-19/100\r\nTransfer-Encoding: chunked",
            "206 P\r\nContent-Range: bytes 10-19/100",
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10\r\nContent-Length: 10",
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: +10",
        ] {
            assert_eq!(
                says_head(no_length).await,
                Err(Unanswered::Odd("no plain length")),
                "{no_length}"
            );
        }
        for before in ["100 Continue", "103 Early Hints"] {
            assert_eq!(
                says_head(before).await,
                Err(Unanswered::Odd("an answer before the answer"))
            );
        }
        for other in [
            "206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 9",
            "206 P\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10",
            "206 P\r\nContent-Range: bytes 10-4/5\r\nContent-Length: 10",
            "206 P\r\nContent-Length: 10",
            "200 OK\r\nContent-Length: 100",
            "204 N\r\nContent-Length: 0",
        ] {
            let unreadable = matches!(says_head(other).await, Err(Unanswered::Failed(S3Error::Other { .. })));
            assert!(unreadable, "{other}");
        }
    }

    #[tokio::test]
    async fn refusals_are_understood_by_their_documents() {
        let failed = |error| Err(Unanswered::Failed(error));
        assert_eq!(says_head("404 N\r\nContent-Length: 0").await, failed(S3Error::Missing));
        assert_eq!(says_head("412 P\r\nContent-Length: 0").await, failed(S3Error::Changed));
        for unread in ["Transfer-Encoding: chunked", "Content-Length: 16385", "Server: old"] {
            let illegible = says_head(&format!("404 N\r\n{unread}")).await;
            assert_eq!(illegible, Err(Unanswered::Illegible(S3Error::Missing)), "{unread}");
        }
        let document = "<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>";
        let length = document.len();
        let told = says(&format!("404 N\r\nContent-Length: {length}\r\n\r\n{document}")).await;
        assert_eq!(told, failed(S3Error::NoBucket));
    }
}
