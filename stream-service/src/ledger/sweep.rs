//! What sweeps ask of the ledger: uploads that nobody continues, rows for names found in the store, live rows in pages.

use super::{DELETING, LIVE, LOST, WRITING};
use crate::schema::{objects, tus_uploads};
use crate::store::ObjectKey;
use common::{
    db::{AnyConn, now_ms},
    ids::{Id, VideoId},
};
use diesel::{
    dsl::{exists, not},
    prelude::*,
    sql_types::{BigInt, Text},
};

/// Rows of one page of a sweep.
pub const PAGE: i64 = 500;

/// A process that has not said for this long that it goes on with an upload is gone: three missed heartbeats. Milliseconds.
pub const SILENCE_MS: i64 = 3 * crate::upload::HEARTBEAT.as_millis() as i64;

/// Uploads, in pages by object id, that have been silent for `silence_ms`, and where to read on. One that can be continued is
/// silent by right until it expires.
pub fn silent_uploads(conn: &mut AnyConn, after: &str, silence_ms: i64) -> QueryResult<(Vec<ObjectKey>, Option<Id>)> {
    let now = now_ms(conn)?;
    let before = now - silence_ms;
    let continuable = tus_uploads::table
        .filter(tus_uploads::object_id.eq(objects::object_id))
        .filter(tus_uploads::expires_at.gt(now));
    let rows: Vec<(Id, VideoId)> = objects::table
        .filter(objects::state.eq(WRITING))
        .filter(objects::heartbeat_at.le(before))
        .filter(not(exists(continuable)))
        .filter(objects::object_id.gt(after))
        .select((objects::object_id, objects::video_id))
        .order(objects::object_id)
        .limit(PAGE)
        .load(conn)?;
    let last = (rows.len() as i64 == PAGE)
        .then(|| rows.last().map(|(object, _)| object.clone()))
        .flatten();
    let keys = rows.into_iter().map(|(object, video)| ObjectKey { video, object });
    Ok((keys.collect(), last))
}

/// Whether the ledger knows this object, in any state.
pub fn knows(conn: &mut AnyConn, key: &ObjectKey) -> QueryResult<bool> {
    let rows: i64 = objects::table
        .filter(objects::object_id.eq(key.object.as_str()))
        .filter(objects::video_id.eq(key.video.as_str()))
        .count()
        .get_result(conn)?;
    Ok(rows > 0)
}

/// Whether the ledger knows this object in a state in which somebody may still need what was received of it, or counts it.
pub fn goes_on(conn: &mut AnyConn, key: &ObjectKey) -> QueryResult<bool> {
    let rows: i64 = objects::table
        .filter(objects::object_id.eq(key.object.as_str()))
        .filter(objects::video_id.eq(key.video.as_str()))
        .filter(objects::state.ne(LIVE))
        .count()
        .get_result(conn)?;
    Ok(rows > 0)
}

/// Live objects with their sizes, in pages by object id.
pub fn live_page(conn: &mut AnyConn, after: &str) -> QueryResult<Vec<(ObjectKey, u64)>> {
    let rows: Vec<(Id, VideoId, i64)> = objects::table
        .filter(objects::state.eq(LIVE))
        .filter(objects::object_id.gt(after))
        .select((objects::object_id, objects::video_id, objects::size_bytes))
        .order(objects::object_id)
        .limit(PAGE)
        .load(conn)?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(object, video, size)| (ObjectKey { video, object }, u64::try_from(size).unwrap_or(0)))
        .collect())
}

/// Live → lost; `false` when it is no longer live.
pub fn mark_lost(conn: &mut AnyConn, object: &Id) -> QueryResult<bool> {
    let now = now_ms(conn)?;
    let live = objects::table.find(object.as_str()).filter(objects::state.eq(LIVE));
    Ok(diesel::update(live)
        .set((objects::state.eq(LOST), objects::updated_at.eq(now)))
        .execute(conn)?
        == 1)
}

/// Writing → deleting, for an upload that is still as silent as it was found; `false` when it has gone on, ended or become a
/// purge's since.
pub fn condemn(conn: &mut AnyConn, object: &Id, silence_ms: i64) -> QueryResult<bool> {
    let now = now_ms(conn)?;
    let silent = objects::table
        .find(object.as_str())
        .filter(objects::state.eq(WRITING))
        .filter(objects::heartbeat_at.le(now - silence_ms));
    Ok(diesel::update(silent)
        .set((objects::state.eq(DELETING), objects::updated_at.eq(now)))
        .execute(conn)?
        == 1)
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    object_id: Id,
    #[diesel(sql_type = Text)]
    video_id: VideoId,
}

/// Condemned uploads whose removal a crash interrupted, in pages by object id: rows to delete that are no purge's.
pub fn condemned(conn: &mut AnyConn, after: &str) -> QueryResult<Vec<ObjectKey>> {
    let rows: Vec<KeyRow> = diesel::sql_query(
        "SELECT object_id, video_id FROM objects o WHERE state = 'deleting' \
         AND NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.video_id = o.video_id) AND object_id > $1 ORDER BY object_id LIMIT $2",
    )
    .bind::<Text, _>(after)
    .bind::<BigInt, _>(PAGE)
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| ObjectKey {
            video: row.video_id,
            object: row.object_id,
        })
        .collect())
}

/// Removes the row of a condemned upload whose files are gone, unless a purge has taken it over and counts it.
pub fn erase(conn: &mut AnyConn, object: &Id) -> QueryResult<()> {
    diesel::sql_query(
        "DELETE FROM objects WHERE object_id = $1 AND state = 'deleting' \
         AND NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.video_id = objects.video_id)",
    )
    .bind::<Text, _>(object.as_str())
    .execute(conn)
    .map(drop)
}
