//! The rows of uploads that can be continued. All functions run inside of a caller's transaction or read.

use super::{
    MAX_OPEN, REMEMBER,
    fields::Concat,
    plan::{Known, Upload},
};
use crate::{
    ledger::{self, Barred, Uploader, WRITING},
    schema::{objects, tus_uploads},
    store::{Kept, ObjectKey},
};
use common::{
    db::{AnyConn, now_ms},
    ids::{Id, VideoId},
    time::Timestamp,
};
use diesel::{dsl::exists, prelude::*, select};
use std::time::Duration;

type Row = (Option<i64>, i64, String, String, bool, i64, Option<i64>, Option<String>);

/// Why an upload may not be created.
pub enum Uncreated {
    Barred(Barred),
    /// The video has [`MAX_OPEN`] of them.
    TooMany,
}

/// What is known of an upload of this video.
pub fn find(conn: &mut AnyConn, key: &ObjectKey) -> QueryResult<Known> {
    // Both rows in one statement: between two the upload could become a video, and would look like neither.
    let row: Option<Row> = tus_uploads::table
        .left_join(objects::table.on(objects::object_id.eq(tus_uploads::object_id)))
        .filter(tus_uploads::object_id.eq(key.object.as_str()))
        .filter(tus_uploads::video_id.eq(key.video.as_str()))
        .select((
            tus_uploads::length,
            tus_uploads::acknowledged,
            tus_uploads::metadata,
            tus_uploads::concat,
            tus_uploads::complete,
            tus_uploads::expires_at,
            tus_uploads::finished_at,
            objects::state.nullable(),
        ))
        .first(conn)
        .optional()?;
    let Some((length, acknowledged, metadata, concat, complete, expires_at, finished_at, state)) = row else {
        // A purge removes the rows; whoever holds a grant for the video may know.
        let purged = ledger::purge::has_begun(conn, &key.video)?;
        return Ok(if purged { Known::Gone } else { Known::Nothing });
    };
    let expired = expires_at <= now_ms(conn)?;
    let finished = finished_at.is_some();
    let wanted = if finished { ledger::LIVE } else { WRITING };
    if expired || state.as_deref() != Some(wanted) {
        return Ok(Known::Gone);
    }
    Ok(Known::Is(Upload {
        offset: bytes(acknowledged),
        length: length.map(bytes),
        metadata,
        // What is stored has been parsed before.
        concat: Concat::parse(&concat).ok(),
        complete,
        finished,
        expires: Timestamp(expires_at),
    }))
}

/// Both rows of a new upload, which is kept for `keep`.
pub fn create(
    conn: &mut AnyConn,
    key: &ObjectKey,
    by: &Uploader,
    (owner, holder): (&Id, &Id),
    (upload, keep): (&Upload, Duration),
) -> QueryResult<Result<Timestamp, Uncreated>> {
    let open: i64 = tus_uploads::table
        .inner_join(objects::table.on(objects::object_id.eq(tus_uploads::object_id)))
        .filter(tus_uploads::video_id.eq(key.video.as_str()))
        .filter(objects::state.eq(WRITING))
        .count()
        .get_result(conn)?;
    if open >= MAX_OPEN {
        return Ok(Err(Uncreated::TooMany));
    }
    if let Err(barred) = ledger::begin(conn, &key.video, &key.object, by, owner)? {
        return Ok(Err(Uncreated::Barred(barred)));
    }
    let expires = Timestamp(now_ms(conn)?) + keep;
    diesel::insert_into(tus_uploads::table)
        .values((
            tus_uploads::object_id.eq(key.object.as_str()),
            tus_uploads::video_id.eq(key.video.as_str()),
            tus_uploads::length.eq(upload.length.map(number)),
            tus_uploads::acknowledged.eq(0),
            tus_uploads::metadata.eq(&upload.metadata),
            tus_uploads::concat.eq(upload.concat.as_ref().map(Concat::text).unwrap_or_default()),
            tus_uploads::holder.eq(holder.as_str()),
            tus_uploads::expires_at.eq(expires.millis()),
        ))
        .execute(conn)?;
    Ok(Ok(expires))
}

/// Makes `holder` the one that may acknowledge, gives the upload its time anew, and says what is known then.
pub fn take(conn: &mut AnyConn, key: &ObjectKey, holder: &Id, keep: Duration) -> QueryResult<Known> {
    let known = find(conn, key)?;
    if !matches!(&known, Known::Is(upload) if !upload.finished) {
        return Ok(known);
    }
    let expires = Timestamp(now_ms(conn)?) + keep;
    // Our row before the ledger's, as in `finish`: the two never wait for each other.
    diesel::update(tus_uploads::table.find(key.object.as_str()))
        .set((
            tus_uploads::holder.eq(holder.as_str()),
            tus_uploads::expires_at.eq(expires.millis()),
        ))
        .execute(conn)?;
    // A sweep looks at this. When it, a purge or the end of the upload was faster, the answer below says so.
    ledger::heartbeat(conn, &key.object)?;
    // What the holder before acknowledged until now is seen by nobody but us from now on.
    find(conn, key)
}

/// The bytes up to its offset are durable; `state` is what the store needs to go on behind them. Until when the upload waits for
/// more then; `None` when another request has taken the upload, which then knows nothing of them. It never goes back: what a
/// request saved on the way, and nobody waited for any more, may be written after what it saved at its end.
pub fn acknowledge(
    conn: &mut AnyConn,
    object: &Id,
    holder: &Id,
    (upload, state, keep): (&Upload, &str, Duration),
) -> QueryResult<Option<Timestamp>> {
    let expires = Timestamp(now_ms(conn)?) + keep;
    let mine = tus_uploads::table
        .find(object.as_str())
        .filter(tus_uploads::holder.eq(holder.as_str()))
        .filter(tus_uploads::acknowledged.le(number(upload.offset)))
        .filter(tus_uploads::finished_at.is_null());
    let updated = diesel::update(mine)
        .set((
            tus_uploads::acknowledged.eq(number(upload.offset)),
            tus_uploads::length.eq(upload.length.map(number)),
            tus_uploads::complete.eq(upload.complete),
            tus_uploads::store_state.eq(state),
            tus_uploads::expires_at.eq(expires.millis()),
        ))
        .execute(conn)?;
    Ok((updated == 1).then_some(expires))
}

/// What the store needs to go on behind the acknowledged bytes. This many numbers of parts become those of `holder` alone: a
/// part that a request before it sends late has another number and changes nothing. `None` when another request has taken the
/// upload.
pub fn reserve(conn: &mut AnyConn, object: &Id, holder: &Id, numbers: u32) -> QueryResult<Option<Kept>> {
    let row = tus_uploads::table.find(object.as_str());
    let mine = row.filter(tus_uploads::holder.eq(holder.as_str()));
    let text: Option<String> = mine.select(tus_uploads::store_state).first(conn).optional()?;
    let Some(text) = text else { return Ok(None) };
    let kept = Kept::read(&text).map_err(unreadable)?;
    let updated = diesel::update(mine)
        .set(tus_uploads::store_state.eq(kept.reserved(numbers).text()))
        .execute(conn)?;
    Ok((updated == 1).then_some(kept))
}

/// The same for an upload whose bytes are all here: nobody adds to it.
pub fn kept(conn: &mut AnyConn, object: &Id) -> QueryResult<Kept> {
    let row = tus_uploads::table.find(object.as_str());
    let text: Option<String> = row.select(tus_uploads::store_state).first(conn).optional()?;
    Kept::read(&text.unwrap_or_default()).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(error))
}

/// Whether this request may still write.
pub fn holds(conn: &mut AnyConn, object: &Id, holder: &Id) -> QueryResult<bool> {
    let mine = tus_uploads::table
        .find(object.as_str())
        .filter(tus_uploads::holder.eq(holder.as_str()));
    select(exists(mine)).get_result(conn)
}

/// The video is stored; the first part of the transaction that makes it live. `false`, and nothing may be changed, when another
/// request has taken the upload.
pub fn finish(conn: &mut AnyConn, object: &Id, holder: &Id, bytes: u64) -> QueryResult<bool> {
    let now = now_ms(conn)?;
    let mine = tus_uploads::table
        .find(object.as_str())
        .filter(tus_uploads::holder.eq(holder.as_str()));
    Ok(diesel::update(mine)
        .set((
            tus_uploads::finished_at.eq(now),
            tus_uploads::acknowledged.eq(number(bytes)),
        ))
        .execute(conn)?
        == 1)
}

/// Unfinished uploads of a video.
pub fn open_of(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Vec<Id>> {
    tus_uploads::table
        .inner_join(objects::table.on(objects::object_id.eq(tus_uploads::object_id)))
        .filter(tus_uploads::video_id.eq(video.as_str()))
        .filter(objects::state.eq(WRITING))
        .select(tus_uploads::object_id)
        .load(conn)
}

/// Forgets what ended long ago.
pub fn forget(conn: &mut AnyConn) -> QueryResult<()> {
    let before = now_ms(conn)?.saturating_sub(i64::try_from(REMEMBER.as_millis()).unwrap_or(i64::MAX));
    diesel::delete(tus_uploads::table.filter(tus_uploads::expires_at.lt(before)))
        .execute(conn)
        .map(drop)
}

/// Sizes are checked to fit where they are read.
fn number(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn bytes(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
