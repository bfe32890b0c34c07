//! Sessions in memory, so that a request by a known session costs no database call.
//!
//! An entry is trusted for a few seconds after it was read from the database and then read again before its next use: a
//! session that ended elsewhere is refused within [`TRUSTED`] even when no message about it arrives. A message (or our own
//! sign-out) drops it at once, and a read that was under way at that moment is not kept: see `epoch`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::ids::Id;
use common::messages::Role;
use common::time::Timestamp;
use sha2::{Digest, Sha256};

/// Longest time an entry is used without asking the database: below the 5 s that sign-out may take at most.
const TRUSTED: Duration = Duration::from_millis(4_500);

/// The same while the ends of sessions are not told by the bus: promise 13 is a second.
const TRUSTED_UNTOLD: Duration = Duration::from_millis(800);

/// From this age on one user of an entry asks the database early, so that a busy session is not read by many at once.
const REFRESHED: Duration = Duration::from_millis(3_500);

/// SHA-256 of a token: all that is kept of it anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub fn of(token: &str) -> Self {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `None` when it is not as long as a hash.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(TokenHash)
    }
}

/// A session and whom it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Id,
    pub user: Id,
    pub username: String,
    pub role: Role,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
}

struct Entry {
    session: Arc<Session>,
    /// Before the database was read.
    checked: Instant,
    used: Instant,
    /// Somebody is reading it again.
    refreshing: bool,
}

#[derive(Default)]
struct Inner {
    by_token: HashMap<TokenHash, Entry>,
    by_id: HashMap<Id, TokenHash>,
    /// Grows whenever sessions end: what was read before may be one of them and is not kept.
    epoch: u64,
}

/// Whether ends of sessions are heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The bus tells.
    Told,
    /// The broker is away: only the database knows.
    Untold,
}

/// What the cache knows of a token.
#[derive(Debug)]
pub enum Lookup {
    Known(Arc<Session>),
    /// Read the database, then [`SessionCache::keep`] it with this.
    Ask(ReadTicket),
}

/// When a read of the database began.
#[derive(Debug, Clone, Copy)]
pub struct ReadTicket {
    epoch: u64,
    began: Instant,
}

/// Bounded; when full, the eighth that was used longest ago goes.
pub struct SessionCache {
    inner: Mutex<Inner>,
    most: usize,
}

impl SessionCache {
    pub fn new(most: usize) -> Self {
        SessionCache {
            inner: Mutex::default(),
            most: most.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn lookup(&self, token: &TokenHash, now: Instant, trust: Trust) -> Lookup {
        let trusted = match trust {
            Trust::Told => TRUSTED,
            Trust::Untold => TRUSTED_UNTOLD,
        };
        let mut inner = self.lock();
        let ticket = ReadTicket {
            epoch: inner.epoch,
            began: now,
        };
        let Some(entry) = inner.by_token.get_mut(token) else {
            return Lookup::Ask(ticket);
        };
        let age = now.saturating_duration_since(entry.checked);
        if age >= trusted || (age >= REFRESHED && !entry.refreshing) {
            entry.refreshing = true;
            return Lookup::Ask(ticket);
        }
        entry.used = now;
        Lookup::Known(entry.session.clone())
    }

    /// A ticket for a read that begins now.
    pub fn ticket(&self, now: Instant) -> ReadTicket {
        ReadTicket {
            epoch: self.lock().epoch,
            began: now,
        }
    }

    /// Keeps what the database said, unless sessions ended since `ticket`.
    pub fn keep(&self, token: TokenHash, session: Arc<Session>, ticket: ReadTicket) {
        let mut inner = self.lock();
        if inner.epoch != ticket.epoch {
            return;
        }
        if inner.by_token.len() >= self.most && !inner.by_token.contains_key(&token) {
            inner.make_room();
        }
        inner.by_id.insert(session.id.clone(), token);
        let entry = Entry {
            session,
            checked: ticket.began,
            used: ticket.began,
            refreshing: false,
        };
        inner.by_token.insert(token, entry);
    }

    /// A newer state of an entry that is still there; what is known of its end stays as old as it is.
    pub fn replace(&self, token: &TokenHash, session: Arc<Session>) {
        if let Some(entry) = self.lock().by_token.get_mut(token) {
            entry.session = session;
        }
    }

    /// The database does not know the token (any more).
    pub fn forget(&self, token: &TokenHash) {
        let mut inner = self.lock();
        if let Some(entry) = inner.by_token.remove(token) {
            inner.by_id.remove(&entry.session.id);
        }
    }

    /// These sessions have ended.
    pub fn end(&self, sessions: &[Id]) {
        let mut inner = self.lock();
        inner.epoch += 1;
        for id in sessions {
            if let Some(token) = inner.by_id.remove(id) {
                inner.by_token.remove(&token);
            }
        }
    }

    /// Messages were lost: any session may have ended.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.by_id.clear();
        inner.by_token.clear();
    }

    pub fn len(&self) -> usize {
        self.lock().by_token.len()
    }
}

impl Inner {
    fn make_room(&mut self) {
        let mut uses: Vec<(Instant, TokenHash)> = self
            .by_token
            .iter()
            .map(|(token, entry)| (entry.used, *token))
            .collect();
        let eighth = uses.len() / 8;
        uses.select_nth_unstable_by_key(eighth, |(used, _)| *used);
        for (_, token) in &uses[..=eighth] {
            if let Some(entry) = self.by_token.remove(token) {
                self.by_id.remove(&entry.session.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Arc<Session> {
        Arc::new(Session {
            id: Id::now(),
            user: Id::now(),
            username: "ann".into(),
            role: Role::User,
            last_seen_at: Timestamp(0),
            expires_at: Timestamp(i64::MAX),
        })
    }

    fn known(cache: &SessionCache, token: &TokenHash, now: Instant) -> bool {
        matches!(cache.lookup(token, now, Trust::Told), Lookup::Known(_))
    }

    #[test]
    fn an_entry_is_read_again_before_five_seconds_are_over() {
        let (cache, now, token) = (SessionCache::new(10), Instant::now(), TokenHash::of("a"));
        cache.keep(token, session(), cache.ticket(now));
        assert!(known(&cache, &token, now + REFRESHED / 2));
        assert!(!known(&cache, &token, now + REFRESHED), "one reads it early");
        assert!(known(&cache, &token, now + REFRESHED), "the others need not wait");
        assert!(
            !known(&cache, &token, now + TRUSTED),
            "the early reader never came back"
        );
        cache.keep(token, session(), cache.ticket(now + TRUSTED));
        assert!(known(&cache, &token, now + TRUSTED));
    }

    #[test]
    fn promise_13_while_the_bus_is_away_an_entry_is_read_again_within_a_second() {
        let (cache, now, token) = (SessionCache::new(10), Instant::now(), TokenHash::of("a"));
        cache.keep(token, session(), cache.ticket(now));
        let lookup = |at| matches!(cache.lookup(&token, at, Trust::Untold), Lookup::Known(_));
        assert!(lookup(now + TRUSTED_UNTOLD / 2));
        assert!(!lookup(now + TRUSTED_UNTOLD));
        assert!(known(&cache, &token, now + TRUSTED_UNTOLD), "it is back");
    }

    #[test]
    fn what_was_read_before_a_sign_out_is_not_kept() {
        let (cache, now, token) = (SessionCache::new(10), Instant::now(), TokenHash::of("a"));
        let session = session();
        let ticket = cache.ticket(now);
        cache.end(std::slice::from_ref(&session.id));
        cache.keep(token, session.clone(), ticket);
        assert!(!known(&cache, &token, now));
        cache.keep(token, session.clone(), cache.ticket(now));
        assert!(known(&cache, &token, now));
        cache.end(std::slice::from_ref(&session.id));
        assert!(!known(&cache, &token, now));
    }

    #[test]
    fn a_full_cache_lets_go_of_what_was_used_longest_ago() {
        let (cache, now) = (SessionCache::new(64), Instant::now());
        let tokens: Vec<TokenHash> = (0..64).map(|n| TokenHash::of(&n.to_string())).collect();
        for (n, token) in tokens.iter().enumerate() {
            let at = now + Duration::from_millis(n as u64);
            cache.keep(*token, session(), cache.ticket(at));
        }
        assert!(known(&cache, &tokens[0], now + Duration::from_millis(100)));
        cache.keep(TokenHash::of("new"), session(), cache.ticket(now));
        assert!(cache.len() <= 64);
        assert!(known(&cache, &tokens[0], now + Duration::from_millis(100)), "used last");
        assert!(!known(&cache, &tokens[1], now + Duration::from_millis(100)));
        let by_id = cache.lock().by_id.len();
        assert_eq!(by_id, cache.len());
    }

    #[test]
    fn only_a_hash_is_kept() {
        let hash = TokenHash::of("abc");
        assert_eq!(
            hash.as_bytes()[..4],
            [0xba, 0x78, 0x16, 0xbf],
            "SHA-256 of abc (FIPS 180-4)"
        );
        assert!(TokenHash::from_bytes(&[0; 31]).is_none());
    }
}
