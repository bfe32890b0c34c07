//! The statements of a purge. The tombstone comes first and closes the video; the size of each object is written down
//! before its file goes; the receipt is the sum of what was written down. So a crash between any two steps, and a
//! repetition of any of them, ends with the same receipt.

use super::DELETING;
use crate::schema::{media, objects, tombstones};
use common::{
    db::{AnyConn, now_ms},
    ids::{Id, VideoId},
    messages::Receipt,
};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Text},
};

/// An object to be removed.
#[derive(Clone, Debug)]
pub struct Doomed {
    pub object: Id,
    pub measured: bool,
}

/// The receipt of a purge that is done.
pub fn receipt(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Option<Receipt>> {
    let row: Option<(i64, i64, Option<i64>)> = tombstones::table
        .find(video.as_str())
        .select((tombstones::objects, tombstones::bytes, tombstones::finished_at))
        .first(conn)
        .optional()?;
    Ok(row.and_then(|(objects, bytes, finished)| finished.map(|_| to_receipt(objects, bytes))))
}

/// Closes the video and dooms its objects.
pub fn begin(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Vec<Doomed>> {
    let now = now_ms(conn)?;
    diesel::sql_query(
        "INSERT INTO tombstones (video_id, objects, bytes, begun_at) VALUES ($1, 0, 0, $2) ON CONFLICT (video_id) DO NOTHING",
    )
    .bind::<Text, _>(video.as_str())
    .bind::<BigInt, _>(now)
    .execute(conn)?;
    let of_video = objects::table.filter(objects::video_id.eq(video.as_str()));
    diesel::update(of_video.filter(objects::state.ne(DELETING)))
        .set((objects::state.eq(DELETING), objects::updated_at.eq(now)))
        .execute(conn)?;
    let rows: Vec<(Id, Option<i64>)> = of_video
        .select((objects::object_id, objects::removed_bytes))
        .order(objects::object_id)
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(object, bytes)| Doomed {
            object,
            measured: bytes.is_some(),
        })
        .collect())
}

/// A row for a file of the video that had none, so that it counts and survives a crash like the others.
pub fn adopt(conn: &mut AnyConn, video: &VideoId, object: &Id, owner: &Id) -> QueryResult<()> {
    let now = now_ms(conn)?;
    diesel::sql_query(
        "INSERT INTO objects (object_id, video_id, kind, state, size_bytes, sha256, mime, media, session_id, owner, \
         heartbeat_at, created_at, updated_at) VALUES ($1, $2, 'source', 'deleting', 0, '', '', '', '', $3, $4, $4, $4) \
         ON CONFLICT (object_id) DO NOTHING",
    )
    .bind::<Text, _>(object.as_str())
    .bind::<Text, _>(video.as_str())
    .bind::<Text, _>(owner.as_str())
    .bind::<BigInt, _>(now)
    .execute(conn)
    .map(drop)
}

/// Writes down what the store is about to lose: bytes, or that there is no file. Never changed once written.
pub fn measure(conn: &mut AnyConn, object: &Id, bytes: Option<u64>) -> QueryResult<()> {
    let bytes = bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let unmeasured = objects::table
        .find(object.as_str())
        .filter(objects::removed_bytes.is_null());
    diesel::update(unmeasured)
        .set(objects::removed_bytes.eq(bytes))
        .execute(conn)
        .map(drop)
}

/// Removes the rows, whose files are gone, and writes the receipt. Repeating it gives the first receipt.
pub fn finish(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Receipt> {
    if let Some(receipt) = receipt(conn, video)? {
        return Ok(receipt);
    }
    let now = now_ms(conn)?;
    let doomed = objects::table
        .filter(objects::video_id.eq(video.as_str()))
        .filter(objects::state.eq(DELETING));
    let measured: Vec<Option<i64>> = doomed.select(objects::removed_bytes).load(conn)?;
    let lost: Vec<i64> = measured.into_iter().flatten().filter(|&bytes| bytes >= 0).collect();
    let (count, bytes) = (i64::try_from(lost.len()).unwrap_or(i64::MAX), lost.iter().sum::<i64>());
    let open = tombstones::table
        .find(video.as_str())
        .filter(tombstones::finished_at.is_null());
    let written = diesel::update(open)
        .set((
            tombstones::objects.eq(count),
            tombstones::bytes.eq(bytes),
            tombstones::finished_at.eq(now),
        ))
        .execute(conn)?;
    if written == 0 {
        // Another caller finished between the look above and this.
        return Ok(receipt(conn, video)?.unwrap_or_default());
    }
    diesel::delete(doomed).execute(conn)?;
    diesel::delete(media::table.find(video.as_str())).execute(conn)?;
    Ok(to_receipt(count, bytes))
}

/// Whether the video's purge has begun: no upload of it may go on.
pub fn has_begun(conn: &mut AnyConn, video: &VideoId) -> QueryResult<bool> {
    let stones: i64 = tombstones::table
        .filter(tombstones::video_id.eq(video.as_str()))
        .count()
        .get_result(conn)?;
    Ok(stones > 0)
}

/// Purges that a crash interrupted.
pub fn unfinished(conn: &mut AnyConn, after: &str, limit: i64) -> QueryResult<Vec<VideoId>> {
    tombstones::table
        .filter(tombstones::finished_at.is_null())
        .filter(tombstones::video_id.gt(after))
        .select(tombstones::video_id)
        .order(tombstones::video_id)
        .limit(limit)
        .load(conn)
}

fn to_receipt(objects: i64, bytes: i64) -> Receipt {
    Receipt {
        objects: u64::try_from(objects).unwrap_or(0),
        bytes: u64::try_from(bytes).unwrap_or(0),
    }
}
