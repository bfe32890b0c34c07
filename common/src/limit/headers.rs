//! What a limited client is told: `Retry-After` (RFC 9110 section 10.2.3) and the fields of
//! draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "rate";q=200;w=4` and `RateLimit: "rate";r=0;t=1`.
//! `q` is the quota, `w` its window and `t` the wait, both in seconds, `r` what remains, `qu` the unit when it is not requests.

use super::bucket::Quota;
use crate::error::{ApiError, Code};
use actix_web::http::header::{HeaderName, HeaderValue};
use std::time::Duration;

/// The names of the two fields.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// When to try again after a maximum of concurrent things was reached: nobody knows when one of them ends.
const A_PLACE_IS_FREE: Duration = Duration::from_secs(2);

/// Largest integer of a structured field (RFC 9651 section 3.3.1).
pub const MAX_INTEGER: u64 = 999_999_999_999_999;

/// A named policy as the two fields show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    name: &'static str,
    quota: u64,
    /// The registered unit; requests need none.
    unit: Option<&'static str>,
    /// Seconds.
    window: Option<u64>,
}

impl Policy {
    /// Requests of one client: a burst that comes back within the window.
    pub fn rate(quota: &Quota) -> Self {
        Self::tokens("rate", quota)
    }

    /// The same of something else that is counted.
    pub fn tokens(name: &'static str, quota: &Quota) -> Self {
        Self {
            name,
            quota: u64::from(quota.burst()),
            unit: None,
            window: Some(seconds(quota.window())),
        }
    }

    /// Things that may go on at once; no window, a place is free when another one ends.
    pub fn concurrent(name: &'static str, most: usize) -> Self {
        Self {
            name,
            quota: most as u64,
            unit: Some("concurrent-requests"),
            window: None,
        }
    }

    /// Bytes of content in a window.
    pub fn bytes(name: &'static str, most: u64, window: Duration) -> Self {
        Self {
            name,
            quota: most,
            unit: Some("content-bytes"),
            window: Some(seconds(window)),
        }
    }

    /// The value of `RateLimit-Policy`, as an item of the list.
    pub fn policy_value(&self) -> String {
        let mut text = format!("\"{}\";q={}", self.name, self.quota.min(MAX_INTEGER));
        if let Some(unit) = self.unit {
            text.push_str(&format!(";qu=\"{unit}\""));
        }
        if let Some(window) = self.window {
            text.push_str(&format!(";w={window}"));
        }
        text
    }

    /// The value of `RateLimit`, as an item of the list: what remains, and when there will be more if that is known.
    pub fn limit_value(&self, remaining: u64, until: Option<Duration>) -> String {
        let remaining = remaining.min(MAX_INTEGER);
        match until {
            Some(until) => format!("\"{}\";r={remaining};t={}", self.name, seconds(until)),
            None => format!("\"{}\";r={remaining}", self.name),
        }
    }
}

/// The failure for whoever has to wait that long; `None` for a place that somebody else has to free.
pub fn refused(code: Code, detail: impl Into<String>, policy: &Policy, wait: Option<Duration>) -> ApiError {
    let mut error = ApiError::new(code, detail).retry_after(wait.unwrap_or(A_PLACE_IS_FREE));
    for (name, text) in [(POLICY, policy.policy_value()), (LIMIT, policy.limit_value(0, wait))] {
        error = match HeaderValue::try_from(text) {
            Ok(value) => error.header(name, value),
            Err(cause) => error.because(cause),
        };
    }
    error
}

/// Whole seconds, rounded up and at least one: a client that waits as told must not be refused again.
pub fn seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_as_in_the_draft() {
        let policy = Policy::rate(&Quota::new(50, 200));
        assert_eq!(policy.policy_value(), "\"rate\";q=200;w=4");
        assert_eq!(
            policy.limit_value(0, Some(Duration::from_millis(20))),
            "\"rate\";r=0;t=1"
        );
        assert_eq!(
            policy.limit_value(199, Some(Duration::from_millis(2020))),
            "\"rate\";r=199;t=3"
        );
        let streams = Policy::concurrent("streams", 16);
        assert_eq!(streams.policy_value(), "\"streams\";q=16;qu=\"concurrent-requests\"");
        assert_eq!(streams.limit_value(0, None), "\"streams\";r=0");
        let day = Policy::bytes("egress", 5 << 30, Duration::from_secs(86_400));
        assert_eq!(
            day.policy_value(),
            "\"egress\";q=5368709120;qu=\"content-bytes\";w=86400"
        );
        // An integer of a structured field has 15 digits.
        assert_eq!(day.limit_value(u64::MAX, None), "\"egress\";r=999999999999999");
    }

    #[test]
    fn seconds_round_up() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
        assert_eq!(seconds(Duration::from_millis(2001)), 3);
    }
}
