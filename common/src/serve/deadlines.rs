//! How long a connection may take for what.

use std::time::Duration;

/// The deadlines of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the first byte of a request head to its last.
    pub head: Duration,
    /// Without a byte accepted by the client while we have bytes to send.
    pub stall: Duration,
    /// From the end of an answer to the end of the next head. actix-http closes idle connections sooner, but not while
    /// half a head waits in its buffer.
    pub idle: Duration,
}

impl Deadlines {
    /// Of a connection of a hop that passes on to somebody else. What that one takes moves this connection in lumps (of what the hop
    /// has in hand, a third of a send buffer), minutes apart if that one is slow. The hop is to hold that one to a deadline; this is for a
    /// hop that hangs.
    #[must_use]
    pub fn of_hop(self) -> Self {
        Deadlines {
            stall: self.stall * 4,
            ..self
        }
    }
}
