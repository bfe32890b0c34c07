//! The table `egress`. Parts and clients stand in the text of statements: they are of our own letters.

use crate::limit::{
    client::ClientKey,
    egress::{Day, Row},
};
use common::db::{AnyConn, DbError};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text},
};
use std::collections::HashMap;

/// Rows of one statement.
const BATCH: usize = 500;

/// Days that are kept: the one before is still written to shortly after midnight.
const KEEP_DAYS: i64 = 2;

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

#[derive(QueryableByName)]
struct ClientSum {
    #[diesel(sql_type = Text)]
    client: String,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// What a client used on a day.
pub fn used(conn: &mut AnyConn, day: Day, client: ClientKey) -> Result<u64, DbError> {
    let sum: Sum =
        sql_query("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM egress WHERE day = $1 AND client = $2")
            .bind::<BigInt, _>(day.0)
            .bind::<Text, _>(client.to_string())
            .get_result(conn)?;
    Ok(sum.bytes.unsigned_abs())
}

/// What each of these used on a day; who has no row used nothing.
pub fn sums(conn: &mut AnyConn, day: Day, clients: &[ClientKey]) -> QueryResult<Vec<(ClientKey, u64)>> {
    let mut sums: HashMap<ClientKey, u64> = clients.iter().map(|client| (*client, 0)).collect();
    for batch in clients.chunks(BATCH) {
        let names: Vec<String> = batch.iter().map(|client| format!("'{client}'")).collect();
        let rows: Vec<ClientSum> = sql_query(format!(
            "SELECT client, CAST(SUM(bytes) AS BIGINT) AS bytes FROM egress WHERE day = $1 AND client IN ({}) \
             GROUP BY client",
            names.join(", ")
        ))
        .bind::<BigInt, _>(day.0)
        .load(conn)?;
        sums.extend(read(rows));
    }
    Ok(sums.into_iter().collect())
}

/// Writes whole counts; a repeated write changes nothing, and an older one never overtakes.
pub fn write(conn: &mut AnyConn, now: i64, rows: &[Row]) -> QueryResult<()> {
    for batch in rows.chunks(BATCH) {
        let values: Vec<String> = batch
            .iter()
            .map(|row| {
                let bytes = i64::try_from(row.bytes).unwrap_or(i64::MAX);
                format!("({}, '{}', '{}', {bytes}, {now})", row.day.0, row.client, row.part)
            })
            .collect();
        sql_query(format!(
            "INSERT INTO egress (day, client, part, bytes, changed_at) VALUES {} ON CONFLICT (day, client, part) \
             DO UPDATE SET bytes = excluded.bytes, changed_at = excluded.changed_at WHERE egress.bytes < excluded.bytes",
            values.join(", ")
        ))
        .execute(conn)?;
    }
    Ok(())
}

/// The sums of those clients of whom a row was changed since then.
pub fn changed(conn: &mut AnyConn, day: Day, since: i64) -> QueryResult<Vec<(ClientKey, u64)>> {
    let rows: Vec<ClientSum> = sql_query(
        "SELECT client, CAST(SUM(bytes) AS BIGINT) AS bytes FROM egress WHERE day = $1 AND client IN \
         (SELECT client FROM egress WHERE day = $1 AND changed_at >= $2) GROUP BY client",
    )
    .bind::<BigInt, _>(day.0)
    .bind::<BigInt, _>(since)
    .load(conn)?;
    Ok(read(rows))
}

/// The clients that took the most on a day, first the one with the most.
pub fn top(conn: &mut AnyConn, day: Day, at_most: i64) -> QueryResult<Vec<(ClientKey, u64)>> {
    let rows: Vec<ClientSum> = sql_query(
        "SELECT client, CAST(SUM(bytes) AS BIGINT) AS bytes FROM egress WHERE day = $1 GROUP BY client \
         ORDER BY bytes DESC, client LIMIT $2",
    )
    .bind::<BigInt, _>(day.0)
    .bind::<BigInt, _>(at_most)
    .load(conn)?;
    Ok(read(rows))
}

/// Removes the days before.
pub fn forget(conn: &mut AnyConn, today: Day) -> QueryResult<usize> {
    sql_query("DELETE FROM egress WHERE day <= $1")
        .bind::<BigInt, _>(today.0 - KEEP_DAYS)
        .execute(conn)
}

/// A client that another version wrote, and this one can't read, is nobody's here.
fn read(rows: Vec<ClientSum>) -> Vec<(ClientKey, u64)> {
    let known = |row: ClientSum| Some((row.client.parse().ok()?, row.bytes.unsigned_abs()));
    rows.into_iter().filter_map(known).collect()
}
