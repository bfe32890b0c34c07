//! The statements on an outbox table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use crate::db::{AnyConn, Backend, Db, DbError, now_ms, statement};
use crate::operation;

/// A message to be written with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: &'static str,
    /// Messages of one key are delivered one after the other, in the order in which they were written.
    pub key: String,
    /// JSON.
    pub payload: String,
    pub operation_id: String,
}

impl Message {
    /// Takes the operation id of the calling task; make it outside of the database closure.
    pub fn new(kind: &'static str, key: impl ToString, payload: &impl Serialize) -> Self {
        Message {
            kind,
            key: key.to_string(),
            payload: serde_json::to_string(payload).expect("messages are plain data"),
            operation_id: operation::current_or_mint().to_string(),
        }
    }
}

/// A claimed message.
#[derive(Debug, Clone, QueryableByName)]
pub struct Entry {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    pub payload: String,
    #[diesel(sql_type = Text)]
    pub operation_id: String,
    /// Deliveries tried before this one.
    #[diesel(sql_type = BigInt)]
    pub attempts: i64,
    /// Which claim it was taken by; only that may settle it.
    #[diesel(sql_type = Text)]
    pub(super) claim: String,
}

/// Takes back what is not delivered of `key`: its thing is gone, and nobody needs to hear of it any more.
pub fn forget(conn: &mut AnyConn, key: &str) -> QueryResult<usize> {
    statement("DELETE FROM outbox WHERE key = $1")
        .bind::<Text, _>(key)
        .execute(conn)
}

/// Writes `message`; call it in the transaction of the change. Wake the relay after the commit.
pub fn enqueue(conn: &mut AnyConn, message: &Message) -> QueryResult<()> {
    let now = now_ms(conn)?;
    statement(
        "INSERT INTO outbox (kind, key, payload, operation_id, created_at, next_at, claimed_until, attempts) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, 0)",
    )
    .bind::<Text, _>(message.kind)
    .bind::<Text, _>(&message.key)
    .bind::<Text, _>(&message.payload)
    .bind::<Text, _>(&message.operation_id)
    .bind::<BigInt, _>(now)
    .bind::<BigInt, _>(now)
    .execute(conn)
    .map(drop)
}

/// What became of a claimed message.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Delivered,
    /// To be tried again after that many milliseconds.
    Failed {
        error: String,
        retry_ms: i64,
    },
    /// Not tried: anybody may have it.
    Released,
}

/// One transaction of a relay. One for all of it makes a batch out of whatever ended while the last one was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    pub settled: Vec<(Entry, Outcome)>,
    /// Kinds whose service is back: what waits for it is due now.
    pub back: Vec<String>,
    /// Claims to keep: ids and claims.
    pub held: Vec<(i64, String)>,
    pub renew: bool,
    pub claim: Option<Claim>,
    pub claim_ms: i64,
    /// The longest time that a message whose service is away waits.
    pub away_ms: i64,
}

/// What to take.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub limit: i64,
    pub except_kinds: Vec<String>,
    /// Marks what is taken: of this relay, this time.
    pub mark: String,
}

#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Renewed claims that are still ours.
    pub kept: BTreeSet<i64>,
    pub claimed: Vec<Entry>,
}

/// On failure the settles come back: they are to be tried again.
pub(super) async fn turn(db: &Db, turn: Turn) -> Result<Taken, (DbError, Turn)> {
    let turn = Arc::new(turn);
    let asked = turn.clone();
    let taken = db.write(move |conn| -> Result<Taken, DbError> { Ok(take_turn(conn, &asked)?) });
    let taken = taken.await;
    taken.map_err(|error| (error, Arc::try_unwrap(turn).unwrap_or_else(|shared| (*shared).clone())))
}

fn take_turn(conn: &mut AnyConn, turn: &Turn) -> QueryResult<Taken> {
    let now = now_ms(conn)?;
    settle(conn, now, &turn.settled)?;
    for kind in &turn.back {
        due_now(conn, now, kind, turn.away_ms)?;
    }
    let mut taken = Taken::default();
    if turn.renew {
        taken.kept = renew(conn, now + turn.claim_ms, &turn.held)?;
    }
    if let Some(wish) = &turn.claim {
        taken.claimed = claim(conn, now, wish, turn)?;
    }
    Ok(taken)
}

/// Removes what was delivered and gives the rest a later time; only what is still claimed as it was.
fn settle(conn: &mut AnyConn, now: i64, settled: &[(Entry, Outcome)]) -> QueryResult<()> {
    let of = |released: bool| {
        let fits = settled.iter().filter(move |(_, outcome)| match outcome {
            Outcome::Delivered => !released,
            Outcome::Released => released,
            Outcome::Failed { .. } => false,
        });
        by_claim(fits.map(|(entry, _)| (entry.id, entry.claim.as_str())))
    };
    for (claim, ids) in of(false) {
        sql_query(format!("DELETE FROM outbox WHERE claim = $1 AND id IN ({ids})"))
            .bind::<Text, _>(claim)
            .execute(conn)?;
    }
    for (claim, ids) in of(true) {
        sql_query(format!(
            "UPDATE outbox SET claimed_until = 0, claim = '' WHERE claim = $1 AND id IN ({ids})"
        ))
        .bind::<Text, _>(claim)
        .execute(conn)?;
    }
    for (entry, outcome) in settled {
        if let Outcome::Failed { error, retry_ms } = outcome {
            sql_query(
                "UPDATE outbox SET next_at = $1, claimed_until = 0, claim = '', attempts = attempts + 1, last_error = $2 \
                 WHERE id = $3 AND claim = $4",
            )
            .bind::<BigInt, _>(now + retry_ms)
            .bind::<Text, _>(error)
            .bind::<BigInt, _>(entry.id)
            .bind::<Text, _>(&entry.claim)
            .execute(conn)?;
        }
    }
    Ok(())
}

/// What failed because nobody answered waits no longer. A message that fails for a reason of its own waits longer than
/// `away_ms` and stays where it is.
fn due_now(conn: &mut AnyConn, now: i64, kind: &str, away_ms: i64) -> QueryResult<()> {
    let lock = skip_locked(conn);
    sql_query(format!(
        "UPDATE outbox SET next_at = $1 WHERE id IN (SELECT id FROM outbox WHERE kind = $2 AND claimed_until <= $1 \
         AND next_at > $1 AND next_at <= $3 ORDER BY id{lock})"
    ))
    .bind::<BigInt, _>(now)
    .bind::<Text, _>(kind)
    .bind::<BigInt, _>(now + away_ms)
    .execute(conn)
    .map(drop)
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

fn renew(conn: &mut AnyConn, until: i64, held: &[(i64, String)]) -> QueryResult<BTreeSet<i64>> {
    let mut kept = BTreeSet::new();
    for (claim, ids) in by_claim(held.iter().map(|(id, claim)| (*id, claim.as_str()))) {
        let rows: Vec<Kept> = sql_query(format!(
            "UPDATE outbox SET claimed_until = $1 WHERE claim = $2 AND id IN ({ids}) RETURNING id"
        ))
        .bind::<BigInt, _>(until)
        .bind::<Text, _>(claim)
        .load(conn)?;
        kept.extend(rows.into_iter().map(|row| row.id));
    }
    Ok(kept)
}

/// Takes due messages, the oldest of each key only. What is held here is never taken twice, whatever the clock says.
fn claim(conn: &mut AnyConn, now: i64, wish: &Claim, turn: &Turn) -> QueryResult<Vec<Entry>> {
    let lock = skip_locked(conn);
    let kinds: Vec<String> = wish
        .except_kinds
        .iter()
        .map(|kind| format!("'{}'", kind.replace('\'', "''")))
        .collect();
    let kinds = if kinds.is_empty() {
        String::new()
    } else {
        format!(" AND kind NOT IN ({})", kinds.join(","))
    };
    let held = list(turn.held.iter().map(|(id, _)| *id));
    let held = if held.is_empty() {
        held
    } else {
        format!(" AND id NOT IN ({held})")
    };
    // The mark is of our own letters.
    let claimed: Vec<Entry> = sql_query(format!(
        "SELECT id, kind, key, payload, operation_id, attempts, CAST('{}' AS TEXT) AS claim FROM outbox o \
         WHERE next_at <= $1 AND claimed_until <= $1{kinds}{held} \
         AND NOT EXISTS (SELECT 1 FROM outbox earlier WHERE earlier.key = o.key AND earlier.id < o.id) \
         ORDER BY id LIMIT $2{lock}",
        wish.mark
    ))
    .bind::<BigInt, _>(now)
    .bind::<BigInt, _>(wish.limit)
    .load(conn)?;
    if !claimed.is_empty() {
        let ids = list(claimed.iter().map(|entry| entry.id));
        sql_query(format!(
            "UPDATE outbox SET claimed_until = $1, claim = $2 WHERE id IN ({ids})"
        ))
        .bind::<BigInt, _>(now + turn.claim_ms)
        .bind::<Text, _>(&wish.mark)
        .execute(conn)?;
    }
    Ok(claimed)
}

fn skip_locked(conn: &AnyConn) -> &'static str {
    match conn.backend() {
        Backend::Sqlite => "",
        Backend::Postgres => " FOR UPDATE SKIP LOCKED",
    }
}

/// Lists of ids for each claim.
fn by_claim<'a>(rows: impl Iterator<Item = (i64, &'a str)>) -> Vec<(&'a str, String)> {
    let mut ids: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (id, claim) in rows {
        ids.entry(claim).or_default().push(id);
    }
    ids.into_iter()
        .map(|(claim, ids)| (claim, list(ids.into_iter())))
        .collect()
}

/// Numbers of our own, so they can stand in the text of a statement.
fn list(ids: impl Iterator<Item = i64>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}
