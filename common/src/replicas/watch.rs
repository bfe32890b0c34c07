//! What is done about copies while nobody asks for them: names are looked up, and where there are several copies each is
//! asked for its `/readyz`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Replica, Replicas, now_ms};
use crate::drain::Drain;

/// Names are looked up in this interval: within it a copy that came gets requests.
const LOOK_UP: Duration = Duration::from_secs(3);

/// Names are looked up no sooner than this after the last time, whatever is in doubt.
const AT_MOST_EVERY: Duration = Duration::from_millis(500);

/// From one check of a copy to its next, give or take a fifth, so that many edges don't ask at the same moment.
const CHECK: Duration = Duration::from_secs(1);

/// How long a check may take. Twice this and a [`CHECK`] is the time after which a copy that hangs is left alone.
const CHECK_WITHIN: Duration = Duration::from_secs(1);

/// What a check found.
enum Checked {
    Ready,
    /// By its own words.
    NotReady(String),
    Unreachable(String),
    Silent(String),
}

impl Replicas {
    /// Whether [`Replicas::watch`] would do anything: a single literal address is neither looked up nor compared.
    #[must_use]
    pub fn needs_watching(&self) -> bool {
        self.has_names() || self.all().len() > 1
    }

    /// Watches until the drain begins.
    pub async fn watch(self, drain: Drain) {
        let http = client();
        let mut checks: JoinSet<()> = JoinSet::new();
        let mut checked: Vec<u64> = Vec::new();
        loop {
            if self.has_names() {
                // Bound by the resolver's own deadlines; until then everything stays as it is.
                tokio::select! {
                    () = drain.begun() => return,
                    () = self.look_up() => {}
                }
            }
            let all = self.all();
            checked.retain(|number| all.iter().any(|replica| replica.number == *number));
            for replica in all.iter() {
                if !checked.contains(&replica.number) {
                    checked.push(replica.number);
                    checks.spawn_local(check_on(self.clone(), replica.clone(), http.clone()));
                }
            }
            drop(all);
            while checks.try_join_next().is_some() {}
            let next = async {
                tokio::select! {
                    () = sleep(LOOK_UP) => {}
                    () = self.0.doubt.notified() => sleep(AT_MOST_EVERY).await,
                }
            };
            tokio::select! {
                () = drain.begun() => return,
                () = next => {}
            }
        }
    }

    /// Asks every copy now; the first that says it is ready will do. The error names each with what is wrong with it.
    pub async fn any_ready(&self, http: &reqwest::Client) -> Result<(), String> {
        let all = self.all();
        let asked = all
            .iter()
            .map(|replica| async move { (replica, check(replica, http).await) });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let mut wrong = Vec::new();
        while let Some((replica, checked)) = asked.next().await {
            match checked {
                Checked::Ready => return Ok(()),
                Checked::NotReady(reason) | Checked::Unreachable(reason) | Checked::Silent(reason) => {
                    wrong.push(format!("{} {reason}", replica.base));
                }
            }
        }
        Err(wrong.join(", "))
    }
}

/// Checks one copy for as long as it is one.
async fn check_on(replicas: Replicas, replica: Arc<Replica>, http: reqwest::Client) {
    loop {
        sleep(CHECK.mul_f64(rand::rng().random_range(0.8..1.2))).await;
        let all = replicas.all();
        if !all.iter().any(|known| known.number == replica.number) {
            return;
        }
        // Where there is no choice, nothing depends on it.
        if all.len() < 2 {
            continue;
        }
        drop(all);
        if judge(&replica, check(&replica, &http).await) {
            // At once: whoever waits for a copy that hangs waits long enough.
            judge(&replica, check(&replica, &http).await);
        }
    }
}

/// Takes what a check found; says whether it was a silence that needs another one.
fn judge(replica: &Replica, checked: Checked) -> bool {
    let (standing, base, now) = (&replica.standing, &replica.base, now_ms());
    match checked {
        Checked::Ready => standing.well(now),
        Checked::NotReady(reason) => standing.not_ready(base, now, &reason),
        Checked::Unreachable(reason) => standing.unreachable(base, now, &reason),
        Checked::Silent(reason) => {
            let was_in = standing.reason(now).is_none();
            standing.silent(base, now, &reason);
            return was_in;
        }
    }
    false
}

async fn check(replica: &Replica, http: &reqwest::Client) -> Checked {
    let asked = http.get(format!("{}/readyz", replica.base)).send();
    match timeout(CHECK_WITHIN, asked).await {
        Ok(Ok(answer)) if answer.status().is_success() => Checked::Ready,
        Ok(Ok(answer)) => Checked::NotReady(format!("answers {}", answer.status().as_u16())),
        Ok(Err(error)) if error.is_connect() => Checked::Unreachable("can't be reached".into()),
        Ok(Err(_)) => Checked::Silent("gives no answer".into()),
        Err(_) => Checked::Silent(format!("gives no answer within {CHECK_WITHIN:?}")),
    }
}

/// Each check has a connection of its own: one that is kept says nothing about whether new ones are taken.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client without TLS has nothing that can fail")
}
