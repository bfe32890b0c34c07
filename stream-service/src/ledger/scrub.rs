//! What the scrub asks of the ledger and keeps there: whose turn it is, how far the turn is, and what was found wrong.

use super::LIVE;
use crate::schema::objects;
use crate::store::ObjectKey;
use common::{
    db::{AnyConn, now_ms},
    ids::{Id, VideoId},
};
use diesel::prelude::*;

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

#[derive(Queryable)]
struct Row {
    object: Id,
    video: VideoId,
    size: i64,
    sha256: String,
    place: i64,
    state: String,
    damage: String,
    tried_at: i64,
}

/// At most `limit` of the live objects that had no turn since `before`, the longest waiting first, and how many there are in all. A
/// turn in the future was had before the clock was set back.
pub fn due(conn: &mut AnyConn, now: i64, before: i64, limit: i64) -> QueryResult<(Vec<Turn>, u64)> {
    let again = now.saturating_sub(AGAIN_MS);
    let is_due = || {
        let damaged = objects::damage.ne("").and(objects::tried_at.lt(again));
        objects::state
            .eq(LIVE)
            .and(objects::tried_at.lt(before).or(damaged).or(objects::tried_at.gt(now)))
    };
    let rows: Vec<Row> = objects::table
        .filter(is_due())
        .select((
            objects::object_id,
            objects::video_id,
            objects::size_bytes,
            objects::sha256,
            objects::scrub_place,
            objects::scrub_state,
            objects::damage,
            objects::tried_at,
        ))
        .order((objects::tried_at, objects::object_id))
        .limit(limit)
        .load(conn)?;
    let all: i64 = objects::table.filter(is_due()).count().get_result(conn)?;
    let bytes = |count| u64::try_from(count).unwrap_or(0);
    let turns = rows.into_iter().map(|row| Turn {
        key: ObjectKey {
            video: row.video,
            object: row.object,
        },
        size: bytes(row.size),
        sha256: row.sha256,
        place: bytes(row.place),
        state: row.state,
        damage: row.damage,
        tried_at: row.tried_at,
    });
    Ok((turns.collect(), bytes(all)))
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
