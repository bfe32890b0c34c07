//! What the answer to a client that was let through says of the limits: what they are and how much of each is left, in the
//! fields of draft-ietf-httpapi-ratelimit-headers-10, so that nobody has to find out by being refused.

use super::{
    bucket::{Quota, Remaining},
    client::ClientKey,
    conn::ConnLimits,
    egress::{Budgets, DAY_MS},
    headers::{LIMIT, MAX_INTEGER, POLICY, Policy, seconds},
};
use actix_web::http::header::{HeaderName, HeaderValue};
use std::time::Duration;

/// The value of `RateLimit-Policy`, made when the limits change and not for every answer.
pub struct Policies {
    user: HeaderValue,
    address: HeaderValue,
}

/// How much is left of the limits that were asked. What is not counted for a request is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    policy: HeaderValue,
    tokens: Remaining,
    /// More streams that this client may have at once.
    pub streams: Option<usize>,
    pub egress: Option<EgressLeft>,
}

/// Bytes left of the budget of the day, and the time until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressLeft {
    pub left: u64,
    pub until: Duration,
}

impl Policies {
    pub fn new(rate: &Quota, streams: ConnLimits, egress: Budgets) -> Self {
        let value = |budget| {
            let mut policies = vec![Policy::rate(rate), Policy::concurrent("streams", streams.per_client)];
            if budget > 0 {
                policies.push(egress_policy(budget));
            }
            let texts: Vec<String> = policies.iter().map(Policy::policy_value).collect();
            header_value(texts.join(", "))
        };
        Self {
            user: value(egress.user),
            address: value(egress.address),
        }
    }

    pub fn of(&self, client: ClientKey) -> &HeaderValue {
        if client.is_user() { &self.user } else { &self.address }
    }
}

pub fn egress_policy(budget: u64) -> Policy {
    Policy::bytes("egress", budget, Duration::from_millis(DAY_MS.unsigned_abs()))
}

impl Told {
    /// Of a request that took a token and nothing else.
    pub fn new(policy: HeaderValue, tokens: Remaining) -> Self {
        Self {
            policy,
            tokens,
            streams: None,
            egress: None,
        }
    }

    /// `RateLimit-Policy` and `RateLimit`. One short text is made: this is done for every range that a player asks for.
    pub fn fields(&self) -> [(HeaderName, HeaderValue); 2] {
        [(POLICY, self.policy.clone()), (LIMIT, header_value(self.left()))]
    }

    fn left(&self) -> String {
        let mut text = String::with_capacity(96);
        let mut number = itoa::Buffer::new();
        let mut say = |name: &str, value: u64| {
            text.push_str(name);
            text.push_str(number.format(value));
        };
        let Remaining { tokens, until_full } = self.tokens;
        say("\"rate\";r=", tokens.into());
        say(";t=", seconds(until_full));
        if let Some(streams) = self.streams {
            say(", \"streams\";r=", streams as u64);
        }
        if let Some(EgressLeft { left, until }) = self.egress {
            say(", \"egress\";r=", left.min(MAX_INTEGER));
            say(";t=", seconds(until));
        }
        text
    }
}

fn header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("names and digits are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_name_every_limit_that_was_asked() {
        let streams = ConnLimits {
            total: 99,
            per_client: 16,
        };
        let policies = Policies::new(&Quota::new(50, 200), streams, Budgets { user: 1000, address: 0 });
        let user = ClientKey::User(uuid::Uuid::nil());
        let (with, without) = (policies.of(user), policies.of(ClientKey::V4([192, 0, 2, 1])));
        assert_eq!(
            without,
            "\"rate\";q=200;w=4, \"streams\";q=16;qu=\"concurrent-requests\""
        );
        assert_eq!(
            with.to_str().unwrap().strip_prefix(without.to_str().unwrap()),
            Some(", \"egress\";q=1000;qu=\"content-bytes\";w=86400")
        );
        let tokens = Remaining {
            tokens: 199,
            until_full: Duration::from_millis(20),
        };
        let mut told = Told::new(with.clone(), tokens);
        assert_eq!(
            told.fields(),
            [
                (POLICY, with.clone()),
                (LIMIT, HeaderValue::from_static("\"rate\";r=199;t=1"))
            ]
        );
        told.streams = Some(15);
        told.egress = Some(EgressLeft {
            left: 10,
            until: Duration::from_secs(60),
        });
        assert_eq!(
            told.left(),
            "\"rate\";r=199;t=1, \"streams\";r=15, \"egress\";r=10;t=60"
        );
    }
}
