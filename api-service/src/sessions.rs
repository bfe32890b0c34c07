//! From a token to the session it stands for: the cache first, the database where the cache may not be trusted, expiry at
//! every use. When the database can't be asked the answer is an error, never a yes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::bus::{Bus, Message, Subject, Subscription};
use common::config::ApiConfig;
use common::db::{Db, DbError};
use common::drain::Drain;
use common::error::ApiError;
use common::ids::Id;
use common::messages::SessionsRevoked;
use common::time::Timestamp;

use crate::ops;
use crate::ops::sessions::Lifetimes;
use crate::session_cache::{Lookup, ReadTicket, Session, SessionCache, TokenHash, Trust};

/// Random bytes of a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// Texts of another length were not made by us and cost no lookup: 43 characters are 32 bytes in base64url.
const TOKEN_LEN: usize = 43;

/// A used session is noted in its row this often at most.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The sessions of this process. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    db: Db,
    bus: Bus,
    cache: Arc<SessionCache>,
    pub lifetimes: Lifetimes,
    /// Milliseconds; shorter than a minute where sessions are so short that a minute would matter.
    touch_every: i64,
}

/// A fresh token and what is stored of it.
pub fn new_token() -> (String, TokenHash) {
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>());
    let hash = TokenHash::of(&token);
    (token, hash)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Sessions {
    pub fn new(db: &Db, bus: &Bus, config: &ApiConfig) -> Self {
        Sessions {
            db: db.clone(),
            bus: bus.clone(),
            cache: Arc::new(SessionCache::new(config.max_sessions_cached)),
            lifetimes: Lifetimes {
                idle: millis(config.session_ttl.0),
                longest: millis(config.session_max_ttl.0),
            },
            touch_every: millis(TOUCH_EVERY.min(config.session_ttl.0 / 4)),
        }
    }

    /// Fills the cache with the sessions used last.
    pub async fn load(&self, most: usize) -> Result<usize, DbError> {
        let ticket = self.cache.ticket(Instant::now());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found = self
            .db
            .read(move |conn| Ok::<_, DbError>(ops::sessions::newest(conn, most)?))
            .await?;
        for (hash, session) in found {
            if let Some(hash) = TokenHash::from_bytes(&hash) {
                self.cache.keep(hash, Arc::new(session), ticket);
            }
        }
        Ok(self.cache.len())
    }

    /// The live session of `token`.
    pub async fn find(&self, token: &str) -> Result<Option<Arc<Session>>, ApiError> {
        if token.len() != TOKEN_LEN {
            return Ok(None);
        }
        let hash = TokenHash::of(token);
        let found = match self.cache.lookup(&hash, Instant::now(), self.trust()) {
            Lookup::Known(session) => Some(session),
            Lookup::Ask(ticket) => {
                let found = self
                    .db
                    .read(move |conn| Ok::<_, DbError>(ops::sessions::by_token(conn, &hash)?))
                    .await?;
                match found.map(Arc::new) {
                    Some(session) => {
                        self.cache.keep(hash, session.clone(), ticket);
                        Some(session)
                    }
                    None => {
                        self.cache.forget(&hash);
                        None
                    }
                }
            }
        };
        let now = Timestamp::now();
        match found {
            Some(session) if session.expires_at <= now => Ok(None),
            Some(session) if now.millis() - session.last_seen_at.millis() >= self.touch_every => {
                Ok(Some(self.touch(hash, session).await))
            }
            other => Ok(other),
        }
    }

    /// As long as the bus may have lost the end of a session, the database is asked more often.
    fn trust(&self) -> Trust {
        match self.bus.is_current() {
            true => Trust::Told,
            false => Trust::Untold,
        }
    }

    /// Notes the use in the row. A database that can't be written to does not end the session.
    async fn touch(&self, token: TokenHash, session: Arc<Session>) -> Arc<Session> {
        // Before the write: others that use it meanwhile need not write too.
        let mut touched = Session {
            last_seen_at: Timestamp::now(),
            ..Session::clone(&session)
        };
        self.cache.replace(&token, Arc::new(touched.clone()));
        let (id, lifetimes) = (session.id.clone(), self.lifetimes);
        let written = self
            .db
            .write(move |conn| Ok::<_, DbError>(ops::sessions::touch(conn, &id, lifetimes)?))
            .await;
        match written {
            Ok(Some((seen, end))) => {
                touched.last_seen_at = Timestamp(seen);
                touched.expires_at = Timestamp(end);
                let touched = Arc::new(touched);
                self.cache.replace(&token, touched.clone());
                touched
            }
            Ok(None) => {
                self.cache.forget(&token);
                session
            }
            Err(error) => {
                log::warn!("The use of session {} was not noted: {error}", session.id);
                session
            }
        }
    }

    /// To be taken before the transaction that begins a session: once it has committed, the session may end at once.
    pub fn beginning(&self) -> ReadTicket {
        self.cache.ticket(Instant::now())
    }

    /// Keeps a session that was begun after `ticket` was taken, unless sessions ended since.
    pub fn add(&self, token: TokenHash, session: Session, ticket: ReadTicket) {
        self.cache.keep(token, Arc::new(session), ticket);
    }

    /// Drops sessions whose end was committed, here and (by the bus) in every other process.
    pub fn ended(&self, user: &Id, sessions: Vec<Id>) {
        if sessions.is_empty() {
            return;
        }
        self.cache.end(&sessions);
        let message = SessionsRevoked {
            user: user.clone(),
            sessions,
        };
        self.bus.publish(&Subject::SessionsRevoked, &message);
    }

    /// Listens for sessions that ended in another process, until the drain begins. Without a subscription from before the
    /// sessions were loaded it makes one and forgets what it may have missed.
    pub async fn follow(self, ended: Option<Subscription>, drain: Drain) {
        let mut ended = ended.unwrap_or_else(|| {
            let ended = self.bus.subscribe(&Subject::SessionsRevoked);
            self.cache.clear();
            ended
        });
        loop {
            let message = tokio::select! {
                () = drain.begun() => return,
                message = ended.next() => message,
            };
            match message {
                Some(Message::Missed(_)) => self.cache.clear(),
                Some(message) => {
                    if let Some(revoked) = message.decode::<SessionsRevoked>() {
                        self.cache.end(&revoked.sessions);
                    }
                }
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use common::messages::Role;
    use common::testing::on_each_backend;

    use super::*;

    #[test]
    fn a_session_that_ended_before_it_was_added_stays_ended() {
        on_each_backend(&crate::MIGRATIONS, |db| async move {
            let bus = Bus::local();
            let sessions = Sessions::new(&db, &bus, &ApiConfig::default());
            let begin = || {
                let (token, hash) = new_token();
                let session = Session {
                    id: Id::now(),
                    user: Id::now(),
                    username: "ann".into(),
                    role: Role::User,
                    last_seen_at: Timestamp::now(),
                    expires_at: Timestamp(i64::MAX),
                };
                (token, hash, session)
            };
            // As it comes between the commit and the cache: the message of its end finds nothing to drop.
            let (token, hash, session) = begin();
            let ticket = sessions.beginning();
            sessions.ended(&session.user, vec![session.id.clone()]);
            sessions.add(hash, session, ticket);
            assert!(sessions.find(&token).await.unwrap().is_none(), "the database was asked");
            let (token, hash, session) = begin();
            sessions.add(hash, session, sessions.beginning());
            assert!(
                sessions.find(&token).await.unwrap().is_some(),
                "without a row, from the cache"
            );
        });
    }
}
