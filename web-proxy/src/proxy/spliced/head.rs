//! The two heads of a relayed answer on the wire: the request written, the answer read.
//!
//! Only answers that can be read in one way, and that the relay is for, are taken from here ([`Answer::Plain`]). All others
//! (chunked, HTTP/1.0, 101, anything malformed, a head that is too large) are hyper's to read or to refuse: the rules for
//! those stand in one place, and a client can't tell by which way its answer came.

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use common::plain::{AnswerFields, ReadFields};
use common::relay::Framing;

use super::super::headers::{Head, Length, Returning};
use super::super::relay::never_has_body;

/// A longer head is left to hyper. Those of our services have some 600 bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Room for what a browser asks.
const USUAL_REQUEST: usize = 1024;
const MAX_FIELDS: usize = 64;

/// The head of a request, whose body has a known length if it has one.
pub fn write(head: &Head<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_REQUEST);
    let question = head.query.map_or("", |_| "?");
    for part in [
        head.method.as_str(),
        " ",
        head.path,
        question,
        head.query.unwrap_or_default(),
        " HTTP/1.1\r\n",
    ] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &head.fields {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    if let Length::Known(length) = head.length {
        let mut number = itoa::Buffer::new();
        for part in ["content-length: ", number.format(length), "\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

pub enum Answer {
    Plain(Plain),
    Odd,
    /// So many bytes that say nothing to us; the answer follows.
    Interim(usize),
}

/// An answer whose end is known.
pub struct Plain {
    pub status: StatusCode,
    /// For the client.
    pub fields: AnswerFields,
    /// As said; an answer that never has a body may say none.
    pub length: Option<u64>,
    /// Whether the connection may be used again.
    pub keep: bool,
    /// Bytes of the head.
    pub head: usize,
}

/// What `read` begins with; `None` when more is needed to tell. The values of its fields stay where they are.
pub fn parse(read: &Bytes) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    match head.parse(read) {
        Ok(httparse::Status::Complete(length)) if is_interim(&head) => Some(Answer::Interim(length)),
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
            Some(plain(&head, read, length).map_or(Answer::Odd, Answer::Plain))
        }
        Ok(httparse::Status::Partial) if read.len() < MAX_HEAD => None,
        _ => Some(Answer::Odd),
    }
}

/// 101 is none: nothing was asked that it could answer.
fn is_interim(head: &httparse::Response<'_, '_>) -> bool {
    head.version == Some(1) && matches!(head.code, Some(100 | 102..=199))
}

fn plain(head: &httparse::Response<'_, '_>, read: &Bytes, bytes: usize) -> Option<Plain> {
    let Framing { status, length, keep } = Framing::of(head)?;
    if length.is_none() && !never_has_body(status) {
        return None;
    }
    Some(Plain {
        status,
        fields: AnswerFields::Read(returned(head, read)),
        length,
        keep,
        head: bytes,
    })
}

/// The fields for the client.
fn returned(head: &httparse::Response<'_, '_>, read: &Bytes) -> ReadFields {
    let is_connection = |name: &str| name.eq_ignore_ascii_case("connection");
    let connection = head.headers.iter().filter(|field| is_connection(field.name));
    let returning = Returning::but(connection.map(|field| field.value));
    let mut returned = ReadFields::new(read.clone());
    for field in &*head.headers {
        if returning.passes(field.name.as_bytes()) {
            returned.push(field.name.as_bytes(), field.value);
        }
    }
    returned
}

#[cfg(test)]
mod tests;
