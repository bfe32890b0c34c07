//! The services behind the edge: their addresses, whose turn it is, who could not be reached a moment ago, and whether
//! they are ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::config::{ConfigError, ProxyConfig};
use common::health::Check;
use futures_util::FutureExt;
use futures_util::future::select_ok;
use hyper::Uri;

/// A replica that could not be reached is asked again after this time, sooner when no other is left.
const REST: Duration = Duration::from_secs(5);

/// The services that the edge passes requests to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Api,
    Stream,
    Scheduler,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Api, Kind::Stream, Kind::Scheduler];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Api => "api",
            Kind::Stream => "stream",
            Kind::Scheduler => "scheduler",
        }
    }

    /// Where the service serves its own OpenAPI document, on its public listener.
    pub fn document(self) -> &'static str {
        match self {
            Kind::Api => "/api/v1/openapi.json",
            Kind::Stream => "/uploads/openapi.json",
            Kind::Scheduler => "/api/v1/jobs/openapi.json",
        }
    }
}

/// All of them.
pub struct Upstreams([Replicas; 3]);

impl Upstreams {
    pub fn new(config: &ProxyConfig) -> Result<Self, ConfigError> {
        Ok(Upstreams([
            Replicas::new("proxy.api", &config.api)?,
            Replicas::new("proxy.stream", &config.stream)?,
            Replicas::new("proxy.scheduler", &config.scheduler)?,
        ]))
    }

    pub fn of(&self, kind: Kind) -> &Replicas {
        &self.0[kind as usize]
    }
}

/// The replicas of one service, in turn.
pub struct Replicas {
    all: Vec<Replica>,
    turn: AtomicUsize,
    began: Instant,
}

/// One address, `http://host:port`.
pub struct Replica {
    number: usize,
    base: String,
    uri: Uri,
    authority: hyper::http::uri::Authority,
    /// Milliseconds since the start of the process until which others are preferred.
    rests_until: AtomicU64,
}

impl Replicas {
    pub fn new(key: &str, bases: &[String]) -> Result<Self, ConfigError> {
        if bases.is_empty() {
            let problem = "no address is given; the edge needs at least one, like \"http://host:port\"";
            return Err(ConfigError::new(key, problem));
        }
        let replica = |(number, base): (usize, &String)| {
            let wrong = || ConfigError::new(key, format!("`{base}` is not like \"http://host:port\""));
            let uri: Uri = base.parse().map_err(|_| wrong())?;
            Ok(Replica {
                number,
                base: base.clone(),
                authority: uri.authority().cloned().ok_or_else(wrong)?,
                uri,
                rests_until: AtomicU64::new(0),
            })
        };
        Ok(Replicas {
            all: bases
                .iter()
                .enumerate()
                .map(replica)
                .collect::<Result<_, ConfigError>>()?,
            turn: AtomicUsize::new(0),
            began: Instant::now(),
        })
    }

    pub fn bases(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|replica| replica.base.as_str())
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The next in turn, those that could not be reached last.
    pub fn next(&self) -> &Replica {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        let in_turn = |step: usize| &self.all[first.wrapping_add(step) % self.all.len()];
        (0..self.all.len())
            .map(in_turn)
            .find(|replica| replica.rests_until.load(Ordering::Relaxed) <= now)
            .unwrap_or_else(|| in_turn(0))
    }

    /// Others are asked first for a while.
    pub fn rest(&self, replica: &Replica) {
        let until = self.now() + u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        replica.rests_until.store(until, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Replica {
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its place among the replicas of its service, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub fn authority(&self) -> &hyper::http::uri::Authority {
        &self.authority
    }
}

/// One check for each service: any replica that says it is ready will do.
pub fn checks(upstreams: &Arc<Upstreams>, http: &reqwest::Client) -> Vec<(&'static str, Check)> {
    let check = |kind: Kind| {
        let (upstreams, http) = (upstreams.clone(), http.clone());
        let check: Check = Arc::new(move || {
            let (upstreams, http) = (upstreams.clone(), http.clone());
            async move { any_ready(upstreams.of(kind), &http).await }.boxed()
        });
        (kind.name(), check)
    };
    Kind::ALL.map(check).into()
}

async fn any_ready(replicas: &Replicas, http: &reqwest::Client) -> Result<(), String> {
    let asked = replicas.bases().map(|base| {
        async move {
            let answer = http.get(format!("{base}/readyz")).send().await;
            match answer.map(|response| response.status()) {
                Ok(status) if status.is_success() => Ok(()),
                Ok(status) => Err(format!("{base} answers {status}")),
                Err(_) => Err(format!("{base} can't be reached")),
            }
        }
        .boxed()
    });
    select_ok(asked).await.map(|((), _)| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(count: usize) -> Replicas {
        let bases: Vec<String> = (0..count).map(|number| format!("http://h{number}:80")).collect();
        Replicas::new("proxy.api", &bases).unwrap()
    }

    #[test]
    fn replicas_take_turns_and_those_out_of_reach_come_last() {
        let three = replicas(3);
        let names: Vec<&str> = (0..4).map(|_| three.next().base()).collect();
        assert_eq!(names, ["http://h0:80", "http://h1:80", "http://h2:80", "http://h0:80"]);
        three.rest(&three.all[1]);
        for _ in 0..6 {
            assert_ne!(three.next().base(), "http://h1:80");
        }
        three.all.iter().for_each(|replica| three.rest(replica));
        assert_eq!(
            (0..3)
                .map(|_| three.next().base())
                .collect::<std::collections::HashSet<_>>()
                .len(),
            3
        );
    }

    #[test]
    fn an_address_is_needed() {
        let error = Replicas::new("proxy.api", &[]).err().unwrap();
        assert!(error.to_string().starts_with("proxy.api: no address"), "{error}");
    }
}
