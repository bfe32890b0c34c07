//! The thread that keeps the connection: it connects, runs one [`Session`] after the other and waits between them, for as long
//! as somebody has the bus open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::address::{BrokerAddress, Credentials};
use super::session::{Failure, Session};

/// How long the start of a process waits for a broker that can't be reached: one that starts beside it is there by then.
const START_WITHIN: Duration = Duration::from_secs(10);

/// One attempt, from the name to the broker's welcome.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// First and longest wait between two attempts; each is between half and whole, so that many processes don't come at once.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A connection that held so long was a good one: the next attempt comes soon.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// Starts the thread and waits for its first connection. It runs until `open` is cancelled.
pub async fn begin(shared: Arc<Shared>, address: BrokerAddress, open: CancellationToken) -> Result<(), String> {
    let (told, first) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("its thread can't be started: {error}"))?;
    let link = Link { shared, address, open };
    let spawned = std::thread::Builder::new().name("bus".into()).spawn(move || {
        runtime.block_on(link.run(told));
        // A name that is still being looked up holds nobody up.
        runtime.shutdown_background();
    });
    spawned.map_err(|error| format!("its thread can't be started: {error}"))?;
    match first.await {
        Ok(result) => result,
        Err(_) => Err("its thread ended".into()),
    }
}

struct Link {
    shared: Arc<Shared>,
    address: BrokerAddress,
    open: CancellationToken,
}

impl Link {
    async fn run(self, told: oneshot::Sender<Result<(), String>>) {
        let session = match self.first().await {
            Ok(session) => session,
            Err(reason) => {
                // Nobody waits any more when the start was given up.
                drop(told.send(Err(reason)));
                return;
            }
        };
        self.shared.metrics.connected.set(1);
        self.shared.state().away = None;
        if told.send(Ok(())).is_ok() {
            log::info!("The bus is {}", self.address);
            self.keep(session).await;
        }
    }

    /// One session after the other.
    async fn keep(&self, first: Session) {
        let (mut session, mut is_first, mut failures) = (first, true, 0);
        loop {
            let begun = Instant::now();
            let reason = session.run(&self.shared, is_first, &self.open).await;
            self.shared.heard.store(0, std::sync::atomic::Ordering::Relaxed);
            self.shared.metrics.connected.set(0);
            if self.open.is_cancelled() {
                return;
            }
            log::warn!(
                "The bus {} is away, messages of other processes come later: {reason}",
                self.address
            );
            self.shared.state().away = Some((Instant::now(), reason));
            failures = if begun.elapsed() >= GOOD_AFTER { 0 } else { failures };
            let Some(next) = self.again(&mut failures).await else {
                return;
            };
            self.shared.metrics.reconnects.inc();
            (session, is_first) = (next, false);
        }
    }

    /// The first connection, or why the process can't start.
    async fn first(&self) -> Result<Session, String> {
        let (begun, mut failures) = (Instant::now(), 0);
        loop {
            match self.try_all().await {
                Ok(session) => return Ok(session),
                Err(Failure::Refused(reason)) => return Err(format!("{} {reason}", self.address)),
                Err(Failure::Away(reason)) => {
                    if begun.elapsed() >= START_WITHIN {
                        let tried = START_WITHIN.as_secs();
                        return Err(format!(
                            "{} can't be reached, tried for {tried} s: {reason}",
                            self.address
                        ));
                    }
                    if failures == 0 {
                        log::info!("Waiting for the bus {}: {reason}", self.address);
                    }
                    failures += 1;
                }
            }
            tokio::select! {
                () = self.open.cancelled() => return Err("was given up".into()),
                () = sleep(pause(failures).min(START_WITHIN / 20)) => {}
            }
        }
    }

    /// The next connection; `None` when the bus was closed meanwhile.
    async fn again(&self, failures: &mut u32) -> Option<Session> {
        let mut refused = false;
        loop {
            tokio::select! {
                () = self.open.cancelled() => return None,
                () = sleep(pause(*failures)) => {}
            }
            *failures += 1;
            let reason = match self.try_all().await {
                Ok(session) => return Some(session),
                Err(Failure::Away(reason)) => reason,
                Err(Failure::Refused(reason)) => {
                    if !refused {
                        log::warn!("The bus {} {reason}", self.address);
                    }
                    refused = true;
                    reason
                }
            };
            if let Some((_, why)) = &mut self.shared.state().away {
                *why = reason;
            }
        }
    }

    /// Each server once, in any order; the last failure, or a refusal.
    async fn try_all(&self) -> Result<Session, Failure> {
        let mut servers: Vec<_> = self.address.servers.iter().collect();
        servers.shuffle(&mut rand::rng());
        let mut failure = Failure::Away("no server is named".into());
        for server in servers {
            let attempt = Session::open(server, &self.address.credentials, &self.shared.prefix);
            match timeout(CONNECT_WITHIN, attempt).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(Failure::Refused(reason))) => failure = Failure::Refused(reason),
                Ok(Err(Failure::Away(reason))) if !failure.is_refusal() => failure = Failure::Away(reason),
                Ok(Err(Failure::Away(_))) => {}
                Err(_) if !failure.is_refusal() => {
                    failure = Failure::Away(format!("{server} does not answer within {CONNECT_WITHIN:?}"));
                }
                Err(_) => {}
            }
        }
        Err(failure)
    }
}

/// Before the next attempt after so many that failed.
fn pause(failures: u32) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(LAST_WAIT);
    whole.mul_f64(rand::rng().random_range(0.5..1.0))
}

impl Credentials {
    /// What to mend when the broker says no.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Credentials::None => "asks for credentials: set bus.user and bus.password, or bus.token",
            Credentials::Token(_) => "refuses bus.token",
            Credentials::User { .. } => "refuses bus.user with this bus.password",
        }
    }
}
