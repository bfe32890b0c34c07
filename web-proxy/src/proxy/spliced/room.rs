//! Where the begin of an answer is read into. Each thread keeps a few of each size, because making one costs more than reading
//! into it.

use std::cell::RefCell;
use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::FIRST_READS;

/// Of each size, kept by a thread.
const KEPT: usize = 16;

thread_local! {
    static IDLE: RefCell<[Vec<Vec<u8>>; FIRST_READS.len()]> = const { RefCell::new([const { Vec::new() }; FIRST_READS.len()]) };
}

/// Room for so many bytes and no more.
#[derive(Default)]
pub struct Room(Vec<u8>);

impl Room {
    /// An empty one for `length` bytes.
    pub fn take(length: usize) -> Self {
        let kept = place(length).and_then(|at| IDLE.with_borrow_mut(|idle| idle[at].pop()));
        Room(kept.unwrap_or_else(|| Vec::with_capacity(length)))
    }

    /// A new one, for `more` bytes behind these.
    pub fn longer(read: &[u8], more: usize) -> Self {
        let mut room = Vec::with_capacity(read.len() + more);
        room.extend_from_slice(read);
        Room(room)
    }

    /// What has come, as much as there is room for; 0 at the end.
    pub async fn read_from(&mut self, io: &mut TcpStream) -> io::Result<usize> {
        io.read_buf(&mut self.0).await
    }

    /// The same without waiting.
    pub fn try_read_from(&mut self, io: &TcpStream) -> io::Result<usize> {
        io.try_read_buf(&mut self.0)
    }
}

fn place(length: usize) -> Option<usize> {
    FIRST_READS.iter().position(|size| *size == length)
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.0);
        room.clear();
        let Some(at) = place(room.capacity()) else { return };
        // A thread that ends keeps nothing.
        IDLE.try_with(|idle| {
            let idle = &mut idle.borrow_mut()[at];
            if idle.len() < KEPT {
                idle.push(room);
            }
        })
        .unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_have_the_size_that_was_asked_for() {
        let [small, large] = FIRST_READS;
        for _ in 0..3 {
            let rooms = [small, large, small].map(Room::take);
            assert_eq!(rooms.each_ref().map(|room| room.0.capacity()), [small, large, small]);
            drop(rooms);
        }
        let kept = IDLE.with_borrow(|idle| idle.each_ref().map(Vec::len));
        assert_eq!(kept, [2, 1]);
        drop(Room::longer(b"begin", large));
        assert_eq!(
            IDLE.with_borrow(|idle| idle.each_ref().map(Vec::len)),
            kept,
            "odd ones are not kept"
        );
        let many: Vec<Room> = (0..2 * KEPT).map(|_| Room::take(small)).collect();
        drop(many);
        assert_eq!(IDLE.with_borrow(|idle| idle[0].len()), KEPT);
    }
}
