//! How fast a user may write comments and danmaku and change videos, together: each is an entry of a room's log, which nothing
//! but a purge makes shorter. Deleting is never refused. Counted by each process before the database is asked; what is left is
//! told with every answer to a post.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpResponseBuilder;
use common::config::ApiConfig;
use common::error::{ApiError, Code};
use common::ids::Id;
use common::limit::bucket::{Quota, Remaining};
use common::limit::headers::{LIMIT, POLICY, Policy, refused};
use common::limit::rate::RateLimiter;

/// Users remembered; some 10 MB when full. Beyond it those are forgotten first who wrote least.
const MAX_TRACKED: usize = 100_000;

/// Cheap to clone.
#[derive(Clone)]
pub struct PostLimit(Arc<RateLimiter<Id>>);

/// What a user may still write.
#[must_use]
pub struct Allowance {
    policy: Policy,
    left: Remaining,
}

impl PostLimit {
    pub fn new(config: &ApiConfig) -> Self {
        let quota = Quota::new(config.posts_per_second, config.post_burst);
        PostLimit(Arc::new(RateLimiter::new(quota, MAX_TRACKED)))
    }

    /// Counts from now on by other numbers.
    pub fn configure(&self, config: &ApiConfig) {
        self.0.set_quota(Quota::new(config.posts_per_second, config.post_burst));
    }

    /// Counts a post, or refuses it with 429.
    pub fn take(&self, user: &Id, now: Instant) -> Result<Allowance, ApiError> {
        let policy = Policy::tokens("posts", &self.0.quota());
        match self.0.take(user.clone(), now) {
            Ok(left) => Ok(Allowance { policy, left }),
            Err(wait) => {
                let detail = "You write faster than is taken; wait before the next one.";
                Err(refused(Code::TooManyRequests, detail, &policy, Some(wait)))
            }
        }
    }
}

impl Allowance {
    /// Tells it with the answer.
    pub fn tell(self, mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
        let limit = self
            .policy
            .limit_value(self.left.tokens.into(), Some(self.left.until_full));
        answer
            .insert_header((POLICY, self.policy.policy_value()))
            .insert_header((LIMIT, limit));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_user_gets_the_burst_and_then_the_rate_and_nobody_else_pays() {
        let limit = PostLimit::new(&ApiConfig {
            posts_per_second: 2,
            post_burst: 3,
            ..ApiConfig::default()
        });
        let (ann, bob, now) = (Id::now(), Id::now(), Instant::now());
        for left in [2, 1, 0] {
            assert_eq!(
                limit.take(&ann, now).ok().map(|allowed| allowed.left.tokens),
                Some(left)
            );
        }
        assert!(limit.take(&ann, now).is_err());
        assert!(limit.take(&bob, now).is_ok());
        assert!(limit.take(&ann, now + Duration::from_millis(499)).is_err());
        assert!(limit.take(&ann, now + Duration::from_millis(500)).is_ok());
    }
}
