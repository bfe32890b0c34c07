//! What is half received: the beginning of a header, of a frame, of a message. It exists only while one of them is
//! incomplete, and on the heap, so that ten thousand idle connections carry a pointer each and no buffer.

use super::header::{Header, MAX_HEADER};
use super::text::PartialText;
use super::{Incoming, Opcode, Violation};

#[derive(Default)]
pub(super) struct Partial {
    /// The first bytes of a header.
    head: [u8; MAX_HEADER],
    head_len: u8,
    /// The frame whose payload is coming, `len` being what is missing of it and `key` turned to the next byte.
    pub frame: Option<Header>,
    /// What has come of a control frame.
    pub control: Vec<u8>,
    /// What has come of a message: of its fragments, or of a single frame cut by the network.
    pub message: Option<Message>,
}

pub(super) enum Message {
    Text(PartialText),
    Binary(Vec<u8>),
}

impl Partial {
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    pub(super) fn set_head(&mut self, head: &[u8]) {
        self.head[..head.len()].copy_from_slice(head);
        self.head_len = head.len() as u8;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }
}

impl Message {
    pub(super) fn new(opcode: Opcode) -> Message {
        match opcode {
            Opcode::Text => Message::Text(PartialText::default()),
            _ => Message::Binary(Vec::new()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        }
    }

    /// Adds unmasked payload; the message will not be longer than `bound` bytes.
    pub(super) fn push(&mut self, payload: &[u8], bound: usize) -> Result<(), Violation> {
        match self {
            Message::Text(text) => text.push(payload, bound),
            Message::Binary(bytes) => {
                bytes.reserve_exact(growth(bytes.len(), bytes.capacity(), payload.len(), bound));
                bytes.extend_from_slice(payload);
                Ok(())
            }
        }
    }

    pub(super) fn finish(self) -> Result<Incoming<'static>, Violation> {
        Ok(match self {
            Message::Text(text) => Incoming::Text(text.finish()?.into()),
            Message::Binary(bytes) => Incoming::Binary(bytes.into()),
        })
    }
}

/// How much a buffer of `len` bytes reserves for `more`: what is needed, and as much again as it holds so that many small
/// pieces cost few moves, but never past `bound`. So memory is at most twice what has arrived, and never above the limit.
pub(super) fn growth(len: usize, capacity: usize, more: usize, bound: usize) -> usize {
    if capacity - len >= more {
        more
    } else {
        more.max(len.min(bound.saturating_sub(len)))
    }
}
