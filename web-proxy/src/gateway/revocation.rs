//! Sessions that end while their sockets are open (promise 13). The bus tells at once; because it may lose a message, and
//! because it reaches only its own process as long as it is local, api-service is asked as well. Both go on while the drain
//! closes the sockets.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use common::bus::{Message, Subject};
use common::ids::Id;
use common::messages::{SessionList, SessionsRevoked};
use common::service::Platform;

use super::Shared;
use super::shard::End;

/// How often the sessions of all sockets are asked about: a revocation takes effect within a second.
const ASK_EVERY: Duration = Duration::from_millis(700);

/// Sessions of one question.
const PAGE: usize = 1_000;

/// Sockets of more sessions than this are asked about less often: at most so many sessions a second.
const SESSIONS_PER_SECOND: usize = 30_000;

/// Starts both watches.
pub fn watch(shared: &Arc<Shared>, platform: &Platform) {
    let told = shared.clone();
    platform.spawn_loop("gateway revocations", move || {
        let shared = told.clone();
        async move { hear(&shared).await }
    });
    let asking = shared.clone();
    platform.spawn_loop("gateway session checks", move || {
        let shared = asking.clone();
        async move { ask(&shared).await }
    });
}

async fn hear(shared: &Shared) {
    let mut bus = shared.bus.subscribe(&Subject::SessionsRevoked);
    bus.established().await;
    loop {
        let message = tokio::select! {
            () = shared.over.begun() => return,
            message = bus.next() => message,
        };
        match message {
            Some(message @ Message::Data(_)) => match message.decode::<SessionsRevoked>() {
                Some(revoked) => shared.end_sessions(&revoked.sessions, End::SignedOut),
                None => log::warn!("A revocation can't be read"),
            },
            Some(Message::Missed(_)) => {
                log::info!("Revocations may have been lost: all sessions are asked about");
                check(shared, shared.places.sessions()).await;
            }
            None => return,
        }
    }
}

async fn ask(shared: &Shared) {
    let mut wait = ASK_EVERY;
    while shared.over.sleep(wait).await {
        let sessions = shared.places.sessions();
        wait = ASK_EVERY.max(Duration::from_secs_f64(
            sessions.len() as f64 / SESSIONS_PER_SECOND as f64,
        ));
        check(shared, sessions).await;
        shared.ended.sweep();
        shared.counts.sweep();
    }
}

/// Ends those of `sessions` that api-service doesn't know to be good. When it can't be asked they stay: they were granted
/// before (promise 13), and the next question comes soon.
async fn check(shared: &Shared, sessions: Vec<Id>) {
    for page in sessions.chunks(PAGE) {
        let asked = SessionList {
            sessions: page.to_vec(),
        };
        match shared.clients.api.check_sessions(asked).await {
            Ok(good) => {
                let good: HashSet<&Id> = good.sessions.iter().collect();
                let over: Vec<Id> = page.iter().filter(|session| !good.contains(session)).cloned().collect();
                if !over.is_empty() {
                    shared.end_sessions(&over, End::NotOpen);
                }
            }
            Err(error) => log::debug!("The sessions of open sockets can't be asked about now: {error}"),
        }
    }
}
