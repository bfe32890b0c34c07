//! The copies of a service: where they are just now, which of them is asked next, and which are left alone for a while.
//!
//! A literal address is one copy; a name is as many as it has addresses, and is looked up again every few seconds, so that
//! copies may come and go (`names`). What requests and health checks find out about a copy is kept with it (`standing`). It
//! promises that somebody is always asked: when every copy is left alone, all are tried. It refuses to repeat more than a share
//! of the requests (`budget`), so that repeating never melts what is sick.

mod budget;
mod metrics;
mod names;
mod standing;
mod watch;

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::Uri;
use http::uri::Authority;
use tokio::sync::Notify;

use crate::config::ConfigError;
use budget::Budget;
pub(crate) use metrics::Shown;
use names::Base;
use standing::Standing;

/// Copies of one service that are known at once. A name that has more addresses is somebody's mistake.
const MAX_REPLICAS: usize = 256;

/// Copies that are tried for one request. Each may take a whole deadline to connect to, and somebody waits.
const TRIES: usize = 3;

/// The copies of one service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Replicas(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The key of the configuration that names them: `proxy.api`.
    key: String,
    bases: Vec<Base>,
    now: RwLock<Arc<[Arc<Replica>]>>,
    turn: AtomicUsize,
    budget: Budget,
    /// Somebody could not be reached: the names are worth another look.
    doubt: Notify,
}

/// One copy.
#[derive(Debug)]
pub struct Replica {
    number: u64,
    base: String,
    uri: Uri,
    authority: Authority,
    /// Requests that are not over yet.
    asked: AtomicUsize,
    standing: Standing,
}

impl Replicas {
    /// The services at `bases`, each like `http://host:port`; refuses others in the name of `key`. Names count as one copy each
    /// until [`Replicas::watch`] looks them up.
    pub fn new(key: &str, bases: &[String]) -> Result<Self, ConfigError> {
        let bases = bases
            .iter()
            .map(|base| Base::parse(base).map_err(|problem| ConfigError::new(key, problem)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<Arc<Replica>> = Vec::new();
        for base in &bases {
            if !all.iter().any(|known| known.base == base.text()) {
                all.push(Arc::new(Replica::new(base.text())));
            }
        }
        Ok(Replicas(Arc::new(Shared {
            key: key.to_owned(),
            bases,
            now: RwLock::new(all.into()),
            turn: AtomicUsize::new(0),
            budget: Budget::default(),
            doubt: Notify::new(),
        })))
    }

    /// Those that are known just now.
    #[must_use]
    pub fn all(&self) -> Arc<[Arc<Replica>]> {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next to be asked, one that is not among `tried` if there is any; none when no address is configured.
    ///
    /// In turn, but of two the one that has fewer requests to answer: turns alone would give a slow copy as much as the others,
    /// and the fewest of all would send every edge to the same copy.
    #[must_use]
    pub fn next(&self, tried: &[Turn]) -> Option<Turn> {
        let (all, now) = (self.all(), now_ms());
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let fresh = |replica: &&Arc<Replica>| !tried.iter().any(|turn| turn.number == replica.number);
        let willing = |replica: &&Arc<Replica>| fresh(replica) && replica.takes(now);
        let chosen = fairer(&all, turn, willing)
            .or_else(|| fairer(&all, turn, fresh))
            .or_else(|| fairer(&all, turn, |_| true));
        chosen.map(|replica| Turn::begin(replica.clone(), self.clone(), now))
    }

    /// How often a request that reached nobody is worth a try. One copy alone gets a second one: a lost packet costs a whole
    /// deadline.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.all().len().clamp(2, TRIES)
    }

    /// A request begins: it earns a part of a repetition.
    pub fn earn(&self) {
        self.0.budget.earn();
    }

    /// Whether one more repetition is within the budget; it is spent.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        self.0.budget.spend()
    }
}

/// Of those that `may` be asked: whose turn it is, or another one when that has fewer requests.
fn fairer<'a, F>(all: &'a [Arc<Replica>], turn: usize, may: F) -> Option<&'a Arc<Replica>>
where
    F: Fn(&&'a Arc<Replica>) -> bool,
{
    let count = all.iter().filter(|replica| may(replica)).count();
    let at = |place: usize| all.iter().filter(|replica| may(replica)).nth(place);
    let first = at(turn.checked_rem(count)?)?;
    if count == 1 {
        return Some(first);
    }
    // Scattered by a multiplication (Knuth), because the neighbours' turn comes by itself.
    let scattered = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let second = at((turn + 1 + scattered % (count - 1)) % count)?;
    Some(if second.asked() < first.asked() { second } else { first })
}

impl Replica {
    fn new(base: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let uri: Uri = base.parse().expect("a base was parsed when it was configured");
        Replica {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            base: base.to_owned(),
            authority: uri.authority().cloned().expect("a base has a host"),
            uri,
            asked: AtomicUsize::new(0),
            standing: Standing::default(),
        }
    }

    /// Different for each copy that this process ever knew.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// `http://address:port`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// One on trial gets one request at a time.
    fn takes(&self, now: u64) -> bool {
        match self.standing.at(now) {
            standing::At::In => true,
            standing::At::Trial => self.asked() == 0,
            standing::At::Out => false,
        }
    }

    /// Why it is left alone, if it is.
    #[must_use]
    pub fn left_alone(&self) -> Option<String> {
        self.standing.reason(now_ms())
    }
}

/// A copy that is being asked. It counts for as long as it lives: a body may hold it until its end.
#[derive(Debug)]
pub struct Turn {
    replica: Arc<Replica>,
    replicas: Replicas,
    began: u64,
}

impl Turn {
    fn begin(replica: Arc<Replica>, replicas: Replicas, began: u64) -> Self {
        replica.asked.fetch_add(1, Ordering::Relaxed);
        Turn {
            replica,
            replicas,
            began,
        }
    }

    /// An answer began.
    pub fn answered(&self) {
        self.standing.answered(&self.base, self.began);
    }

    /// There is no connection to be had: others are asked until it is found well.
    pub fn unreachable(&self, reason: &str) {
        self.standing.unreachable(&self.base, now_ms(), reason);
        self.replicas.0.doubt.notify_one();
    }

    /// It took the request and said nothing.
    pub fn silent(&self, reason: &str) {
        self.standing.silent(&self.base, now_ms(), reason);
    }

    /// Resolves when the copy turns out to be silent to others too: its answer is not worth the wait any more.
    pub async fn found_silent(&self) {
        self.standing.found_silent().await;
    }
}

impl Clone for Turn {
    fn clone(&self) -> Self {
        Turn::begin(self.replica.clone(), self.replicas.clone(), self.began)
    }
}

impl Deref for Turn {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        &self.replica
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.replica.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Milliseconds since the first question; never 0, which `standing` uses.
fn now_ms() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(|| Instant::now() - Duration::from_millis(1));
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
