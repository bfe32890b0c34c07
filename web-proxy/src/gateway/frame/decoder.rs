//! The decoder: feeds headers and payloads to their rules and joins fragments.

use std::borrow::Cow;
use std::mem::take;

use super::header::{Context, Header, MAX_HEADER};
use super::masking::unmask;
use super::partial::{Message, Partial};
use super::{Incoming, Opcode, Violation, close};

/// Decodes what one client sends. Idle it is 24 bytes, with nothing on the heap.
pub struct Decoder {
    /// Most bytes of a message, over all its fragments.
    max_message: usize,
    pub(super) partial: Option<Box<Partial>>,
    /// A close frame or a violation was handed out; nothing after it is read.
    ended: bool,
}

impl Decoder {
    pub fn new(max_message: usize) -> Decoder {
        Decoder {
            max_message,
            partial: None,
            ended: false,
        }
    }

    /// Decodes the next message or control frame from bytes just read, and moves `bytes` past it. `None`: all of them are
    /// taken, read more. Payloads are unmasked in place, and one that is all here is not copied. After a close frame or a
    /// violation whatever comes is dropped unread.
    pub fn next<'a>(&mut self, bytes: &mut &'a mut [u8]) -> Result<Option<Incoming<'a>>, Violation> {
        if self.ended {
            *bytes = &mut [];
            return Ok(None);
        }
        let next = self.advance(bytes);
        match &next {
            Err(_) | Ok(Some(Incoming::Close(_))) => {
                self.ended = true;
                self.partial = None;
                *bytes = &mut [];
            }
            Ok(_) if self.partial.as_ref().is_some_and(|partial| partial.is_empty()) => self.partial = None,
            Ok(_) => {}
        }
        next
    }

    /// Is nothing half received? (Then a read buffer need not be kept.)
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    fn advance<'a>(&mut self, bytes: &mut &'a mut [u8]) -> Result<Option<Incoming<'a>>, Violation> {
        loop {
            let begun = self.partial.as_mut().and_then(|partial| partial.frame.take());
            let next = match begun {
                Some(frame) => self.piece(frame, bytes)?,
                None => match self.header(bytes)? {
                    None => return Ok(None),
                    Some(frame) if self.is_whole(&frame, bytes) => Some(whole(frame, split_off(bytes, frame.len))?),
                    Some(frame) => {
                        self.open(&frame);
                        self.piece(frame, bytes)?
                    }
                },
            };
            if next.is_some() || bytes.is_empty() {
                return Ok(next);
            }
        }
    }

    /// Can this frame be handed out as it stands in `bytes`?
    fn is_whole(&self, frame: &Header, bytes: &[u8]) -> bool {
        frame.len <= bytes.len() && (frame.opcode.is_control() || (frame.fin && frame.opcode != Opcode::Continuation))
    }

    /// The next header, or `None` when it is not complete; then its bytes are kept.
    fn header(&mut self, bytes: &mut &mut [u8]) -> Result<Option<Header>, Violation> {
        let partial = self.partial.as_deref();
        let context = Context {
            open: partial.and_then(|partial| partial.message.as_ref()).map(Message::len),
            max_message: self.max_message,
        };
        let kept = partial.map_or(&[][..], Partial::head);
        let seen = MAX_HEADER.min(kept.len() + bytes.len());
        let mut head = [0; MAX_HEADER];
        head[..kept.len()].copy_from_slice(kept);
        head[kept.len()..seen].copy_from_slice(&bytes[..seen - kept.len()]);
        let kept = kept.len();
        let header = Header::parse(&head[..seen], context)?;
        match &header {
            Some((_, len)) => {
                split_off(bytes, len - kept);
                if kept > 0 {
                    self.partial_mut().set_head(&[]);
                }
            }
            None if seen > kept => {
                self.partial_mut().set_head(&head[..seen]);
                *bytes = &mut [];
            }
            None => {}
        }
        Ok(header.map(|(header, _)| header))
    }

    /// A frame begins that comes in pieces, or is one of several.
    fn open(&mut self, frame: &Header) {
        let partial = self.partial_mut();
        if !frame.opcode.is_control() {
            partial.message.get_or_insert_with(|| Message::new(frame.opcode));
        }
    }

    /// Takes what has come of a frame's payload.
    fn piece<'a>(&mut self, mut frame: Header, bytes: &mut &'a mut [u8]) -> Result<Option<Incoming<'a>>, Violation> {
        let bound = self.max_message;
        let partial = self.partial_mut();
        let piece = split_off(bytes, frame.len.min(bytes.len()));
        unmask(piece, &mut frame.key);
        frame.len -= piece.len();
        if frame.opcode.is_control() {
            partial.control.extend_from_slice(piece);
        } else if let Some(message) = &mut partial.message {
            message.push(piece, bound)?;
        }
        if frame.len > 0 {
            partial.frame = Some(frame);
            return Ok(None);
        }
        if frame.opcode.is_control() {
            return control(frame.opcode, Cow::Owned(take(&mut partial.control))).map(Some);
        }
        match partial.message.take_if(|_| frame.fin) {
            Some(message) => message.finish().map(Some),
            None => Ok(None),
        }
    }

    fn partial_mut(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }
}

/// A frame that is all here.
fn whole(mut frame: Header, payload: &mut [u8]) -> Result<Incoming<'_>, Violation> {
    unmask(payload, &mut frame.key);
    let payload: &[u8] = payload;
    match frame.opcode {
        Opcode::Text => match std::str::from_utf8(payload) {
            Ok(text) => Ok(Incoming::Text(text.into())),
            Err(_) => Err(Violation::invalid_text()),
        },
        Opcode::Binary | Opcode::Continuation => Ok(Incoming::Binary(payload.into())),
        opcode => control(opcode, payload.into()),
    }
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    match opcode {
        Opcode::Close => Ok(Incoming::Close(close::parse(payload)?)),
        Opcode::Ping => Ok(Incoming::Ping(payload)),
        _ => Ok(Incoming::Pong),
    }
}

/// Takes the first `len` of `bytes`, which must be that many.
fn split_off<'a>(bytes: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (head, rest) = take(bytes).split_at_mut(len);
    *bytes = rest;
    head
}
