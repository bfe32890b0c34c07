//! The statements on an outbox table.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use crate::db::{AnyConn, Backend, Db, DbError, now_ms};
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
}

/// Writes `message`; call it in the transaction of the change. Wake the relay after the commit.
pub fn enqueue(conn: &mut AnyConn, message: &Message) -> QueryResult<()> {
    let now = now_ms(conn)?;
    sql_query(
        "INSERT INTO outbox (kind, key, payload, operation_id, created_at, next_at, claimed_until, attempts) \
         VALUES ($1, $2, $3, $4, $5, $5, 0, 0)",
    )
    .bind::<Text, _>(message.kind)
    .bind::<Text, _>(&message.key)
    .bind::<Text, _>(&message.payload)
    .bind::<Text, _>(&message.operation_id)
    .bind::<BigInt, _>(now)
    .execute(conn)
    .map(drop)
}

/// Takes up to `limit` due messages, the oldest of each key only, for `claim_ms`.
pub(super) async fn claim(db: &Db, limit: i64, claim_ms: i64) -> Result<Vec<Entry>, DbError> {
    db.write(move |conn| {
        let now = now_ms(conn)?;
        let lock = match conn.backend() {
            Backend::Sqlite => "",
            Backend::Postgres => " FOR UPDATE SKIP LOCKED",
        };
        let due: Vec<Entry> = sql_query(format!(
            "SELECT id, kind, key, payload, operation_id, attempts FROM outbox o WHERE next_at <= $1 AND claimed_until <= $1 \
             AND NOT EXISTS (SELECT 1 FROM outbox earlier WHERE earlier.key = o.key AND earlier.id < o.id) \
             ORDER BY id LIMIT $2{lock}"
        ))
        .bind::<BigInt, _>(now)
        .bind::<BigInt, _>(limit)
        .load(conn)?;
        if !due.is_empty() {
            sql_query(format!("UPDATE outbox SET claimed_until = $1 WHERE id IN ({})", list(due.iter().map(|entry| &entry.id))))
                .bind::<BigInt, _>(now + claim_ms)
                .execute(conn)?;
        }
        Ok::<_, DbError>(due)
    })
    .await
}

/// Keeps claimed messages for another `claim_ms`.
pub(super) async fn renew(db: &Db, claimed: Vec<i64>, claim_ms: i64) -> Result<(), DbError> {
    if claimed.is_empty() {
        return Ok(());
    }
    db.write(move |conn| {
        let until = now_ms(conn)? + claim_ms;
        sql_query(format!(
            "UPDATE outbox SET claimed_until = $1 WHERE id IN ({})",
            list(claimed.iter())
        ))
        .bind::<BigInt, _>(until)
        .execute(conn)?;
        Ok::<_, DbError>(())
    })
    .await
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
}

/// Removes what was delivered and gives the rest a later time, in one transaction.
pub(super) async fn settle(db: &Db, outcomes: Vec<(Entry, Outcome)>) -> Result<(), DbError> {
    db.write(move |conn| {
        let now = now_ms(conn)?;
        let delivered = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Delivered));
        let delivered = list(delivered.map(|(entry, _)| &entry.id));
        if !delivered.is_empty() {
            sql_query(format!("DELETE FROM outbox WHERE id IN ({delivered})")).execute(conn)?;
        }
        for (entry, outcome) in &outcomes {
            if let Outcome::Failed { error, retry_ms } = outcome {
                sql_query(
                    "UPDATE outbox SET next_at = $1, claimed_until = 0, attempts = attempts + 1, last_error = $2 WHERE id = $3",
                )
                .bind::<BigInt, _>(now + retry_ms)
                .bind::<Text, _>(error)
                .bind::<BigInt, _>(entry.id)
                .execute(conn)?;
            }
        }
        Ok::<_, DbError>(())
    })
    .await
}

/// Numbers of our own, so they can stand in the text of a statement.
fn list<'a>(ids: impl Iterator<Item = &'a i64>) -> String {
    ids.map(ToString::to_string).collect::<Vec<_>>().join(",")
}
