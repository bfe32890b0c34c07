//! Whose a token is: asked of api-service, kept for at most five seconds, one call per token however many ask.
//!
//! A revocation evicts at once, also what is being asked at that moment. Keys are hashes: no token is kept here, and none
//! reaches a log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::clients::{ApiClient, ClientError};
use common::error::{ApiError, Code};
use common::messages::TokenOwner;
use common::time::Timestamp;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

use super::ended::Ended;

/// How long an answer is good for (promise 13: a revocation that the bus lost is noticed by then).
const FRESH: Duration = Duration::from_secs(5);

/// Longest time a check may take, waiting for its turn included.
const DEADLINE: Duration = Duration::from_secs(5);

/// Questions to api-service at once: a storm of new tokens must leave it time for people's requests.
const MAX_IN_FLIGHT: usize = 64;

/// Answers kept; each is about 300 bytes.
const MAX_KNOWN: usize = 20_000;

/// Between two looks for answers that are not fresh any more, when the table is full.
const SWEEP: Duration = Duration::from_millis(500);

/// SHA-256 of a token.
type Key = [u8; 32];

/// What api-service said.
#[derive(Clone)]
enum Verdict {
    Good(Arc<TokenOwner>),
    Bad,
    /// It could not be asked.
    Away(String),
}

/// The cache. One for the process.
pub struct Tokens {
    api: ApiClient,
    ended: Arc<Ended>,
    state: Mutex<State>,
    turns: Semaphore,
}

#[derive(Default)]
struct State {
    known: HashMap<Key, (Verdict, Instant)>,
    asking: HashMap<Key, watch::Receiver<Option<Verdict>>>,
    swept: Option<Instant>,
}

impl Tokens {
    pub fn new(api: ApiClient, ended: Arc<Ended>) -> Self {
        Tokens {
            api,
            ended,
            state: Mutex::default(),
            turns: Semaphore::new(MAX_IN_FLIGHT),
        }
    }

    /// Whom `token` belongs to. 401 when to nobody, 503 when api-service is away.
    pub async fn check(&self, token: &str) -> Result<Arc<TokenOwner>, ApiError> {
        let verdict = tokio::time::timeout(DEADLINE, self.verdict(token))
            .await
            .unwrap_or_else(|_| Verdict::Away(format!("no answer within {DEADLINE:?}")));
        match verdict {
            Verdict::Good(owner) if self.ended.has(&owner.session) || owner.expires_at <= Timestamp::now() => {
                Err(unauthenticated())
            }
            Verdict::Good(owner) => Ok(owner),
            Verdict::Bad => Err(unauthenticated()),
            Verdict::Away(reason) => Err(ApiError::new(
                Code::UpstreamUnavailable,
                "Whose token this is can't be asked just now.",
            )
            .retry_after(Duration::from_secs(1))
            .because(reason)),
        }
    }

    async fn verdict(&self, token: &str) -> Verdict {
        let key: Key = Sha256::digest(token.as_bytes()).into();
        loop {
            let mut answer = match self.begin(key) {
                Turn::Known(verdict) => return verdict,
                Turn::Wait(answer) => answer,
                Turn::Ask(asking) => return self.ask(token, asking).await,
            };
            // An error means that whoever asked has left: the next in this loop asks.
            if let Ok(verdict) = answer.wait_for(Option::is_some).await
                && let Some(verdict) = verdict.clone()
            {
                return verdict;
            }
        }
    }

    fn begin(&self, key: Key) -> Turn<'_> {
        let mut state = self.lock();
        if let Some((verdict, at)) = state.known.get(&key)
            && at.elapsed() < FRESH
        {
            return Turn::Known(verdict.clone());
        }
        if let Some(answer) = state.asking.get(&key) {
            return Turn::Wait(answer.clone());
        }
        let (sender, receiver) = watch::channel(None);
        state.asking.insert(key, receiver);
        Turn::Ask(Asking {
            tokens: self,
            key,
            answer: sender,
        })
    }

    async fn ask(&self, token: &str, asking: Asking<'_>) -> Verdict {
        let began = Instant::now();
        let verdict = match self.turns.acquire().await {
            Ok(_turn) => match self.api.parse_token(token).await {
                Ok(owner) => Verdict::Good(Arc::new(owner)),
                Err(ClientError::Refused { status: 401, .. }) => Verdict::Bad,
                Err(error) => Verdict::Away(error.to_string()),
            },
            Err(closed) => Verdict::Away(closed.to_string()),
        };
        if !matches!(verdict, Verdict::Away(_)) {
            self.keep(asking.key, verdict.clone(), began);
        }
        asking.answer.send_replace(Some(verdict.clone()));
        verdict
    }

    /// Keeps an answer, by the time at which it was asked for.
    fn keep(&self, key: Key, verdict: Verdict, at: Instant) {
        let mut state = self.lock();
        let full = match verdict {
            // A flood of tokens that are none leaves the others their places.
            Verdict::Bad => MAX_KNOWN / 2,
            Verdict::Good(_) | Verdict::Away(_) => MAX_KNOWN,
        };
        // A look through the whole table is taken once in a while only.
        if state.known.len() >= full && state.swept.is_none_or(|swept| swept.elapsed() > SWEEP) {
            state.swept = Some(Instant::now());
            state.known.retain(|_, (_, at)| at.elapsed() < FRESH);
        }
        if state.known.len() < full {
            state.known.insert(key, (verdict, at));
        }
    }

    /// Forgets the answers about sessions that have ended; call it after they were added to `Ended`.
    pub fn evict_ended(&self) {
        let ended = &self.ended;
        self.lock().known.retain(|_, (verdict, _)| match verdict {
            Verdict::Good(owner) => !ended.has(&owner.session),
            Verdict::Bad | Verdict::Away(_) => true,
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Turn<'a> {
    Known(Verdict),
    Wait(watch::Receiver<Option<Verdict>>),
    Ask(Asking<'a>),
}

/// The right to ask about a token; given back when it is dropped, whatever happened.
struct Asking<'a> {
    tokens: &'a Tokens,
    key: Key,
    answer: watch::Sender<Option<Verdict>>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.tokens.lock().asking.remove(&self.key);
    }
}

fn unauthenticated() -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        "The token is not that of a session that is open; sign in.",
    )
}
