//! One request at a time: what a client sends behind a request is not shown to the framework before that is answered.
//!
//! actix-http decodes all the requests that it has read, and writes an answer by the one it decoded last: behind a HEAD
//! the body of an earlier answer is lost that its head has promised, and the next answer is read as that body. Sixteen
//! requests and a full buffer make it spin for as long as the client takes nothing. Junk behind a request ends the
//! connection before the answer. So each head is shown alone, with its body if it says how long that is; what follows stays here, at
//! most [`MOST`] bytes of it, and beyond that in the socket. Nothing is changed or left out: a head that is understood otherwise
//! than the framework does is shown at another moment, that is all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read while a request is answered, so that a client that leaves is noticed.
const MOST: usize = 16 << 10;

/// Bytes of a head after which the framework refuses it.
const MAX_HEAD: usize = 128 << 10;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A head, or the rest of one.
    #[default]
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// A body whose end only the framework finds: everything is shown until its request is answered.
    Open,
}

/// What is read and not shown.
#[derive(Default)]
pub(super) struct Ahead {
    bytes: BytesMut,
    next: Next,
    /// What was shown of a head that is not whole.
    head: BytesMut,
    /// A whole request was shown and may not be served yet.
    shown: bool,
    /// The last head that was shown had no body.
    bodyless: bool,
    /// Whole ones that were shown.
    heads: u64,
}

impl Ahead {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was not shown, for who takes the connection.
    pub fn into_rest(self) -> BytesMut {
        self.bytes
    }

    /// Whole heads that were shown.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether the next bytes begin a head, and the request before them, of which there is one, had no body.
    pub fn is_between_heads(&self) -> bool {
        self.next == Next::Head && self.bodyless && self.head.is_empty() && self.bytes.is_empty()
    }

    /// Whether what was shown just now ends with a head without a body, and nothing was read behind it.
    pub fn showed_one_head(&self) -> bool {
        self.shown && self.bodyless && self.bytes.is_empty()
    }

    /// A request is answered.
    pub fn answered(&mut self) {
        if self.next == Next::Open {
            self.next = Next::Head;
        }
    }

    /// Reads what may be shown; `busy`: a request is being answered. At the end of the stream nothing is read, as ever.
    pub fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        busy: bool,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shown = std::mem::take(&mut self.shown);
        if self.next == Next::Head && busy {
            return self.poll_early(io, cx);
        }
        if shown {
            // The framework decodes after it has read all there is.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.bytes.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(io).poll_read(cx, buf))?;
            let count = self.admit(&buf.filled()[before..]);
            self.bytes.extend_from_slice(&buf.filled()[before + count..]);
            buf.set_filled(before + count);
            return Poll::Ready(Ok(()));
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let count = self.admit(&bytes[..bytes.len().min(buf.remaining())]);
        buf.put_slice(&bytes[..count]);
        bytes.advance(count);
        // An idle connection holds no buffer.
        self.bytes = if bytes.is_empty() { BytesMut::new() } else { bytes };
        Poll::Ready(Ok(()))
    }

    /// Reads what comes too early. Ready only at the end of the stream.
    fn poll_early<S: AsyncRead + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; 2048];
        while self.bytes.len() < MOST {
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.bytes.extend_from_slice(piece.filled());
        }
        Poll::Pending
    }

    /// How many of these bytes, which come next, may be shown.
    fn admit(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        if self.next == Next::Head && !bytes.is_empty() {
            count = self.admit_head(bytes);
        }
        if let Next::Body(left) = self.next {
            let body = left.min((bytes.len() - count) as u64);
            count += usize::try_from(body).unwrap_or(usize::MAX);
            self.next = match left - body {
                0 => Next::Head,
                left => Next::Body(left),
            };
            self.shown = self.next == Next::Head;
        }
        if self.next == Next::Open { bytes.len() } else { count }
    }

    /// The bytes that belong to the head; when it is whole, what follows it is known.
    fn admit_head(&mut self, bytes: &[u8]) -> usize {
        let before = self.head.len();
        if before == 0
            && let Some(end) = end_of_head(bytes)
        {
            self.head_ended(&bytes[..end]);
            return end;
        }
        self.head.extend_from_slice(bytes);
        let searched = before.saturating_sub(2);
        match end_of_head(&self.head[searched..]) {
            Some(end) => {
                let head = std::mem::take(&mut self.head);
                self.head_ended(&head[..searched + end]);
                searched + end - before
            }
            None => {
                if self.head.len() > MAX_HEAD {
                    self.head = BytesMut::new();
                    self.next = Next::Open;
                }
                bytes.len()
            }
        }
    }

    fn head_ended(&mut self, head: &[u8]) {
        self.heads += 1;
        self.next = after(head);
        self.bodyless = self.next == Next::Head;
        self.shown = self.bodyless;
    }
}

/// Where an empty line ends, as lenient decoders see it: with or without carriage returns.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .iter()
        .enumerate()
        .find_map(|(at, byte)| match (byte, &bytes[at + 1..]) {
            (b'\n', [b'\n', ..]) => Some(at + 2),
            (b'\n', [b'\r', b'\n', ..]) => Some(at + 3),
            _ => None,
        })
}

/// What follows this head.
fn after(head: &[u8]) -> Next {
    let mut length = None;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = line[..colon].trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Next::Open;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(&line[colon + 1..]).unwrap_or_default().trim();
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            match value.parse() {
                Ok(value) if digits && length.is_none() => length = Some(value),
                _ => return Next::Open,
            }
        }
    }
    match length {
        None | Some(0) => Next::Head,
        Some(length) => Next::Body(length),
    }
}

#[cfg(test)]
mod tests;
