//! What messages are about, and how NATS calls it.

use crate::ids::{Id, VideoId};

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Sessions that ended: `messages::SessionsRevoked`.
    SessionsRevoked,
    /// Work for the scheduler became due; empty.
    JobsReady,
    /// The media of some video was hidden, shown or purged: `messages::MediaChanged`.
    MediaChanged,
    /// How many are in the rooms of one gateway: `messages::RoomCounts`.
    RoomCounts,
    /// Events for one user: `messages::UserEvent`.
    User(Id),
    /// Entries of one room.
    Video(VideoId),
}

impl Subject {
    /// The NATS subject. Ids are letters, digits and hyphens, so each is one token.
    pub(super) fn name(&self, prefix: &str) -> String {
        match self {
            Subject::SessionsRevoked => format!("{prefix}.sessions.revoked"),
            Subject::JobsReady => format!("{prefix}.jobs.ready"),
            Subject::MediaChanged => format!("{prefix}.media.changed"),
            Subject::RoomCounts => format!("{prefix}.rooms.counts"),
            Subject::User(id) => format!("{prefix}.user.{id}"),
            Subject::Video(id) => format!("{prefix}.video.{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_has_a_name_of_its_own_without_wildcards() {
        let subjects = [
            Subject::SessionsRevoked,
            Subject::JobsReady,
            Subject::MediaChanged,
            Subject::RoomCounts,
            Subject::User(Id::now()),
            Subject::User(Id::now()),
            Subject::Video(VideoId::random()),
        ];
        let names: std::collections::HashSet<String> = subjects.iter().map(|subject| subject.name("a.b")).collect();
        assert_eq!(names.len(), subjects.len());
        for name in names {
            assert!(name.starts_with("a.b."), "{name}");
            assert!(!name.contains(['*', '>', ' ']) && !name.contains(".."), "{name}");
        }
    }
}
