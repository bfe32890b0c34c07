//! Reading the head of an answer, however many reads that takes. Interim ones before it (RFC 9110 section 15.2) end here: they are
//! for one hop, and clients get none from the edge but the 100 that the framework sends.

use std::io;
use std::task::{Context, Poll, ready};

use actix_web::web::Bytes;
use tokio::net::TcpStream;

use super::head::{self, Answer};
use super::room::Room;

/// What a service said first, with all that was read of it.
pub struct Heard {
    pub answer: Answer,
    pub read: Bytes,
}

/// What a service has said so far.
pub struct Hearing {
    /// Bytes to be read at once.
    first: usize,
    room: Room,
}

impl Hearing {
    pub fn new(first: usize) -> Self {
        let room = Room::take(first);
        Hearing { first, room }
    }

    /// Reads until the head is whole. An end before is an error (`UnexpectedEof`).
    pub async fn read(&mut self, io: &mut TcpStream) -> io::Result<Heard> {
        loop {
            let count = self.room.read_from(io).await?;
            if let Some(heard) = self.heard(count)? {
                return Ok(heard);
            }
        }
    }

    /// The same for who waits for something else, too.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, io: &TcpStream) -> Poll<io::Result<Heard>> {
        loop {
            ready!(io.poll_read_ready(cx))?;
            if let Some(heard) = self.try_read(io)? {
                return Poll::Ready(Ok(heard));
            }
        }
    }

    /// Reads once, without waiting; `None` when the head is not whole by that.
    pub fn try_read(&mut self, io: &TcpStream) -> io::Result<Option<Heard>> {
        match self.room.try_read_from(io) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            count => self.heard(count?),
        }
    }

    fn heard(&mut self, count: usize) -> io::Result<Option<Heard>> {
        if count == 0 {
            let text = "the connection ended before an answer";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let mut read = Bytes::from_owner(std::mem::take(&mut self.room));
        loop {
            match head::parse(&read) {
                Some(Answer::Interim(length)) => read = read.slice(length..),
                Some(answer) => return Ok(Some(Heard { answer, read })),
                None => {
                    self.room = Room::longer(&read, self.first);
                    return Ok(None);
                }
            }
        }
    }
}
