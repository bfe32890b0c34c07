//! What the scrub asks of the ledger and keeps there: whose turn it is, how far the turn is, and what was found wrong.

use super::LIVE;
use crate::schema::objects;
use crate::store::ObjectKey;
use common::{
    db::{AnyConn, now_ms},
    ids::{Id, VideoId},
};
use diesel::{prelude::*, sql_query, sql_types::BigInt};

/// What had something wrong gets its turn again after this time, milliseconds: it may have been the machine, or was put right.
const AGAIN_MS: i64 = 24 * 3600 * 1000;

/// A live object whose turn it is.
#[derive(Clone, Debug)]
pub struct Turn {
    pub key: ObjectKey,
    pub size: u64,
    /// Of the whole, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes that were read already, and their hash half done.
    pub place: u64,
    pub state: String,
    /// What the last turn found wrong; empty: nothing.
    pub damage: String,
    /// When that was. With the place it names the turn: who comes later changes nothing.
    pub tried_at: i64,
}

#[derive(QueryableByName)]
#[diesel(table_name = objects)]
struct Row {
    object_id: Id,
    video_id: VideoId,
    size_bytes: i64,
    sha256: String,
    scrub_place: i64,
    scrub_state: String,
    damage: String,
    tried_at: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Live objects that had no turn since `$1`, what is damaged and had none since `$2`, and turns later than `$3`, which were had before the
/// clock was set back. Three parts, each with an index of its own: nothing is looked through that is not due.
fn all_due(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM objects WHERE state = 'live' AND tried_at < $1 \
         UNION ALL SELECT {columns} FROM objects WHERE state = 'live' AND damage <> '' AND tried_at >= $1 AND tried_at < $2 \
         UNION ALL SELECT {columns} FROM objects WHERE state = 'live' AND tried_at > $3"
    )
}

/// At most `limit` of the live objects that had no turn since `before` (at most `now`), the longest waiting first, and how many there
/// are in all.
pub fn due(conn: &mut AnyConn, now: i64, before: i64, limit: i64) -> QueryResult<(Vec<Turn>, u64)> {
    let again = now.saturating_sub(AGAIN_MS);
    let columns = "object_id, video_id, size_bytes, sha256, scrub_place, scrub_state, damage, tried_at";
    let page = format!("{} ORDER BY tried_at, object_id LIMIT $4", all_due(columns));
    let rows: Vec<Row> = sql_query(page)
        .bind::<BigInt, _>(before)
        .bind::<BigInt, _>(again)
        .bind::<BigInt, _>(now)
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    let all: Count = sql_query(format!("SELECT COUNT(*) AS n FROM ({}) AS due", all_due("object_id")))
        .bind::<BigInt, _>(before)
        .bind::<BigInt, _>(again)
        .bind::<BigInt, _>(now)
        .get_result(conn)?;
    let bytes = |count| u64::try_from(count).unwrap_or(0);
    let turns = rows.into_iter().map(|row| Turn {
        key: ObjectKey {
            video: row.video_id,
            object: row.object_id,
        },
        size: bytes(row.size_bytes),
        sha256: row.sha256,
        place: bytes(row.scrub_place),
        state: row.scrub_state,
        damage: row.damage,
        tried_at: row.tried_at,
    });
    Ok((turns.collect(), bytes(all.n)))
}

/// The turn goes on from here.
pub fn keep(conn: &mut AnyConn, turn: &Turn, place: u64, state: &str) -> QueryResult<()> {
    diesel::update(row(turn))
        .set((objects::scrub_place.eq(stored(place)), objects::scrub_state.eq(state)))
        .execute(conn)
        .map(drop)
}

/// The turn is over; `damage` is what it found. `false` when the object is no longer live, or another copy had the same turn.
pub fn end(conn: &mut AnyConn, turn: &Turn, damage: &str) -> QueryResult<bool> {
    let now = now_ms(conn)?;
    Ok(diesel::update(row(turn))
        .set((
            objects::tried_at.eq(now),
            objects::scrub_place.eq(0),
            objects::scrub_state.eq(""),
            objects::damage.eq(damage),
        ))
        .execute(conn)?
        == 1)
}

/// The row of a turn, as long as nobody has gone on with it.
#[diesel::dsl::auto_type]
fn row<'a>(turn: &'a Turn) -> _ {
    let object: &'a str = turn.key.object.as_str();
    let (tried_at, place): (i64, i64) = (turn.tried_at, stored(turn.place));
    let live: &'static str = LIVE;
    objects::table
        .filter(objects::object_id.eq(object))
        .filter(objects::state.eq(live))
        .filter(objects::tried_at.eq(tried_at))
        .filter(objects::scrub_place.eq(place))
}

fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The newest live objects, and their sizes.
pub fn newest(conn: &mut AnyConn, limit: i64) -> QueryResult<Vec<(ObjectKey, u64)>> {
    let rows: Vec<(Id, VideoId, i64)> = objects::table
        .filter(objects::state.eq(LIVE))
        .select((objects::object_id, objects::video_id, objects::size_bytes))
        .order(objects::object_id.desc())
        .limit(limit)
        .load(conn)?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(object, video, size)| (ObjectKey { video, object }, u64::try_from(size).unwrap_or(0)))
        .collect())
}

/// How many live objects have something wrong, and the first of them.
pub fn damaged(conn: &mut AnyConn, limit: i64) -> QueryResult<(u64, Vec<(ObjectKey, String)>)> {
    let is_damaged = || objects::state.eq(LIVE).and(objects::damage.ne(""));
    let all: i64 = objects::table.filter(is_damaged()).count().get_result(conn)?;
    let first: Vec<(Id, VideoId, String)> = objects::table
        .filter(is_damaged())
        .select((objects::object_id, objects::video_id, objects::damage))
        .order(objects::object_id)
        .limit(limit)
        .load(conn)?;
    let first = first
        .into_iter()
        .map(|(object, video, damage)| (ObjectKey { video, object }, damage));
    Ok((u64::try_from(all).unwrap_or(0), first.collect()))
}
