//! The statements of a purge. The tombstone comes first and closes the video; the size of each object is written down
//! before its file goes; the receipt is the sum of what was written down. So a crash between any two steps, and a
//! repetition of any of them, ends with the same receipt.

use super::DELETING;
use crate::schema::{media, objects, tombstones, tus_uploads};
use common::{
    db::{AnyConn, now_ms, statement},
    ids::{Id, VideoId},
    messages::Receipt,
    outbox,
};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Text},
};

/// The receipt of a purge that is done.
pub fn receipt(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Option<Receipt>> {
    let row: Option<(i64, i64, Option<i64>)> = tombstones::table
        .find(video.as_str())
        .select((tombstones::objects, tombstones::bytes, tombstones::finished_at))
        .first(conn)
        .optional()?;
    Ok(row.and_then(|(objects, bytes, finished)| finished.map(|_| to_receipt(objects, bytes))))
}

/// Closes the video and dooms its objects; the receipt instead, when that has been done.
pub fn begin(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Option<Receipt>> {
    let now = now_ms(conn)?;
    let closed = statement(
        "INSERT INTO tombstones (video_id, objects, bytes, begun_at) VALUES ($1, 0, 0, $2) ON CONFLICT (video_id) DO NOTHING",
    )
    .bind::<Text, _>(video.as_str())
    .bind::<BigInt, _>(now)
    .execute(conn)?;
    if closed == 0
        && let Some(receipt) = receipt(conn, video)?
    {
        return Ok(Some(receipt));
    }
    doom(conn, video, now)?;
    Ok(None)
}

fn doom(conn: &mut AnyConn, video: &VideoId, now: i64) -> QueryResult<()> {
    statement("UPDATE objects SET state = $1, updated_at = $2 WHERE video_id = $3 AND state <> $4")
        .bind::<Text, _>(DELETING)
        .bind::<BigInt, _>(now)
        .bind::<Text, _>(video.as_str())
        .bind::<Text, _>(DELETING)
        .execute(conn)
        .map(drop)
}

/// Writes down what the store is about to lose: `files` are the objects that lie there, with their bytes. A file that no row
/// knows gets one; a row without a file is written down as such. What is written down is never changed. Returns all objects.
///
/// `None` when another caller has finished the purge since: the files were seen before they went, and must not be adopted.
pub fn measure(conn: &mut AnyConn, video: &VideoId, files: &[(Id, u64)], owner: &Id) -> QueryResult<Option<Vec<Id>>> {
    if !lock(conn, video)? {
        return Ok(None);
    }
    let now = now_ms(conn)?;
    doom(conn, video, now)?;
    let of_video = objects::table.filter(objects::video_id.eq(video.as_str()));
    let rows: Vec<(Id, Option<i64>)> = of_video
        .select((objects::object_id, objects::removed_bytes))
        .load(conn)?;
    for (object, bytes) in files {
        match rows.iter().find(|(row, _)| row == object) {
            None => adopt(conn, video, object, owner, now, *bytes)?,
            Some((_, None)) => set_removed(conn, object, i64::try_from(*bytes).unwrap_or(i64::MAX))?,
            Some((_, Some(_))) => {}
        }
    }
    let lies_there = |object: &Id| files.iter().any(|(file, _)| file == object);
    for (object, _) in rows
        .iter()
        .filter(|(object, removed)| removed.is_none() && !lies_there(object))
    {
        set_removed(conn, object, -1)?;
    }
    of_video.select(objects::object_id).load(conn).map(Some)
}

/// Takes the tombstone of an unfinished purge until the end of the transaction, so that callers go one after the other;
/// `false` when the purge is finished.
fn lock(conn: &mut AnyConn, video: &VideoId) -> QueryResult<bool> {
    let open = statement("UPDATE tombstones SET objects = 0 WHERE video_id = $1 AND finished_at IS NULL");
    Ok(open.bind::<Text, _>(video.as_str()).execute(conn)? == 1)
}

/// A row for a file of the video that had none, so that it counts and survives a crash like the others.
fn adopt(conn: &mut AnyConn, video: &VideoId, object: &Id, owner: &Id, now: i64, bytes: u64) -> QueryResult<()> {
    diesel::insert_into(objects::table)
        .values((
            objects::object_id.eq(object.as_str()),
            objects::video_id.eq(video.as_str()),
            objects::kind.eq("source"),
            objects::state.eq(DELETING),
            objects::size_bytes.eq(0),
            (
                objects::sha256.eq(""),
                objects::mime.eq(""),
                objects::media.eq(""),
                objects::session_id.eq(""),
            ),
            objects::owner.eq(owner.as_str()),
            objects::heartbeat_at.eq(now),
            objects::removed_bytes.eq(i64::try_from(bytes).unwrap_or(i64::MAX)),
            objects::created_at.eq(now),
            objects::updated_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

fn set_removed(conn: &mut AnyConn, object: &Id, bytes: i64) -> QueryResult<()> {
    statement("UPDATE objects SET removed_bytes = $1 WHERE object_id = $2")
        .bind::<BigInt, _>(bytes)
        .bind::<Text, _>(object.as_str())
        .execute(conn)
        .map(drop)
}

/// Removes the rows, whose files are gone, and writes the receipt. Repeating it gives the first receipt.
pub fn finish(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Receipt> {
    if !lock(conn, video)? {
        return Ok(receipt(conn, video)?.unwrap_or_default());
    }
    let now = now_ms(conn)?;
    let doomed = objects::table
        .filter(objects::video_id.eq(video.as_str()))
        .filter(objects::state.eq(DELETING));
    let measured: Vec<Option<i64>> = doomed.select(objects::removed_bytes).load(conn)?;
    let lost: Vec<i64> = measured.into_iter().flatten().filter(|&bytes| bytes >= 0).collect();
    let (count, bytes) = (i64::try_from(lost.len()).unwrap_or(i64::MAX), lost.iter().sum::<i64>());
    statement("UPDATE tombstones SET objects = $1, bytes = $2, finished_at = $3 WHERE video_id = $4")
        .bind::<BigInt, _>(count)
        .bind::<BigInt, _>(bytes)
        .bind::<BigInt, _>(now)
        .bind::<Text, _>(video.as_str())
        .execute(conn)?;
    diesel::delete(tus_uploads::table.filter(tus_uploads::video_id.eq(video.as_str()))).execute(conn)?;
    diesel::delete(doomed).execute(conn)?;
    diesel::delete(media::table.find(video.as_str())).execute(conn)?;
    outbox::forget(conn, video.as_str())?;
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
