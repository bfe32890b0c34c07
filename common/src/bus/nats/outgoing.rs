//! What is on its way to the broker: bounded, and the oldest goes first when it is full, because the newest says most. While
//! the broker is away it waits here.

use std::collections::VecDeque;
use std::sync::Arc;

/// Messages that may wait. A broker takes hundreds of thousands a second.
const MOST: usize = 16 * 1024;

/// And their bytes.
const MOST_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct Outgoing {
    messages: VecDeque<(String, Arc<[u8]>)>,
    bytes: usize,
}

impl Outgoing {
    /// Appends a message; says how many were dropped for it.
    pub fn push(&mut self, subject: String, payload: Arc<[u8]>) -> u64 {
        self.bytes += size(&subject, &payload);
        self.messages.push_back((subject, payload));
        let mut dropped = 0;
        while (self.messages.len() > MOST || self.bytes > MOST_BYTES) && self.pop().is_some() {
            dropped += 1;
        }
        dropped
    }

    /// The next to be sent.
    pub fn pop(&mut self) -> Option<(String, Arc<[u8]>)> {
        let (subject, payload) = self.messages.pop_front()?;
        self.bytes -= size(&subject, &payload);
        if self.messages.is_empty() {
            // A burst leaves no table behind.
            self.messages = VecDeque::new();
        }
        Some((subject, payload))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

fn size(subject: &str, payload: &[u8]) -> usize {
    subject.len() + payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_large() {
        let mut outgoing = Outgoing::default();
        let small: Arc<[u8]> = Arc::from(*b"x");
        let dropped: u64 = (0..MOST + 10)
            .map(|n| outgoing.push(n.to_string(), small.clone()))
            .sum();
        assert_eq!(dropped, 10);
        assert_eq!(outgoing.pop().unwrap().0, "10");
        let large: Arc<[u8]> = vec![0; MOST_BYTES / 2].into();
        assert!(outgoing.push("a".into(), large.clone()) == 0);
        assert!(outgoing.push("b".into(), large.clone()) > MOST as u64 / 2);
        assert_eq!(
            outgoing.push("c".into(), vec![0; MOST_BYTES + 1].into()),
            2,
            "it and what was before it"
        );
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.bytes, 0);
    }
}
