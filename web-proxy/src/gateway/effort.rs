//! What the calls of one user may cost api-service, over all their connections: the limit of calls counts per connection and
//! weighs a login with a hundred rooms as one call.

use std::time::Instant;

use common::error::Code;
use common::ids::Id;
use common::limit::bucket::Quota;
use common::limit::rate::RateLimiter;

use super::envelope::Refusal;

/// For each connection that a user may have on a platform: questions a second, and at once as many as one asks that comes
/// back with a hundred rooms.
const PER_SECOND: u32 = 20;
const BURST: u32 = 101;

/// Users remembered; those who rest are forgotten first.
const MAX_USERS: usize = 100_000;

pub struct Efforts(RateLimiter<Id>);

impl Efforts {
    pub fn new(connections_per_platform: usize) -> Self {
        let connections = u32::try_from(connections_per_platform).unwrap_or(u32::MAX);
        let quota = Quota::new(
            PER_SECOND.saturating_mul(connections),
            BURST.saturating_mul(connections),
        );
        Efforts(RateLimiter::new(quota, MAX_USERS))
    }

    /// `user` asks `questions` questions of api-service.
    pub fn spend(&self, user: &Id, questions: usize) -> Result<(), Refusal> {
        let now = Instant::now();
        for _ in 0..questions {
            self.0.take(user.clone(), now).map_err(|wait| {
                Refusal::of(
                    Code::TooManyRequests,
                    format!(
                        "Too much at once on all your connections; try again in {} ms.",
                        wait.as_millis().max(1)
                    ),
                )
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_for_each_user() {
        let (efforts, ann, bob) = (Efforts::new(10), Id::now(), Id::now());
        for _ in 0..9 {
            assert!(efforts.spend(&ann, 101).is_ok());
        }
        let refusal = efforts.spend(&ann, 900).unwrap_err();
        assert_eq!(refusal.code, Code::TooManyRequests.entry().number);
        assert!(efforts.spend(&bob, 1).is_ok());
    }
}
