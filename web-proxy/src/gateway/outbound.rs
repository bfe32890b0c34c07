//! What waits for one connection's socket, counted in bytes. Chunks are shared (a flush of a room lies in memory once for
//! all who wait for it) and are whole frames, so a waiting one can be dropped, but one that is partly written can't.
//!
//! Who reads too slowly costs a bounded amount: counts and progress go first, then the connection. Nothing is on the heap
//! while nothing waits, and one chunk that the socket did not take at once isn't either.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::IoSlice;
use std::ops::Deref;
use std::time::{Duration, Instant};

use common::ids::VideoId;

use super::room::Frames;

/// From so many waiting bytes on, merged chunks are dropped and none is accepted.
pub const SHED_BYTES: usize = 256 * 1024;

/// More than so many may not wait; the connection is closed with 4408. A chunk that is larger on its own is taken when
/// nothing waits: whoever makes it bounds it.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Answers to calls count by themselves: who asks for a large list is not too slow for what is said meanwhile. A client that
/// lets answers wait is not listened to ([`Outbound::is_full`]), so that only those of running calls can come together.
pub const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;

/// Pongs and pings may go over [`MAX_BYTES`] by so much.
const CONTROL_SPARE: usize = 4 * 1024;

/// A connection that takes no byte for so long while some wait is closed with 4408.
pub const STALL: Duration = Duration::from_secs(10);

/// Slices of one vectored write, at most.
pub const MAX_SLICES: usize = 16;

/// What a chunk is, which says what may become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The answer to a call.
    Reply,
    /// Something that happened.
    Event,
    /// Something of which only the newest counts: a newer one of the same key replaces one that waits.
    Merged(u64),
    /// Ping, pong, close.
    Control,
}

impl Class {
    /// The member count of a room.
    #[must_use]
    pub fn count(video: &VideoId) -> Class {
        merged("count", video.as_str())
    }

    /// The upload progress of a video.
    #[must_use]
    pub fn progress(video: &str) -> Class {
        merged("progress", video)
    }
}

/// Two of one connection's hundred keys with the same hash would cost one of them a message that may be lost anyway.
fn merged(what: &str, video: &str) -> Class {
    let mut hasher = DefaultHasher::new();
    (what, video).hash(&mut hasher);
    Class::Merged(hasher.finish())
}

/// Too much waits: the connection is too slow and is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_BYTES} bytes wait for a connection")]
pub struct Overflow;

#[derive(Debug)]
struct Chunk {
    bytes: Frames,
    class: Class,
}

impl Chunk {
    fn reply_bytes(&self) -> usize {
        if self.class == Class::Reply {
            self.bytes.len()
        } else {
            0
        }
    }
}

/// The queue of one connection.
#[derive(Debug)]
pub struct Outbound {
    front: Option<Chunk>,
    rest: VecDeque<Chunk>,
    /// Of the front chunk, already sent.
    written: usize,
    /// Bytes of all chunks that are not sent.
    waiting: usize,
    /// Of these, bytes of chunks that are replies; one that is partly written counts whole.
    replies: usize,
    /// When bytes were last sent, or began to wait.
    progress: Instant,
}

impl Outbound {
    #[must_use]
    pub fn new(now: Instant) -> Outbound {
        Outbound {
            front: None,
            rest: VecDeque::new(),
            written: 0,
            waiting: 0,
            replies: 0,
            progress: now,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    /// Appends `bytes` (whole frames). What is merged may be dropped instead while others wait, and that is fine. After an
    /// overflow the queue is as it was: [`clear`](Self::clear) it and say goodbye.
    pub fn push(&mut self, bytes: Frames, class: Class, now: Instant) -> Result<(), Overflow> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Class::Merged(_) = class {
            // The newer one goes to the end, not to the place of the older: a count says how far the room is, and that must
            // not overtake the entries that lead there.
            self.drop_waiting(|waiting| waiting == class);
        }
        if self.is_empty() {
            // Always taken: the caller may have written a part of it already.
            self.waiting = bytes.len();
            self.replies = if class == Class::Reply { bytes.len() } else { 0 };
            self.front = Some(Chunk { bytes, class });
            self.progress = now;
            return Ok(());
        }
        let waiting = self.waiting + bytes.len();
        let told = waiting.saturating_sub(self.replies);
        match class {
            Class::Merged(_) if waiting > SHED_BYTES => return Ok(()),
            Class::Control if told > MAX_BYTES + CONTROL_SPARE => return Err(Overflow),
            Class::Event if told > MAX_BYTES => return Err(Overflow),
            Class::Reply if self.replies + bytes.len() > MAX_REPLY_BYTES => return Err(Overflow),
            Class::Reply => self.replies += bytes.len(),
            _ => {}
        }
        self.waiting = waiting;
        self.rest.push_back(Chunk { bytes, class });
        if self.waiting > SHED_BYTES {
            self.drop_waiting(|waiting| matches!(waiting, Class::Merged(_)));
        }
        Ok(())
    }

    /// Appends the close frame, which always finds room.
    pub fn push_last(&mut self, bytes: Frames, now: Instant) {
        let chunk = Chunk {
            bytes,
            class: Class::Control,
        };
        self.waiting += chunk.bytes.len();
        if self.is_empty() {
            self.front = Some(chunk);
            self.progress = now;
        } else {
            self.rest.push_back(chunk);
        }
    }

    /// So much waits that nothing more is to be asked for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting > SHED_BYTES
    }

    /// What to write next: at most `max` slices, and at most [`MAX_SLICES`].
    #[must_use]
    pub fn front_slices(&self, max: usize) -> Slices<'_> {
        let mut slices = Slices {
            slices: [IoSlice::new(&[]); MAX_SLICES],
            count: 0,
        };
        let mut skip = self.written;
        for chunk in self.front.iter().chain(&self.rest).take(max.min(MAX_SLICES)) {
            slices.slices[slices.count] = IoSlice::new(&chunk.bytes[skip..]);
            slices.count += 1;
            skip = 0;
        }
        slices
    }

    /// `count` bytes were written. More than waits is a mistake of the caller's, and counts as all.
    pub fn advance(&mut self, count: usize, now: Instant) {
        debug_assert!(count <= self.waiting, "{count} of {} bytes written", self.waiting);
        if count == 0 {
            return;
        }
        self.progress = now;
        self.waiting = self.waiting.saturating_sub(count);
        self.written += count;
        while let Some(front) = self.front.take_if(|front| front.bytes.len() <= self.written) {
            self.written -= front.bytes.len();
            self.forget(&front);
            self.next_front();
        }
        if self.front.is_none() {
            self.written = 0;
        }
    }

    /// Drops all that waits but a chunk that is partly written, so that a close frame is next.
    pub fn clear(&mut self) {
        self.drop_waiting(|_| true);
    }

    /// Do bytes wait, and none was taken for [`STALL`]?
    #[must_use]
    pub fn stalled(&self, now: Instant) -> bool {
        !self.is_empty() && now.saturating_duration_since(self.progress) >= STALL
    }

    fn drop_waiting(&mut self, unwanted: impl Fn(Class) -> bool) {
        let (waiting, replies) = (&mut self.waiting, &mut self.replies);
        self.rest.retain(|chunk| {
            let keep = !unwanted(chunk.class);
            if !keep {
                *waiting -= chunk.bytes.len();
                *replies -= chunk.reply_bytes();
            }
            keep
        });
        let dropped = self.front.take_if(|front| self.written == 0 && unwanted(front.class));
        if let Some(front) = dropped {
            self.waiting -= front.bytes.len();
            self.forget(&front);
            self.next_front();
        } else {
            self.release();
        }
    }

    fn forget(&mut self, chunk: &Chunk) {
        self.replies -= chunk.reply_bytes();
    }

    fn next_front(&mut self) {
        self.front = self.rest.pop_front();
        self.release();
    }

    /// Gives the memory back when there is nothing in it.
    fn release(&mut self) {
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }
}

/// Pieces for one vectored write.
pub struct Slices<'a> {
    slices: [IoSlice<'a>; MAX_SLICES],
    count: usize,
}

impl<'a> Deref for Slices<'a> {
    type Target = [IoSlice<'a>];

    fn deref(&self) -> &Self::Target {
        &self.slices[..self.count]
    }
}

#[cfg(test)]
mod tests;
