//! The table `instances`: processes that share a database say that they live.

use common::{db::AnyConn, time::Timestamp};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A process that was silent for so long is gone, milliseconds.
const SILENT_MS: i64 = 30_000;

/// One process of stream-service.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    pub id: String,
    /// Machine and process.
    pub host: String,
    pub started_at: Timestamp,
    /// When it last said what it holds.
    pub seen_at: Timestamp,
    pub streams: u64,
    pub uploads: u64,
    /// Requests refused by a limit since its start.
    pub refused: u64,
    /// Whether it is the one that answers: the rest of the view is about this one.
    pub here: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    instance: String,
    #[diesel(sql_type = Text)]
    host: String,
    #[diesel(sql_type = BigInt)]
    started_at: i64,
    #[diesel(sql_type = BigInt)]
    seen_at: i64,
    #[diesel(sql_type = BigInt)]
    streams: i64,
    #[diesel(sql_type = BigInt)]
    uploads: i64,
    #[diesel(sql_type = BigInt)]
    refused: i64,
}

/// Says that a process lives, and removes those that don't.
pub fn beat(conn: &mut AnyConn, now: i64, own: &Instance) -> QueryResult<()> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sql_query(
        "INSERT INTO instances (instance, host, started_at, seen_at, streams, uploads, refused) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (instance) DO UPDATE SET seen_at = excluded.seen_at, \
         streams = excluded.streams, uploads = excluded.uploads, refused = excluded.refused",
    )
    .bind::<Text, _>(&own.id)
    .bind::<Text, _>(&own.host)
    .bind::<BigInt, _>(own.started_at.millis())
    .bind::<BigInt, _>(now)
    .bind::<BigInt, _>(number(own.streams))
    .bind::<BigInt, _>(number(own.uploads))
    .bind::<BigInt, _>(number(own.refused))
    .execute(conn)?;
    sql_query("DELETE FROM instances WHERE seen_at < $1")
        .bind::<BigInt, _>(now - SILENT_MS)
        .execute(conn)
        .map(drop)
}

/// The others that live.
pub fn others(conn: &mut AnyConn, now: i64, own: &str) -> QueryResult<Vec<Instance>> {
    let rows: Vec<Row> = sql_query(
        "SELECT instance, host, started_at, seen_at, streams, uploads, refused FROM instances \
         WHERE instance <> $1 AND seen_at >= $2 ORDER BY started_at, instance",
    )
    .bind::<Text, _>(own)
    .bind::<BigInt, _>(now - SILENT_MS)
    .load(conn)?;
    let instance = |row: Row| Instance {
        id: row.instance,
        host: row.host,
        started_at: Timestamp(row.started_at),
        seen_at: Timestamp(row.seen_at),
        streams: row.streams.unsigned_abs(),
        uploads: row.uploads.unsigned_abs(),
        refused: row.refused.unsigned_abs(),
        here: false,
    };
    Ok(rows.into_iter().map(instance).collect())
}

/// A process ends.
pub fn leave(conn: &mut AnyConn, own: &str) -> QueryResult<()> {
    sql_query("DELETE FROM instances WHERE instance = $1")
        .bind::<Text, _>(own)
        .execute(conn)
        .map(drop)
}
